"""The cost of attention from 64 to 4096 characters of context, beside PyTorch's scaled_dot_product_attention."""

from .. import kernel, peers
from ..say import line


def run(brief: bool) -> dict:
    lengths = [64, 128] if brief else [64, 256, 1024, 4096]
    names = ",".join(map(str, lengths))
    mine = peers.measured([kernel.example("attention_cost"), names])
    theirs = peers.run("attention", lengths=names)
    figures = {}
    for length in map(str, lengths):
        figures[length] = mine[length] / theirs[length]
        line(f"{length:>5} characters: glasslab {mine[length]:8.3f} ms, PyTorch {theirs[length]:8.3f} ms, {figures[length]:.2f} ×")
    first, last = str(lengths[0]), str(lengths[-1])
    line(f"from {first} to {last}: glasslab {mine[last] / mine[first]:.0f} ×, PyTorch {theirs[last] / theirs[first]:.0f} ×")
    return figures

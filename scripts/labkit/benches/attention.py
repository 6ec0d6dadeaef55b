"""The cost of attention from 64 to 4096 characters of context, beside PyTorch's scaled_dot_product_attention."""

from .. import kernel, peers
from ..claims import Found, Peak, Size, claim, of_peak
from ..say import line

# Of attention_cost.rs: heads, and numbers of a head; each pair of characters is a product and a sum for the score and for the mix,
# and the future is left out.
OPERATIONS = 4 * 24 * 4 / 2


def run(size: Size, peak: Peak) -> Found:
    lengths = size.of([64, 128], [64, 1024], [64, 256, 1024, 4096])
    names = ",".join(map(str, lengths))
    mine, theirs = [], []
    for _ in range(size.of(1, 2, 5)):
        mine.append(peers.measured([kernel.example("attention_cost"), names]))
        theirs.append(peers.run("attention", lengths=names))
    found = Found()
    for length in map(str, lengths):
        told = claim([turn[length] for turn in theirs], [turn[length] for turn in mine])
        best = min(turn[length] for turn in mine)
        share = of_peak(OPERATIONS * int(length) ** 2 / (best / 1e3), peak.operations, "products")
        line(f"{length:>5} characters: glasslab {best:8.3f} ms, {share}; glasslab's speed : PyTorch's {told}")
        found.add(length, told, f"{length} characters, beside PyTorch's fused attention, which is the same kernel", "as fast")
    first, last = str(lengths[0]), str(lengths[-1])
    growth = [min(turn[last] for turn in side) / min(turn[first] for turn in side) for side in (mine, theirs)]
    line(f"from {first} to {last}: glasslab {growth[0]:.0f} ×, PyTorch {growth[1]:.0f} ×")
    return found

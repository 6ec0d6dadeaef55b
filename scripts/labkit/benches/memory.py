"""The most memory while `small` is trained: glasslab's process beside PyTorch's."""

from .. import peers
from ..peers import ours
from ..say import line


def run(brief: bool) -> dict:
    data, held_out = ours.texts()
    steps = 5 if brief else 50
    mine = ours.train({**ours.SMALL, "steps": steps})
    theirs = peers.run("train", data=data, held_out=held_out, model="small", optimiser="muon", batch=32, steps=steps,
                       device=ours.device())
    line(f"glasslab {mine['peak_mb']:.0f} MB, PyTorch {theirs['peak_mb']:.0f} MB: {mine['peak_mb'] / theirs['peak_mb']:.2f} ×")
    return {"ratio": mine["peak_mb"] / theirs["peak_mb"], "glasslab_mb": mine["peak_mb"], "pytorch_mb": theirs["peak_mb"]}

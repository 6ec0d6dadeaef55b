"""The most memory while `small` is trained: glasslab's process beside PyTorch's."""

from .. import peers
from ..claims import Found, Peak, Size
from ..peers import ours
from ..say import line


def run(size: Size, peak: Peak) -> Found:
    data, held_out = ours.texts()
    steps = size.of(5, 10, 50)
    mine = ours.train({**ours.SMALL, "steps": steps}, speed=size.level < 2)["peak_mb"]
    theirs = peers.run("train", data=data, held_out=held_out, model="small", optimiser="muon", batch=32, steps=steps,
                       device=ours.device())["peak_mb"]
    text = f"{mine:.0f} MB beside PyTorch's {theirs:.0f}: {mine / theirs:.2f} ×"
    line(text)
    found = Found(ratio=mine / theirs, glasslab_mb=mine, pytorch_mb=theirs)
    found.tell("the most while `small` is trained", text, "0.5 ×", mine / theirs <= 0.5)
    return found

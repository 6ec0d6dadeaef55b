"""A training step: forward, backward, optimiser and data, beside PyTorch eager and compiled.

The same model, batch, optimiser and text on both sides, the same number of threads, by turns. `small` learns with Muon and
AdamW on both sides; nanoGPT's recipe for a CPU with AdamW.
"""

from .. import peers
from ..peers import ours
from ..say import line

CASES = {"small": (ours.SMALL, {}, "muon", 32), "nanogpt": (ours.NANOGPT, ours.NANOGPT_CONFIG, "adamw", 12)}


def run(brief: bool) -> dict:
    data, held_out = ours.texts()
    steps, turns = (5, 1) if brief else (200, 3)
    modes = ["eager"] if brief else ["eager", "compile"]
    figures = {}
    for name, (options, config, optimiser, batch) in CASES.items():
        speeds = {"glasslab": [], **{mode: [] for mode in modes}}
        for _ in range(turns):
            mine = ours.train({**options, "steps": steps}, config, {"reports": 1})
            speeds["glasslab"].append(steps * batch * 64 / mine["seconds"])
            for mode in modes:
                theirs = peers.run("train", data=data, held_out=held_out, model=name, optimiser=optimiser, mode=mode, batch=batch, steps=steps)
                speeds[mode].append(theirs["chars_per_s"])
        for mode in modes:
            ratios = ours.ratio(speeds["glasslab"], speeds[mode])
            line(f"{name:<8} characters/s, glasslab : PyTorch {mode:<8} {ours.show(ratios)}")
            figures[f"{name}_{mode}"] = ratios[0]
    return figures

"""A training step: forward, backward, optimiser and data, beside PyTorch eager and compiled.

The same model, batch, optimiser and text on both sides, the same device and number of threads, by turns. `small` learns with
Muon and AdamW on both sides, nanoGPT's recipe for a CPU with AdamW; where there is a GPU, `large` learns too, in bfloat16.
"""

from .. import peers
from ..peers import ours
from ..say import line

# The model: glasslab's options and config, the optimiser, and the pieces of a batch with their length.
CASES = {
    "small": (ours.SMALL, {}, "muon", 32, 64),
    "nanogpt": (ours.NANOGPT, ours.NANOGPT_CONFIG, "adamw", 12, 64),
    "large": (ours.LARGE, {}, "muon", 64, 256),
}


def run(brief: bool) -> dict:
    data, held_out = ours.texts()
    steps, turns = (5, 1) if brief else (200, 3)
    modes = ["eager"] if brief else ["eager", "compile"]
    device, figures = ours.device(), {}
    for name, (options, config, optimiser, batch, context) in CASES.items():
        if name == "large" and device == "cpu":
            continue
        speeds = {"glasslab": [], **{mode: [] for mode in modes}}
        for _ in range(turns):
            mine = ours.train({**options, "steps": steps}, config, {"reports": 1})
            speeds["glasslab"].append(steps * batch * context / mine["seconds"])
            for mode in modes:
                theirs = peers.run("train", data=data, held_out=held_out, model=name, optimiser=optimiser, mode=mode, batch=batch,
                                   steps=steps, device=device)
                speeds[mode].append(theirs["chars_per_s"])
        for mode in modes:
            ratios = ours.ratio(speeds["glasslab"], speeds[mode])
            line(f"{name:<8} characters/s, glasslab : PyTorch {mode:<8} {ours.show(ratios)}")
            figures[f"{name}_{mode}"] = ratios[0]
    return figures

"""A training step: forward, backward, optimiser and data, beside PyTorch eager and compiled.

The same model, batch, optimiser and text on both sides, the same device and number of threads, by turns. `small` learns with
Muon and AdamW on both sides, nanoGPT's recipe for a CPU with AdamW; where there is a GPU, `large` learns too, in bfloat16.
"""

from .. import peers
from ..claims import Found, Peak, Size, claim, of_peak
from ..peers import ours
from ..say import line

# The model: glasslab's options and config, the optimiser, and the pieces of a batch with their length.
CASES = {
    "small": (ours.SMALL, {}, "muon", 32, 64),
    "nanogpt": (ours.NANOGPT, ours.NANOGPT_CONFIG, "adamw", 12, 64),
    "large": (ours.LARGE, {}, "muon", 64, 256),
}
NAMES = {"nanogpt": "nanoGPT's recipe, AdamW"}
GOALS = {"eager": 1.35, "compile": 1.05}


def run(size: Size, peak: Peak) -> Found:
    data, held_out = ours.texts()
    steps, turns = size.of((5, 1), (20, 2), (200, 5))
    modes = size.of(["eager"], ["eager"], ["eager", "compile"])
    device, found = ours.device(), Found()
    for name, (options, config, optimiser, batch, context) in CASES.items():
        if name == "large" and device == "cpu":
            continue
        speeds = {side: [] for side in [*ours.sides(), *modes]}
        for _ in range(turns):
            for side, command in ours.sides().items():
                mine = ours.train({**options, "steps": steps}, config, {"reports": 1}, command, speed=True)
                speeds[side].append(steps * batch * context / mine["seconds"])
            for mode in modes:
                theirs = peers.run("train", data=data, held_out=held_out, model=name, optimiser=optimiser, mode=mode, batch=batch,
                                   steps=steps, device=device)
                speeds[mode].append(theirs["chars_per_s"])
        own = speeds.pop("glasslab")
        for side, theirs in speeds.items():
            told = claim(own, theirs)
            beside = side if side == ours.BEFORE else f"PyTorch {side}"
            line(f"{name:<8} characters/s, glasslab : {beside:<16} {told}")
            if side != ours.BEFORE:
                found.add(f"{name}_{side}", told, f"{NAMES.get(name, f'`{name}`')}, beside {beside}", str(GOALS[side]), GOALS[side])
        # Forward one product and one sum for each parameter and character, backward twice as many.
        line(f"{name:<8} {max(own):,.0f} characters/s at most, {of_peak(6 * mine['parameters'] * max(own), peak.operations, 'products')}")
    return found

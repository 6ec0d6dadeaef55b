"""Seconds of training to a held-out loss of 1.33 nats per character, where nanoGPT's recipe for a CPU arrives, and the
loss after 60 and 180 seconds.

PyTorch runs nanoGPT's recipe until it is there; glasslab trains by the clock: the first seconds go furthest with QUICK, a
single block and small batches, and longer ones with `small`.
"""

from .. import peers
from ..peers import ours
from ..say import line

GOAL = 1.33
QUICK = {**ours.SMALL, "n_layers": 1, "batch_size": 16, "lr": 0.02}


def run(brief: bool) -> dict:
    data, held_out = ours.texts()
    theirs = peers.run("train", data=data, held_out=held_out, model="nanogpt", batch=12, steps=20 if brief else 2000,
                       until=99.0 if brief else GOAL, device=ours.device())
    figures = {"nanogpt_s": theirs["reached_s"] or theirs["seconds"], "glasslab_s": None}
    for seconds in ([2] if brief else [8, 10, 12, 15, 20]):
        loss = ours.train({**QUICK, "seconds": seconds})["nats_per_char"]
        line(f"glasslab's single block after {seconds} s: {loss:.3f} nats/char")
        if loss <= GOAL:
            figures["glasslab_s"] = seconds
            line(f"nanoGPT's recipe in PyTorch reached {GOAL} after {figures['nanogpt_s']:.0f} s, glasslab within {seconds} s: "
                 f"1/{figures['nanogpt_s'] / seconds:.1f} of the time")
            break
    for seconds in ([2] if brief else [60, 180]):
        figures[f"nats_at_{seconds}_s"] = ours.train({**ours.SMALL, "seconds": seconds})["nats_per_char"]
        line(f"glasslab's `small` after {seconds} s: {figures[f'nats_at_{seconds}_s']:.3f} nats/char")
    return figures

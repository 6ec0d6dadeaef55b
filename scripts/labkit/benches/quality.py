"""Seconds of training to a held-out loss of 1.33 nats per character, where nanoGPT's recipe for a CPU arrives, and the
loss after 60 and 180 seconds.

PyTorch runs nanoGPT's recipe until it is there; glasslab trains `small` by the clock.
"""

from .. import peers
from ..peers import ours
from ..say import line

GOAL = 1.33


def run(brief: bool) -> dict:
    data, held_out = ours.texts()
    theirs = peers.run("train", data=data, held_out=held_out, model="nanogpt", batch=12, steps=20 if brief else 2000,
                       until=99.0 if brief else GOAL)
    figures = {"nanogpt_s": theirs["reached_s"] or theirs["seconds"]}
    reached = {}
    for seconds in ([2] if brief else [15, 20, 60, 180]):
        result = ours.train({**ours.SMALL, "seconds": seconds})
        figures[f"nats_at_{seconds}_s"] = result["nats_per_char"]
        line(f"glasslab after {seconds} s: {result['nats_per_char']:.3f} nats/char")
        if result["nats_per_char"] <= GOAL:
            reached.setdefault("s", seconds)
    figures["glasslab_s"] = reached.get("s")
    if figures["glasslab_s"]:
        line(f"nanoGPT's recipe in PyTorch reached {GOAL} after {figures['nanogpt_s']:.0f} s, glasslab within "
             f"{figures['glasslab_s']} s: 1/{figures['nanogpt_s'] / figures['glasslab_s']:.1f} of the time")
    return figures

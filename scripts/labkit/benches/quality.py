"""Seconds of training to a held-out loss of 1.33 nats per character, where nanoGPT's recipe for a CPU arrives, and the
loss after 60 and 180 seconds.

PyTorch runs nanoGPT's recipe until it is there; glasslab trains by the clock: the first seconds go furthest with QUICK, a
single block and small batches, and longer ones with `small`. All of it with three seeds.
"""

import statistics

from .. import peers
from ..claims import Found, Peak, Size
from ..peers import ours
from ..say import line

GOAL = 1.33
QUICK = {**ours.SMALL, "n_layers": 1, "batch_size": 16, "lr": 0.02}


def run(size: Size, peak: Peak) -> Found:
    data, held_out = ours.texts()
    seeds = size.of([0], [0], [0, 1, 2])
    goal = size.of(99.0, 2.0, GOAL)
    reached = []
    for seed in seeds:
        theirs = peers.run("train", data=data, held_out=held_out, model="nanogpt", batch=12, steps=size.of(20, 500, 2000), until=goal,
                           device=ours.device(), seed=seed)
        reached.append(theirs["reached_s"] or theirs["seconds"])
    theirs_s = statistics.mean(reached)
    found = Found(nanogpt_s=theirs_s, glasslab_s=None)
    told = "; ".join(f"{seconds:.0f}" for seconds in reached)
    for seconds in size.of([2], [1, 2, 3, 4], [4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30]):
        losses = [ours.train({**QUICK, "seconds": seconds, "seed": seed})["nats_per_char"] for seed in seeds]
        line(f"glasslab's single block after {seconds} s: {_losses(losses)}")
        if statistics.mean(losses) <= goal:
            found.figures["glasslab_s"] = seconds
            text = f"{seconds} s ({_losses(losses)}) beside {theirs_s:.0f} ({told}): 1/{theirs_s / seconds:.1f}"
            line(f"to {goal} nats/char: {text}")
            found.rows.append((f"the time to {goal} nats/char held out, beside nanoGPT's recipe in PyTorch", text, "1/12"))
            break
    for seconds, least in zip(size.of([2], [10], [60, 180]), (0.98, 0.85)):
        losses = [ours.train({**ours.SMALL, "seconds": seconds, "seed": seed})["nats_per_char"] for seed in seeds]
        found.figures[f"nats_at_{seconds}_s"] = statistics.mean(losses)
        line(f"glasslab's `small` after {seconds} s: {_losses(losses)}")
        found.rows.append((f"held-out loss of `small` after {seconds} s", _losses(losses), f"{least} nats/char"))
    return found


def _losses(losses: list[float]) -> str:
    return f"{statistics.mean(losses):.3f} nats/char" + (f" ({min(losses):.3f} to {max(losses):.3f})" if len(losses) > 1 else "")

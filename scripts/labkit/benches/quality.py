"""Seconds of training to a held-out loss of 1.33 nats per character, and the loss after 60 and 180 seconds.

PyTorch runs nanoGPT's recipe for a CPU until it is there, which is about where it ends; glasslab trains `quick` by the clock: the
first seconds go furthest with FIRST, a single block and small batches. All of it with three seeds.
"""

import statistics

from .. import peers
from ..claims import Found, Peak, Size
from ..peers import ours
from ..say import line

GOAL = 1.33
QUICK = {"preset": "quick"}
FIRST = {**QUICK, "n_layers": 1, "batch_size": 16, "lr": 0.02}


def run(size: Size, peak: Peak) -> Found:
    data, held_out = ours.texts()
    speed = size.level < 2  # in full, the loss is one of all the text held out
    seeds = size.of([0], [0], [0, 1, 2])
    goal = size.of(99.0, 2.5, GOAL)
    reached = []
    for seed in seeds:
        theirs = peers.run("train", data=data, held_out=held_out, model="nanogpt", batch=12, steps=size.of(20, 100, 2000), until=goal,
                           device=ours.device(), seed=seed)
        if theirs["reached_s"] is None:
            line(f"nanoGPT's recipe has not reached {goal} nats/char with seed {seed}: its whole time counts")
        reached.append(theirs["reached_s"] or theirs["seconds"])
    theirs_s = statistics.mean(reached)
    found = Found(nanogpt_s=theirs_s, glasslab_s=None)
    told = "; ".join(f"{seconds:.0f}" for seconds in reached)
    text = f"not reached, nanoGPT's recipe after {theirs_s:.0f} s ({told})"
    for seconds in size.of([2], [1, 2, 3, 4], [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30]):
        losses = _losses(FIRST, seconds, seeds, speed)
        line(f"glasslab's single block after {seconds} s: {_told(losses)}")
        if statistics.mean(losses) <= goal:
            found.figures["glasslab_s"] = seconds
            text = f"{seconds} s ({_told(losses)}) beside {theirs_s:.0f} ({told}): 1/{theirs_s / seconds:.0f}"
            break
    line(f"to {goal} nats/char: {text}")
    reached = found.figures["glasslab_s"]
    found.tell(f"the time to {goal} nats/char held out, by one block of `quick` beside nanoGPT's recipe in PyTorch", text, "1/12",
               reached is not None and reached <= theirs_s / 12)
    for seconds, least in zip(size.of([2], [3], [60, 180]), (0.98, 0.85)):
        losses = _losses(QUICK, seconds, seeds, speed)
        found.figures[f"nats_at_{seconds}_s"] = statistics.mean(losses)
        line(f"glasslab's `quick` after {seconds} s: {_told(losses)}")
        found.tell(f"held-out loss of `quick` after {seconds} s", _told(losses), f"{least} nats/char", statistics.mean(losses) <= least)
    longest = size.of(2, 3, 180)
    small = _losses(ours.SMALL, longest, seeds[:1], speed)
    found.figures["small_nats"] = small[0]
    line(f"glasslab's `small` after {longest} s: {_told(small)}")
    found.tell(f"held-out loss of `small` after {longest} s, one seed", _told(small), "–")
    return found


def _losses(options: dict, seconds: float, seeds: list[int], speed: bool) -> list[float]:
    return [ours.train({**options, "seconds": seconds, "seed": seed}, speed=speed)["nats_per_char"] for seed in seeds]


def _told(losses: list[float]) -> str:
    return f"{statistics.mean(losses):.3f} nats/char" + (f" ({min(losses):.3f} to {max(losses):.3f})" if len(losses) > 1 else "")

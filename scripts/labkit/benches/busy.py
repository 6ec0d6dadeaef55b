"""Trainings beside other work: the steps of `small` in a given time, beside those of a lone one.

Beside a process that computes, beside one at the lowest priority, and two trainings at once; each with libtorch's threads waiting by
the machine's load (crates/glasslab/src/waiting.rs), and spinning as libgomp by itself would have it, by turns.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import kernel, peers
from ..claims import Found, Peak, Size, claim
from ..layout import ROOT
from ..peers import ours
from ..say import line

# libgomp's own value: who sets it has chosen, and the load is not asked.
KINDS = {"by load": {}, "spinning": {"GOMP_SPINCOUNT": "300000"}}
# How many trainings, and beside them the priority of a process that computes.
CASES = {"alone": (1, None), "beside_one": (1, 0), "beside_nice": (1, 19), "two": (2, None)}

WORDS = {"alone": "alone", "beside_one": "beside a process that computes", "beside_nice": "beside one at the lowest priority",
         "two": "two trainings at once, each"}
WAITING = {"by load": "waiting by the load", "spinning": "spinning, as shares of a lone training's that spins"}


def steps_per_s(seconds: float, environment: dict, trainings: int, priority: int | None) -> list[float]:
    environment = {**{name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")},
                   **environment}
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder, contextlib.ExitStack() as beside:
        held_out = ours.short(Path(folder))

        def train(number: int) -> float:
            command = [kernel.program("glasslab"), "train", "--preset", "small", "--seconds", seconds, "--json",
                       "--data", ROOT / "data" / "stories-train.txt", "--held-out", held_out,
                       "--out", Path(folder) / f"{number}.safetensors"]
            mine = peers.measured(command, env=environment)
            return mine["steps"] / mine["seconds"]

        if priority is not None:
            other = subprocess.Popen([sys.executable, "-c", f"import os\nos.nice({priority})\nwhile True: pass"])
            beside.callback(other.wait)
            beside.callback(other.kill)
        with ThreadPoolExecutor(trainings) as pool:
            return list(pool.map(train, range(trainings)))


def run(size: Size, peak: Peak) -> Found:
    seconds, turns = size.of((0.3, 1), (1, 1), (10, 5))
    speeds = {(case, kind): [] for case in CASES for kind in KINDS}
    for _ in range(turns):
        for case, kind in speeds:
            # Of two at once, the slower one counts.
            speeds[case, kind].append(min(steps_per_s(seconds, KINDS[kind], *CASES[case])))
    found = Found()
    for case, kind in speeds:
        share = claim(speeds[case, kind], speeds["alone", "spinning"])
        told = f"{share.median:.2f} ({share.low:.2f} to {share.high:.2f})"
        line(f"{case.replace('_', ' '):<12} {kind:<9} {statistics.median(speeds[case, kind]):5.1f} steps/s, {told} of a lone one that spins")
        found.figures[f"{case}_{kind.replace(' ', '_')}"] = share.median
        has_goal = (case, kind) == ("two", "by load")
        found.tell(f"steps of `small`, {WORDS[case]}, {WAITING[kind]}", told, "0.4 each" if has_goal else "", not has_goal or share.median >= 0.4)
    return found

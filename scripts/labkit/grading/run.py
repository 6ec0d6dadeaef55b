"""One notebook of one learner: read, run in a sandbox, judged."""

import json
import os
import secrets
import sys
import time
from dataclasses import asdict
from pathlib import Path

from .. import kernel, libtorch, python_env, tools
from ..layout import CACHE, CARGO_CONFIG, KERNEL_NAME, ROOT, work_folder
from . import sandbox, submission, verdicts

# Where the sandbox's own folder is, for the programs in it.
OWN = Path("/learner")
# No training takes longer: nobody needs a trained model for a point.
TRAINING_SECONDS = "0.5"
# What is shown of a cell: nothing that a browser would run, as a teacher looks at it.
SHOWN = ("text/plain", "image/png")
NO_ANSWERS = "Its check was not called, or did not come to an end."


def grade(path: Path, master: dict, limits: sandbox.Limits, bwrap: str | None) -> dict:
    """What came of a learner's notebook: points, and what is to be shown of it."""
    begun = time.monotonic()
    handed_in = submission.read(path, master)
    # A seed that nobody knows before: answers that were noted elsewhere don't fit its inputs.
    seed = secrets.randbits(63) or 1
    said = Said()
    if handed_in.problem is None:
        said = run(handed_in.cells, seed, limits, bwrap)
    judged = verdicts.judge(kernel.program("glasslab"), said.answers, seed)
    result = {"seed": seed, "verdicts": {}, "remarks": [*handed_in.remarks], "metadata": submission.metadata(master)}
    if said.why:
        result["remarks"].append(f"ended early: {said.why}")
    for cell in handed_in.cells:
        if cell.test:
            verdict = judged.get(cell.test, {"right": False, "said": handed_in.problem or NO_ANSWERS})
            result["verdicts"][cell.grade_id] = {"exercise": cell.test, **verdict}
    for number, cell in enumerate(handed_in.cells, 1):
        cell.outputs = said.outputs.get(number, [])
        if ended := said.ended.get(number):
            result["remarks"].append(f"cell {number}: {ended}")
    # What a learner is told of it.
    result["told"] = [remark for remark in result["remarks"] if not remark.startswith(submission.READ)]
    result["cells"] = [asdict(cell) for cell in handed_in.cells]
    # The teacher's own texts are shown as they are; what a learner has written, as text.
    given = ["".join(cell["source"]) for cell in master["cells"] if cell["cell_type"] == "markdown"]
    # In the project, learners' notebooks lie a folder nearer to the glossary.
    result["given"] = [*given, *(text.replace("](../../docs/", "](../docs/") for text in given)]
    return {**result, "seconds": round(time.monotonic() - begun, 1), "memory": said.memory}


class Said:
    """What came out of a sandbox: nobody's word, but answers that can be judged and outputs that can be shown."""

    def __init__(self):
        self.answers, self.outputs, self.ended = {}, {}, {}
        self.why, self.memory, self.is_done = None, 0, False

    def hear(self, line: str, exercises: dict[int, str | None]) -> None:
        """A line, which may hold anything."""
        try:
            told = json.loads(line)
            if not isinstance(told, dict):
                return
            self.is_done |= told.get("done") is True
            if isinstance(told.get("problem"), str):
                self.why = told["problem"][:500]
            number = told.get("cell")
            if not isinstance(number, int) or number not in exercises:
                return
            self.outputs[number] = [output for output in told["outputs"] if _is_output(output)][:200]
            if isinstance(told.get("ended"), str):
                self.ended[number] = told["ended"][:200]
            if exercises[number] and isinstance(told.get("answers"), str):
                self.answers[exercises[number]] = told["answers"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.why = self.why or "something was written that is no result"


def _is_output(output) -> bool:
    """Text, or a picture: nothing that a browser would run."""
    if not isinstance(output, dict):
        return False
    if output.get("output_type") == "stream":
        return set(output) == {"output_type", "name", "text"} and output["name"] in ("stdout", "stderr") and isinstance(output["text"], str)
    data = output.get("data")
    return (output.get("output_type") == "display_data" and set(output) == {"output_type", "data", "metadata"} and output["metadata"] == {}
            and isinstance(data, dict) and set(data) <= set(SHOWN) and all(isinstance(value, str) for value in data.values()))


def run(cells: list[submission.Cell], seed: int, limits: sandbox.Limits, bwrap: str | None) -> Said:
    """Runs a notebook's cells up to its last test: what comes after that changes no point."""
    last = max((number for number, cell in enumerate(cells, 1) if cell.test), default=0)
    todo = [[number, cell.code(), cell.test] for number, cell in enumerate(cells[:last], 1)
            if cell.kind == "code" and not (cell.test is None and submission.command(cell.source))]
    exercises = {number: test for number, _, test in todo}
    said = Said()
    with sandbox.place(bwrap, OWN) as own:
        box = sandbox.Sandbox(_command(bwrap, own, seed, limits), limits, None if bwrap else _environment(own, seed))
        for line in box.talk(json.dumps({"cells": todo, "limits": asdict(limits), "shown": SHOWN, "kernel": KERNEL_NAME})):
            said.hear(line, exercises)
    said.memory = box.peak
    if not said.is_done:
        said.why = box.why or said.why or f"the run ended by itself: {box.errors.decode(errors='replace').strip()[-300:] or 'it said nothing'}"
    return said


def _command(bwrap: str | None, own: Path, seed: int, limits: sandbox.Limits) -> list[str]:
    work = [str(python_env.python()), "-B", str(Path(__file__).with_name("inside.py"))]
    if bwrap is None:
        return work
    return [*sandbox.command(bwrap, readable(), own, _environment(own, seed), limits), *work]


def cargo_home() -> Path:
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def readable() -> list[Path]:
    """What the kernel and its cells read of this machine; not the solved notebooks, and nothing of the person's."""
    own = ["crates", "data", "Cargo.toml", "Cargo.lock", "scripts/labkit"]
    found = [*(ROOT / name for name in own), CARGO_CONFIG, python_env.VENV, work_folder(), CACHE, kernel.program("glasslab").parent,
             kernel.configured_binding(), (libtorch.find() or libtorch.ensure()).folder, cargo_home() / "registry", tools.rust_folder(), Path(sys.base_prefix)]
    return [path for path in found if path.exists()]


def _environment(own: Path, seed: int) -> dict[str, str]:
    """What a cell's process knows: paths, its seed, and nothing of the person's."""
    made = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
    made |= {"PATH": f"{tools.rust_folder() / 'bin'}:/usr/local/bin:/usr/bin:/bin", "CARGO_HOME": str(cargo_home())}
    return {**made, "HOME": str(own), "JUPYTER_RUNTIME_DIR": str(own / "runtime"), "JUPYTER_PLATFORM_DIRS": "1",
            "JUPYTER_DATA_DIR": str(own / "data"), "JUPYTER_CONFIG_DIR": str(own / "config"), "IPYTHONDIR": str(own / "ipython"),
            "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "GLASSLAB_OWN": str(own / "kernel"),
            "GLASSLAB_TRAINING_SECONDS": TRAINING_SECONDS, "GLASSLAB_CHECK_SEED": str(seed), "GLASSLAB_CHECK_ANSWERS": str(own / "answers")}

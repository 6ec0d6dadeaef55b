"""Answers that came out of a sandbox, judged outside of it by the command `glasslab check`."""

import json
import subprocess
import tempfile
from pathlib import Path

from .. import tools
from ..say import Problem

# What no answer of an exercise is as long as. Bytes.
LARGEST = 20_000_000


def judge(glasslab: Path, answers: dict[str, str], seed: int) -> dict[str, dict]:
    """By exercise: whether its answers are right, and what is to be said of them."""
    judged = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for exercise, text in answers.items():
            if len(text) > LARGEST:
                judged[exercise] = {"right": False, "said": f"Its answers have more than {LARGEST:,} characters."}
                continue
            files[exercise] = Path(folder) / f"{len(files)}.json"
            files[exercise].write_text(text, encoding="utf-8")
        if files:
            command = [glasslab, "check", "--json", "--seed", str(seed), *files.values()]
            run = subprocess.run([str(word) for word in command], capture_output=True, timeout=300, **tools.TEXT)
            if run.returncode != 0:
                raise Problem(f"`glasslab check` could not judge the answers: {run.stderr.strip()[-500:]}")
            for (exercise, _), said in zip(files.items(), json.loads(run.stdout)):
                # The file says of which exercise its answers are: another's don't count for this one.
                right = said["right"] and said["exercise"] == exercise
                judged[exercise] = {"right": right, "said": said["said"]}
    return judged

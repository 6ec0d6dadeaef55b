"""scripts/lab release: the learners' notebooks from the solved ones, by nbgrader."""

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

from . import exercises, python_env, tools
from .layout import LAB, NOTEBOOKS, ROOT, SOLUTIONS, STAMPS
from .outputs import join_streams
from .say import Problem, line

VENV = LAB / "nbgrader"
# The digests of the learners' notebooks that were written last, by name.
WRITTEN = STAMPS / "released.json"
REQUIREMENTS = ROOT / "scripts" / "requirements-nbgrader.txt"


def release(check: bool) -> int:
    """Writes what is out of date; with `check` only says so, and answers 1 if anything is."""
    wanted = generate()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if not check:
        require_nobodys([path for path in stale if path.parent == NOTEBOOKS and path.exists()])
    orphans = sorted(set(NOTEBOOKS.glob("*.ipynb")) - set(wanted))
    for path in orphans:
        line(f"{path.relative_to(ROOT)} has no solved notebook in {SOLUTIONS.relative_to(ROOT)}/ and is not generated.")
    for path in stale:
        line(f"{path.relative_to(ROOT)}: {'out of date' if check else 'written'}")
        if not check:
            path.write_text(wanted[path], encoding="utf-8")
    if check:
        line("Run `scripts/lab release`." if stale else f"{len(wanted)} notebooks are up to date.")
    else:
        WRITTEN.parent.mkdir(parents=True, exist_ok=True)
        WRITTEN.write_text(json.dumps({path.name: _digest(path) for path in wanted if path.parent == NOTEBOOKS}))
        line(f"{len(stale)} of {len(wanted)} notebooks written, the others were up to date.")
    return 1 if orphans or (check and stale) else 0


def require_nobodys(paths: list[Path]) -> None:
    """Stops if somebody has worked in a notebook that would be written over: it is not what was written last, and not as committed."""
    written = json.loads(WRITTEN.read_text()) if WRITTEN.exists() else {}
    changed = tools.changed(ROOT, NOTEBOOKS)
    for path in paths:
        if str(path.relative_to(ROOT)) in changed and written.get(path.name) != _digest(path):
            raise Problem(f"{path.relative_to(ROOT)} is neither as committed nor as `scripts/lab release` wrote it: somebody has worked in it. Nothing "
                          "was written: move it out of there (or remove it), and run the same command again.")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def generate() -> dict[Path, str]:
    """What each notebook should be: the solved ones with nbgrader's metadata, and the learners'."""
    sources = sorted(SOLUTIONS.glob("*.ipynb"))
    if not sources:
        raise Problem(f"There is no notebook in {SOLUTIONS}.")
    ensure()
    wanted = {}
    with tempfile.TemporaryDirectory() as folder:
        marked, made = Path(folder) / "marked", Path(folder) / "made"
        marked.mkdir(), made.mkdir()
        for path in sources:
            notebook = exercises.read(path)
            exercises.mark(notebook, path.name)
            join_streams(notebook["cells"])
            wanted[path] = exercises.text(notebook)
            (marked / path.name).write_text(wanted[path], encoding="utf-8")
        command = [VENV / "bin" / "python", Path(__file__).parent / "generate_learners.py", marked, made, exercises.STUB]
        tools.run(command, "nbgrader could not make the learners' notebooks.", env=python_env.environment())
        for path in sources:
            # The learners' are a folder nearer to the glossary.
            learners = exercises.text(exercises.read(made / path.name)).replace("](../../docs/", "](../docs/")
            wanted[NOTEBOOKS / path.name] = learners
    return wanted


def nbgrader(arguments: list[str]) -> int:
    """nbgrader itself, for a teacher's course: it finds the lab's kernel, and knows what a stub in Rust looks like."""
    ensure()
    command = [VENV / "bin" / "nbgrader", *arguments]
    if arguments[:1] == ["formgrader"]:
        # It is a part of a Jupyter server of its own here, in the course's folder.
        command = [VENV / "bin" / "jupyter-server", "--ServerApp.jpserver_extensions={'nbgrader.server_extensions.formgrader': True}",
                   "--ServerApp.default_url=/formgrader", "--ServerApp.open_browser=True",
                   *(["--allow-root"] if os.getuid() == 0 else []), *arguments[1:]]
    return subprocess.run([str(word) for word in command], env=environment()).returncode


def environment() -> dict[str, str]:
    """What nbgrader is told by: where the kernel is, and its settings."""
    environment = python_env.environment()
    environment["PATH"] = f"{VENV / 'bin'}:{environment['PATH']}"  # it starts programs of its own environment by name
    environment["JUPYTER_CONFIG_PATH"] = str(ROOT / "scripts" / "nbgrader")
    return environment


def ensure() -> None:
    """nbgrader in an environment of its own: a teacher's tool, which no learner needs."""
    python_env.ensure_own(VENV, REQUIREMENTS, STAMPS / "nbgrader", "nbgrader", "About 1 minute, 100 MB to download")

"""One run of a sweep, on the worker that Dask gives it to: `glasslab train --json` as a process of its own."""

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

# Of what a program says on standard error, so many of the last characters travel back.
WORDS = 4000


def run(task: dict) -> dict:
    """Trains what the task says, and gives back the program's answer. What only this machine lacks (the program, the text) is
    an error: Dask then tries another worker."""
    program = find_program()
    arguments = ["train", "--json", "--config", "run.toml", "--out", "model.safetensors"]
    for option, text in task["texts"].items():
        arguments += [option, str(find_text(text))]
    with tempfile.TemporaryDirectory(prefix="glasslab-run-") as folder:
        Path(folder, "run.toml").write_text(task["config"], encoding="utf-8")
        # Files and no pipes: nobody reads them meanwhile.
        with open(Path(folder, "out"), "w+b") as out, open(Path(folder, "err"), "w+b") as err:
            process = subprocess.Popen([program, *arguments], cwd=folder, env=environment(task), stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=err)
            status = wait(process)
            said = [read(file) for file in (out, err)]
    if status < 0:
        raise RuntimeError(f"{host()}: the training was ended by signal {-status}")
    return {"status": status, "stdout": said[0], "stderr": said[1][-WORDS:], "host": host()}


def read(file) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def wait(process: subprocess.Popen) -> int:
    """The status that it ends with; ends it if nobody waits for its result any more."""
    asked = wanted()
    while True:
        try:
            return process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            if not asked():
                process.kill()
                process.wait()
                raise RuntimeError("nobody waits for this run any more") from None


def wanted():
    """Whether Dask still wants what this thread computes; outside of a worker always."""
    try:
        from distributed import get_worker
        from distributed.worker import thread_state
        tasks, key = get_worker().state.tasks, thread_state.key
    except (ImportError, ValueError, AttributeError):
        return lambda: True
    return lambda: key in tasks and tasks[key].state != "cancelled"


def environment(task: dict) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in task["not_inherited"]}
    return {**kept, "OMP_NUM_THREADS": str(task["threads"]), "GLASSLAB_END_WITH_PARENT": "1"}


def find_program() -> str:
    """The command `glasslab` of this machine."""
    named = os.environ.get("GLASSLAB_PROGRAM")
    found = shutil.which(named or "glasslab")
    if not found:
        what = f"{named} (GLASSLAB_PROGRAM) is no program" if named else "no program glasslab on the PATH"
        raise RuntimeError(f"{host()}: {what}: start this worker by `scripts/lab dask worker`, after `scripts/lab setup`")
    return found


def find_text(text: dict) -> Path:
    """A text by its path, or by its name in the folder GLASSLAB_TEXTS; it must be the very same one."""
    folder = os.environ.get("GLASSLAB_TEXTS")
    places = [Path(text["path"]), *([Path(folder, Path(text["path"]).name)] if folder else [])]
    others = []
    for place in places:
        if place.is_file():
            if checksum(place) == text["sha256"]:
                return place
            others.append(str(place))
    if others:
        raise RuntimeError(f"{host()}: {', '.join(others)} is another text than the one this sweep is of (its SHA-256 is "
                           f"{text['sha256'][:12]}…): copy that one here")
    raise RuntimeError(f"{host()}: there is no {places[0]}: put the text at the same path on every worker, or into a folder that "
                       "GLASSLAB_TEXTS names there")


CHECKSUMS: dict[tuple, str] = {}


def checksum(path: Path) -> str:
    """The SHA-256 of a file, computed once as long as it does not change."""
    about = path.stat()
    key = (str(path), about.st_size, about.st_mtime_ns)
    if key not in CHECKSUMS:
        sum_ = hashlib.sha256()
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                sum_.update(piece)
        CHECKSUMS[key] = sum_.hexdigest()
    return CHECKSUMS[key]


def host() -> str:
    """This machine, and the address that the worker has for the others."""
    try:
        from distributed import get_worker
        return f"{socket.gethostname()} ({get_worker().address})"
    except (ImportError, ValueError):
        return socket.gethostname()

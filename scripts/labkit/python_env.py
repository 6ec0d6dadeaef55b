"""The project's own Python environment: JupyterLab and nbclient at pinned versions, nothing else."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import tools
from .layout import JUPYTER_HOME, ROOT, STAMPS, VENV
from .say import Problem, done, line

REQUIREMENTS = ROOT / "scripts" / "requirements.txt"
STAMP = STAMPS / "python"


def python() -> Path:
    return VENV / "bin" / "python"


def is_made(venv: Path, requirements: Path, stamp: Path) -> bool:
    """Whether an environment has what its requirements name."""
    return stamp.exists() and stamp.read_text() == _state(venv, requirements)


def _state(venv: Path, requirements: Path) -> str | None:
    """The requirements, and the environment's own Python, whichever else this is run with; none if that does not start."""
    try:
        version = tools.run([venv / "bin" / "python", "-c", "import sys; print(*sys.version_info[:2])"], "", env=own())
    except Problem:
        return None
    return hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()


def make(venv: Path, requirements: Path, stamp: Path, what: str) -> None:
    """Makes an environment anew, with the pinned and hashed packages of its requirements."""
    # Out of an activated environment, perhaps this very one, the Python that it was made of.
    python = sys.executable if sys.prefix == sys.base_prefix else os.path.realpath(sys.executable)
    shutil.rmtree(venv, ignore_errors=True)
    venv.parent.mkdir(parents=True, exist_ok=True)
    tools.run([python, "-m", "venv", venv],
              "python3 could not make a virtual environment. On Debian and Ubuntu: `apt install python3-venv`.", env=own())
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--require-hashes", "--only-binary=:all:", "-r", str(requirements),
           "--disable-pip-version-check", "--progress-bar", "on" if sys.stderr.isatty() else "off", "-q"]
    if subprocess.run(pip, env=own()).returncode != 0:
        raise Problem(f"pip could not install {what} (its message stands above). Check the connection, the proxy "
                      "and the free disk space, then run the same command again.")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(_state(venv, requirements))


def ensure_own(venv: Path, requirements: Path, stamp: Path, what: str, cost: str) -> None:
    """A tool that no learner needs, in an environment of its own, made on first use."""
    started = time.monotonic()
    if is_made(venv, requirements, stamp):
        return
    line(f"First use: {what} in an environment of its own, {venv.relative_to(ROOT)}. {cost}.")
    stamp.unlink(missing_ok=True)
    make(venv, requirements, stamp, what)
    line(f"      done ({time.monotonic() - started:.0f} s)")


def is_ready() -> bool:
    return is_made(VENV, REQUIREMENTS, STAMP)


def ensure() -> None:
    started = time.monotonic()
    if is_ready():
        done("already there", started)
        return
    STAMP.unlink(missing_ok=True)
    make(VENV, REQUIREMENTS, STAMP, "JupyterLab")
    _write_lab_settings()
    done("JupyterLab and nbclient", started)


def _write_lab_settings() -> None:
    """A lab that is quiet: no question about news, no look-up of updates."""
    folder = VENV / "share" / "jupyter" / "lab" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overrides.json").write_text(
        '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}\n')


def own() -> dict[str, str]:
    """The environment for the project's own Pythons: nothing of the person's other ones."""
    others = ("PYTHONPATH", "PYTHONHOME")
    return {**{name: value for name, value in os.environ.items() if name not in others}, "PIP_USER": "0"}


def environment() -> dict[str, str]:
    """The environment for Jupyter: its own files stay inside the project, also with a read-only home."""
    paths = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
             "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    environment = own()
    # Where the kernel's entry and JupyterLab's settings are, also for a Jupyter of another environment (nbgrader's, a hub's).
    environment["JUPYTER_PATH"] = str(VENV / "share" / "jupyter")
    for name, folder in paths.items():
        (JUPYTER_HOME / folder).mkdir(parents=True, exist_ok=True)
        environment[name] = str(JUPYTER_HOME / folder)
    # The kernel runs in notebooks/, so a relative path of the person's must be made whole here.
    # The word `tinystories` is no path, unless there is one.
    for name in ("GLASSLAB_DATA", "GLASSLAB_HELD_OUT", "GLASSLAB_CACHE"):
        if environment.get(name) and (environment[name] != "tinystories" or Path("tinystories").exists()):
            environment[name] = str(Path(os.path.expanduser(environment[name])).resolve())
    return environment

"""The project's own Python environment: JupyterLab and nbclient at pinned versions, nothing else."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .layout import JUPYTER_HOME, ROOT, STAMPS, VENV
from .say import Problem, done

REQUIREMENTS = ROOT / "scripts" / "requirements.txt"
STAMP = STAMPS / "python"


def python() -> Path:
    return VENV / "bin" / "python"


def _wanted() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()


def is_ready() -> bool:
    return STAMP.exists() and STAMP.read_text() == _wanted() and python().exists()


def ensure() -> None:
    started = time.monotonic()
    if is_ready():
        done("already there", started)
        return
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.parent.mkdir(parents=True, exist_ok=True)
    answer = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if answer.returncode != 0:
        raise Problem("python3 could not make a virtual environment. On Debian and Ubuntu: `apt install python3-venv`. "
                      f"It said: {(answer.stdout + answer.stderr).strip()[-300:]}")
    pip = [python(), "-m", "pip", "install", "--require-hashes", "--only-binary=:all:", "-r", str(REQUIREMENTS),
           "--disable-pip-version-check", "--progress-bar", "on" if sys.stderr.isatty() else "off", "-q"]
    if subprocess.run(pip).returncode != 0:
        raise Problem("pip could not install JupyterLab (its message stands above). Check the connection, the proxy "
                      "and the free disk space, then run the same command again.")
    _write_lab_settings()
    STAMP.parent.mkdir(parents=True, exist_ok=True)
    STAMP.write_text(_wanted())
    done("JupyterLab and nbclient", started)


def _write_lab_settings() -> None:
    """A lab that is quiet: no question about news, no look-up of updates."""
    folder = VENV / "share" / "jupyter" / "lab" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overrides.json").write_text(
        '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}\n')


def environment() -> dict[str, str]:
    """The environment for Jupyter: its own files stay inside the project, also with a read-only home."""
    paths = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
             "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    environment = dict(os.environ)
    for name, folder in paths.items():
        (JUPYTER_HOME / folder).mkdir(parents=True, exist_ok=True)
        environment[name] = str(JUPYTER_HOME / folder)
    # The kernel runs in notebooks/, so a relative path of the person's must be made whole here.
    # The word `tinystories` is no path, unless there is one.
    for name in ("GLASSLAB_DATA", "GLASSLAB_HELD_OUT", "GLASSLAB_CACHE"):
        if environment.get(name) and (environment[name] != "tinystories" or Path("tinystories").exists()):
            environment[name] = str(Path(environment[name]).expanduser().resolve())
    return environment

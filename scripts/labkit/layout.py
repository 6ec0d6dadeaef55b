"""Where everything lies, and the versions that belong together."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
# The source of truth: the learners' notebooks above are generated from these.
SOLUTIONS = NOTEBOOKS / "solutions"

# All that set-up makes, but for cargo's target folder and .cargo/config.toml.
LAB = ROOT / ".lab"
# Downloads and the compiled C++ binding; may be shared between clones.
CACHE = Path(os.environ.get("GLASSLAB_CACHE") or LAB / "cache").absolute()
VENV = LAB / "python"
STAMPS = LAB / "stamps"
CARGO_CONFIG = ROOT / ".cargo" / "config.toml"

# Says that this place was made by `scripts/lab install` for all users of the machine: nothing is written in it.
INSTALLED = LAB / "installed"
IS_SHARED = INSTALLED.exists()
# Where a person's own things lie: in the project, or in a folder of theirs if the project is shared (or they say so).
OWN = Path(os.environ.get("GLASSLAB_HOME") or (os.path.expanduser("~/glasslab") if IS_SHARED else ROOT)).absolute()
# The notebooks that are opened; elsewhere than in the project, they are copies.
LEARNERS = OWN / "notebooks"
OUT = OWN / "out"
JUPYTER_HOME = OWN / ".lab" / "jupyter"

KERNEL_NAME = "glasslab"
STOCK_KERNEL_NAME = "glasslab-stock"

# The one place that says which Rust: Cargo.toml.
MIN_RUSTC = tuple(map(int, re.search(r'^rust-version = "(\d+)\.(\d+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).groups()))
# libtorch and tch go in pairs: a tch release is generated from one torch release.
TORCH_OF_TCH = {"0.24": "2.11", "0.25": "2.12", "0.26": "2.13"}
TORCH_VERSION = "2.13.0"


def target_folder() -> Path:
    return ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target")


def work_folder() -> Path:
    """Where the kernel compiles cells.

    evcxr passes paths to its child separated by spaces, so this one may hold none.
    """
    if " " not in str(LAB):
        return LAB / "kernel"
    tag = hashlib.sha256(str(LAB).encode()).hexdigest()[:12]
    caches = [os.environ.get("XDG_CACHE_HOME"), os.path.expanduser("~/.cache"), tempfile.gettempdir()]
    for base in caches:
        if base and " " not in base and os.path.isabs(base) and os.access(_existing_parent(Path(base)), os.W_OK):
            return Path(base) / "glasslab" / tag
    return Path(tempfile.gettempdir()) / "glasslab" / tag


def _existing_parent(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path

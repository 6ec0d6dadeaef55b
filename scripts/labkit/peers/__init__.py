"""PyTorch, to be measured beside: an environment of its own, made on first use, and programs that run in it.

The programs are written as a good engineer would write them in PyTorch: fused products, its own attention
(`scaled_dot_product_attention`), its fused optimiser. Each prints one line of JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from .. import machines, python_env, tools
from ..layout import CACHE
from ..say import Problem, line

TORCH = "2.13.0"


def there() -> Path | None:
    """A Python with the whole PyTorch, if there is one: `GLASSLAB_TORCH_PYTHON` names it, or a bench has fetched it."""
    if named := os.environ.get("GLASSLAB_TORCH_PYTHON"):
        return Path(named)
    return _python(TORCH) if _python(TORCH).with_name("ready").exists() else None


def python() -> Path:
    """A Python with the whole PyTorch, fetched if there is none."""
    return there() or environment(TORCH)


def _python(version: str) -> Path:
    return CACHE / f"python-torch-{version}" / "bin" / "python"


def environment(version: str) -> Path:
    """The Python of an environment with this PyTorch, made on first use."""
    python, ready = _python(version), _python(version).with_name("ready")
    folder = python.parent.parent
    if not ready.exists():
        line(f"Making an environment with PyTorch {version} in {folder} (once; about 3 GB to download)")
        tools.run([sys.executable, "-m", "venv", "--clear", folder], "python3 could not make a virtual environment.")
        pip = [python, "-m", "pip", "install", "-q", "--only-binary=:all:", f"torch=={version}", "numpy"]
        if subprocess.run(pip, env=python_env.own()).returncode != 0:
            raise Problem("pip could not install PyTorch (its message stands above). The benches need the network once; "
                          "or name a Python that has it: GLASSLAB_TORCH_PYTHON=… scripts/bench")
        ready.touch()
    return python


def run(program: str, **options) -> dict:
    """Runs one of the programs beside this file, and reads its figures."""
    script = Path(__file__).parent / f"{program}.py"
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return measured([python(), script, *arguments])


def measured(command: list, **options) -> dict:
    """The last line of a program's output, which is JSON, and with it the most memory that it had, in MB."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **tools.TEXT, **options)
    # What a program says on its way is short; were it long, communicate() would be needed, which can't tell its memory.
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Problem(f"{command[0]} failed:\n{errors.strip()[-1500:]}")
    return {**json.loads(output.strip().split("\n")[-1]), "peak_mb": machines.peak_bytes(usage) / 2**20}

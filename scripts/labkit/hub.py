"""scripts/lab hub: JupyterHub with the configuration of deploy/hub, and what starts a learner's server in it.

JupyterHub is in an environment of its own, its proxy in a folder of node's; both are made by `scripts/lab install PREFIX --hub`,
or on first use in a project of your own.
"""

import os
import shutil
from pathlib import Path

from . import own, python_env, tools
from .layout import IS_SHARED, KERNEL_NAME, LAB, LEARNERS, ROOT, STAMPS
from .say import Problem, line

VENV = LAB / "hub"
REQUIREMENTS = ROOT / "scripts" / "requirements-hub.txt"
STAMP = STAMPS / "hub"
FOLDER = ROOT / "deploy" / "hub"
# The proxy's packages, by the versions and hashes of package-lock.json.
PROXY = LAB / "proxy"
PROXY_PROGRAM = PROXY / "node_modules" / ".bin" / "configurable-http-proxy"


def ensure() -> None:
    """JupyterHub and its proxy. Where there is no node there is no proxy: a machine that only runs learners' servers needs none."""
    python_env.ensure_own(VENV, REQUIREMENTS, STAMP, "JupyterHub", "About 1 minute, 100 MB to download")
    if PROXY_PROGRAM.exists():
        return
    if tools.node() is None or shutil.which("npm") is None:
        line("      There is no node 18 or newer with npm: the hub's proxy is not installed (`apt install nodejs npm`).")
        return
    PROXY.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / name, PROXY)
    tools.run(["npm", "ci", "--omit=dev", "--no-fund", "--no-audit", "--prefix", PROXY], "npm could not install the hub's proxy.", cwd=PROXY)


def is_there() -> bool:
    return (VENV / "bin" / "jupyterhub").exists() and PROXY_PROGRAM.exists()


def start(arguments: list[str]) -> int:
    """JupyterHub itself; all arguments are its own, but for `--measure` and what follows, which deploy/hub/measure.py knows."""
    if not IS_SHARED:
        ensure()
    if not is_there():
        raise Problem(f"JupyterHub or its proxy is not in {LAB}: install the lab with `scripts/lab install PREFIX --hub`, where node 18 and "
                      "npm are.")
    if arguments[:1] == ["--measure"]:
        program = str(VENV / "bin" / "python")
        os.execve(program, [program, "-B", str(FOLDER / "measure.py"), *arguments[1:]], python_env.own())
    config = [] if any(word == "-f" or word.startswith("--config") for word in arguments) else ["-f", str(FOLDER / "jupyterhub_config.py")]
    command = [str(VENV / "bin" / "jupyterhub"), *config, *arguments]
    # It starts programs of its own environment by name.
    os.execve(command[0], command, {**python_env.own(), "PATH": f"{VENV / 'bin'}:{os.environ.get('PATH', os.defpath)}"})


def singleuser(arguments: list[str]) -> int:
    """A learner's server, as the hub starts it, by the learner's own user: their notebooks are there, then JupyterLab is."""
    own.ready()
    first = sorted(LEARNERS.glob("*.ipynb"))[0]
    os.chdir(LEARNERS)
    command = [str(VENV / "bin" / "jupyterhub-singleuser"), f"--ServerApp.root_dir={LEARNERS}",
               f"--ServerApp.default_url=/lab/tree/{first.name}", f"--MultiKernelManager.default_kernel_name={KERNEL_NAME}", *arguments]
    if not Path(command[0]).exists():
        raise Problem(f"{command[0]} is not there: `scripts/lab setup --hub` makes it.")
    os.execve(command[0], command, python_env.environment())

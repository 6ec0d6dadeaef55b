"""scripts/lab dask: sweeps on more than one machine, by Dask, in an environment of its own."""

import os
import shlex
import signal
import subprocess
import time

from . import kernel, python_env
from .layout import LAB, ROOT, STAMPS
from .say import Problem, line

VENV = LAB / "dask"
REQUIREMENTS = ROOT / "scripts" / "requirements-dask.txt"
ENGINE = ROOT / "scripts" / "dask"
# What `glasslab sweep` calls to speak with Dask.
PROGRAM = VENV / "bin" / "glasslab-dask"
# Dask looks at itself fifty times a second, which takes a tenth of a processor beside each training; once a second is enough here.
CALM = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False", "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
        "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "2s", "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s"}
# Between the end of a worker whose scheduler has gone and the next one.
PAUSE = 2
# The status of a command with options that are not known.
WRONG_USAGE = 2

USAGE = """scripts/lab dask scheduler [OPTIONS]       on one machine: it gives out the runs (OPTIONS are those of `dask scheduler`)
scripts/lab dask worker ADDRESS [OPTIONS]  on each machine: it trains, one run for each processor (those of `dask worker`)
scripts/lab dask sweep FILE [OPTIONS]      `glasslab sweep` with --engine ADDRESS: from where the results are wanted"""


def dask(arguments: list[str]) -> int:
    match arguments:
        case ["scheduler", *options]:
            ensure()
            return become([str(VENV / "bin" / "dask"), "scheduler", *options])
        case ["worker", address, *options] if not address.startswith("-"):
            ensure()
            return work(worker(address, options))
        case ["sweep", *options]:
            ensure()
            return become([str(kernel.program("glasslab")), "sweep", *options])
        case _:
            raise Problem(f"`scripts/lab dask` has three commands:\n{USAGE}")


def become(command: list[str]) -> int:
    """In the place of this process: who ends it ends the command."""
    os.execve(command[0], command, environment())


def ensure() -> None:
    python_env.ensure_own(VENV, REQUIREMENTS, STAMPS / "dask", "Dask", "About 1 minute, 45 MB to download")
    text = f"#!/bin/sh\nexec {shlex.quote(str(VENV / 'bin' / 'python'))} -B {shlex.quote(str(ENGINE / 'engine.py'))} \"$@\"\n"
    if not PROGRAM.exists() or PROGRAM.read_text(encoding="utf-8") != text:
        PROGRAM.write_text(text, encoding="utf-8")
        PROGRAM.chmod(0o755)


def environment() -> dict[str, str]:
    """Where the parts find each other: the command, the program that speaks with Dask, the function that a worker calls."""
    environment = {**CALM, **python_env.own(), "PYTHONPATH": str(ENGINE), "PYTHONDONTWRITEBYTECODE": "1", "GLASSLAB_DASK": str(PROGRAM)}
    environment.setdefault("GLASSLAB_PROGRAM", str(kernel.program("glasslab")))
    return environment


def worker(address: str, options: list[str]) -> list[str]:
    """One process for each processor, each with one run at a time."""
    given = {option.split("=")[0] for option in options}
    usual = {"--nworkers": str(processors()), "--nthreads": "1"}
    return [str(VENV / "bin" / "dask"), "worker", address, "--no-dashboard",
            *(word for name, value in usual.items() if name not in given for word in (name, value)), *options]


def work(command: list[str]) -> int:
    """Dask's workers end where their scheduler does; these begin again, until it is there again or somebody ends them."""
    # Ended by a signal, it takes Dask's processes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    while True:
        with subprocess.Popen(command, env=environment()) as process:
            try:
                status = process.wait()
            except KeyboardInterrupt:
                process.terminate()
                raise
        if status == WRONG_USAGE:
            return status
        # Also where the scheduler went while they were about to begin, which Dask calls an error.
        line(f"The scheduler has gone; waiting for it (again in {PAUSE} s). Ctrl-C ends this.")
        time.sleep(PAUSE)


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

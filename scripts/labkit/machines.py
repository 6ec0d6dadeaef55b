"""The kinds of machine there are: which one this is, what was tried on it, and what differs."""

import os
import platform
import sys

from .tools import Finding

LINUX, ARM_LINUX, MAC = ("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "aarch64")
# What has been tried on each kind that set-up knows; scripts/try-machines repeats the second and the third.
TRIED = {
    LINUX: ("Linux x86-64", "all tests run"),
    ARM_LINUX: ("Linux arm64", "command and library tested under emulation; kernel and notebooks not run"),
    MAC: ("macOS arm64", "type-checked, never run"),
}
# How a library's file name ends, and where the system's loader looks for more of them.
LIBRARY = ".dylib" if sys.platform == "darwin" else ".so"
LIBRARY_PATH = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"


def this() -> tuple[str, str]:
    """This machine's system and processor; a processor of two names has one here."""
    processor = platform.machine().lower()
    return sys.platform, {"arm64": "aarch64", "amd64": "x86_64"}.get(processor, processor)


def finding(own_torch: bool = False) -> Finding:
    """The doctor's line. An unknown machine can do with a libtorch that the person has; Windows can't."""
    machine, release = this(), platform.release().lower()
    name, tried = TRIED.get(machine, (" ".join(machine), "not known here, never tried"))
    if "microsoft" in release:
        # The first WSL has no Linux in it: its release says Microsoft and no more.
        old = "wsl2" not in release and "microsoft-standard" not in release
        return Finding("machine", f"WSL {1 if old else 2}: detected; as {name}: {tried}",
                       "Turn it into WSL 2: `wsl --set-version DISTRIBUTION 2` in a Windows terminal." if old else None)
    if machine[0] == "win32":
        advice = "Run it inside WSL 2 (`wsl --install` in a Windows terminal), or use the Dockerfile."
    elif machine in TRIED or own_torch or os.environ.get("LIBTORCH"):
        advice = None
    else:
        advice = ("Set-up has no libtorch for it. If it has a torch that fits, point LIBTORCH or `scripts/lab setup --torch-from "
                  f"PYTHON` to it; else use the Dockerfile, or one of these: {', '.join(name for name, _ in TRIED.values())}.")
    return Finding("machine", f"{name}: {tried}", advice)


def peak_bytes(usage) -> int:
    """The most memory that a process had, from its `rusage`: in KiB on Linux, in bytes on a Mac."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

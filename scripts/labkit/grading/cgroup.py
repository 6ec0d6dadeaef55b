"""Limits for all processes of a sandbox together, where the system lets us set them: a control group.

For root, whom the system's limit on processes does not hold, where control groups may be written; they count what no process
has in its own memory, too. Everybody else has `limits` of the system for each process, and the watch.
"""

import contextlib
import itertools
import os
import time
from pathlib import Path

TOP = Path("/sys/fs/cgroup")
NUMBERS = itertools.count(1)


class Group:
    """A control group for one sandbox; none, where there can be none."""

    def __init__(self, memory: int, processes: int, top: Path = TOP):
        self.folders = []
        _sweep(top)
        name = f"glasslab-{os.getpid()}-{next(NUMBERS)}"
        # Version 2 has one tree, version 1 one for each kind of thing.
        wanted = {"pids.max": processes, "memory.max": memory} if (top / "cgroup.controllers").exists() else \
            {"pids/pids.max": processes, "memory/memory.limit_in_bytes": memory}
        try:
            for file, limit in wanted.items():
                folder = (top / file).parent / name
                if folder not in self.folders:
                    folder.mkdir()
                    self.folders.append(folder)
                (folder / Path(file).name).write_text(str(limit))
        except OSError:
            self.close()

    def command(self) -> list[str]:
        """What a command begins with, so that its process belongs to the group."""
        if not self.folders:
            return []
        enter = "".join(f"echo $$ > {folder}/cgroup.procs && " for folder in self.folders)
        return ["/bin/sh", "-c", f'{enter}exec "$@"', "sh"]

    def close(self) -> None:
        """Removes it; the processes have ended, but the system may need a moment to see that."""
        for folder in self.folders:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.02)
        self.folders = []


def _sweep(top: Path) -> None:
    """Removes the groups of gradings that were ended from outside: empty ones, whose process is gone."""
    for folder in (*top.glob("glasslab-*-*"), *top.glob("*/glasslab-*-*")):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def possible() -> bool:
    """Whether a sandbox can have a group here."""
    group = Group(1 << 30, 100)
    is_there = bool(group.folders)
    group.close()
    return is_there

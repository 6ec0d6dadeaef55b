"""A sandbox for the code of strangers: bubblewrap, with limits that are watched from outside.

In it there is no network; of the disk what the lab's kernel needs, to be read and not to be written; a small disk of
memory of its own; no other learner's folder, and no gradebook. What comes out of it is what it writes on its standard
output. It ends with the process that made it, however that ends.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .. import tools
from . import cgroup

# How often the watch looks. Seconds.
WATCH = 0.1
# The most that a sandbox may say in all. Bytes.
LARGEST = 50_000_000


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    seconds: float = 600  # for a notebook
    cell_seconds: float = 60  # for a cell
    memory: int = 4 << 30  # bytes, of all its processes together
    disk: int = 1 << 30  # bytes
    processes: int = 300 + 8 * (os.cpu_count() or 1)  # threads count, too


def bubblewrap() -> str | None:
    """The program, if it is here and may make a sandbox: in some containers it may not."""
    program = shutil.which("bwrap")
    return program if program and _tried(program).returncode == 0 else None


def why_not() -> str:
    """Why there is no sandbox here, and what to do."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not here (the program bwrap), which makes the sandbox. On Debian and Ubuntu: `apt install bubblewrap`."
    said = (_tried(program).stderr.strip().splitlines() or ["it does not say why"])[-1]
    return (f"bwrap is here but may not make a sandbox: {said}. On Ubuntu 24.04 and later, AppArmor forbids it: give bwrap a profile that allows "
            "`userns` (docs/teaching.md, Grading, has one). In a container, allow it to make user namespaces.")


def _tried(program: str) -> subprocess.CompletedProcess:
    return subprocess.run([program, *ISOLATED, "--ro-bind", "/", "/", "--proc", "/proc", "true"], capture_output=True, **tools.TEXT)


ISOLATED = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
# What programs need of a system, where it is there.
SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf",
          "/etc/ld.so.conf.d", "/etc/localtime", "/sys/devices/system/cpu"]


def command(program: str, readable: list[Path], own: Path, environment: dict[str, str],
            limits: Limits) -> list[str]:
    """bubblewrap's arguments: `readable` is there as it is, `own` is a folder of memory in which the process begins, and all
    else is not there."""
    made = [program, *ISOLATED, "--hostname", "sandbox", "--clearenv"]
    for name, value in environment.items():
        made += ["--setenv", name, value]
    for path in SYSTEM:
        made += _as_it_is(Path(path))
    made += ["--proc", "/proc", "--dev", "/dev", "--size", "1000000", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    made += ["--size", str(limits.disk), "--tmpfs", "/tmp"]
    for path in sorted(set(readable)):  # a folder before what lies in it
        made += ["--ro-bind-try", str(path), str(path)]
    made += ["--size", str(limits.disk), "--tmpfs", str(own), "--chdir", str(own)]
    # The system's own limits, for each process; those that are for all of them together are watched. A process that asks for
    # too much is refused it, before all have to be ended for it.
    return [*made, "prlimit", "--core=0", "--nofile=2048", f"--fsize={limits.disk}", f"--data={limits.memory * 3 // 4}",
            f"--nproc={limits.processes}"]


@contextlib.contextmanager
def place(bwrap: str | None, within: Path):
    """The folder in which a process works: in a sandbox a disk of memory, else a folder of its own that is removed."""
    if bwrap:
        yield within
        return
    with tempfile.TemporaryDirectory(prefix="glasslab-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _as_it_is(path: Path) -> list[str]:
    if path.is_symlink():
        return ["--symlink", os.readlink(path), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


# Those that run now.
RUNNING: set["Sandbox"] = set()


def end_all() -> None:
    """Ends what runs, when the grading is broken off."""
    for box in list(RUNNING):
        box.end("the grading was broken off")


class Sandbox:
    """A process in a sandbox, and the watch over it."""

    def __init__(self, command: list[str], limits: Limits, environment: dict[str, str] | None = None):
        self.limits, self.why = limits, None  # why it was ended
        self.begun = time.monotonic()
        self.peak = 0  # bytes
        # The disk of memory counts as well.
        self.group = cgroup.Group(limits.memory + 2 * limits.disk, limits.processes)
        self.process = subprocess.Popen([*self.group.command(), *command], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        start_new_session=True)

    def talk(self, text: str):
        """Gives it its input, and yields the lines that it writes, until it ends or is ended."""
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        errors = threading.Thread(target=self._hear, daemon=True)
        self.errors = b""
        watch.start(), errors.start()
        RUNNING.add(self)
        try:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(text.encode())
                self.process.stdin.close()
            left = LARGEST
            while line := self.process.stdout.readline(left):
                left -= len(line)
                if left <= 0:
                    self.end("it wrote too much")
                    break
                yield line.decode(errors="replace")
        finally:
            RUNNING.discard(self)
            self.end(None)
            ended.set()
            self.process.wait()
            watch.join(), errors.join(timeout=5)  # without a sandbox, who has left the family may still hold it
            self.group.close()
            self.process.stdout.close()
            if not errors.is_alive():
                self.process.stderr.close()

    def end(self, why: str | None) -> None:
        """Ends all of its processes."""
        self.why = self.why or why
        for process in (*family(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if self.process.poll() is None:
                    os.kill(process, 9)

    def _hear(self) -> None:
        """Its last words, for when it does not begin."""
        while piece := self.process.stderr.read1(65536):
            self.errors = (self.errors + piece)[-2000:]

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(WATCH):
            seconds, (count, memory) = time.monotonic() - self.begun, usage(self.process.pid)
            self.peak = max(self.peak, memory)
            if seconds > self.limits.seconds:
                self.end(f"it took longer than {self.limits.seconds:.0f} s")
            elif memory > self.limits.memory:
                self.end(f"it took more than {self.limits.memory / 2**30:.3g} GiB of memory")
            elif count > 2 * self.limits.processes:
                # Where the system counts itself, as for everybody but root, it never comes to this.
                self.end(f"it made more than {self.limits.processes} processes")


def family(root: int) -> list[int]:
    """The processes below one, the youngest last. Who loses its parent in a sandbox belongs to the sandbox's first process."""
    children = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int(Path("/proc", entry, "stat").read_bytes().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, open_ = [], [root]
    while open_:
        below = children.get(open_.pop(), [])
        found += below
        open_ += below
    return found


def usage(root: int) -> tuple[int, int]:
    """Threads of a process and those below it, and the memory that is theirs alone or shared between them, in bytes."""
    threads = memory = 0
    for process in (root, *family(root)):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "Threads":
                    threads += int(value)
                elif name in ("RssAnon", "RssShmem"):
                    memory += int(value.split()[0]) * 1024
    return threads, memory

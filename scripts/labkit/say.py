"""How set-up speaks: steps, progress, and problems in one clear sentence."""

import errno
import locale
import os
import shutil
import sys
import time

TTY = sys.stderr.isatty()


def utf8() -> None:
    """Starts this program again in Python's UTF-8 mode, where the locale is another: then files, what programs print and
    what is said are UTF-8 here, and in every Python that is started from here."""
    if not sys.flags.utf8_mode and locale.getpreferredencoding(False).lower() not in ("utf-8", "utf8"):
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


class Problem(Exception):
    """Something a person can mend; its text names what to do."""


def line(text: str = "") -> None:
    print(text, flush=True)


def step(number: int, total: int, what: str, why: str) -> None:
    line(f"\n[{number}/{total}] {what}")
    line(f"      {why}")


def done(text: str, started: float) -> None:
    line(f"      done: {text} ({time.monotonic() - started:.0f} s)")


class Progress:
    """A progress bar on a terminal; a line every ten seconds elsewhere."""

    def __init__(self, label: str, total: int, start: int = 0):
        self.label, self.total, self.start = label, max(total, 1), start
        self.count = start
        self.began = time.monotonic()
        self.shown = self.began - 8 if not TTY else 0.0

    def add(self, count: int) -> None:
        self.count += count
        now = time.monotonic()
        if now - self.shown >= (0.1 if TTY else 10):
            self.shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        speed = (self.count - self.start) / max(now - self.began, 1e-3)
        left = (self.total - self.count) / max(speed, 1)
        share = self.count / self.total
        text = (f"{self.label} {self.count / 1e6:.0f} of {self.total / 1e6:.0f} MB, "
                f"{speed / 1e6:.1f} MB/s, {left:.0f} s left")
        if TTY:
            filled = int(24 * share)
            bar = "#" * filled + "-" * (24 - filled)
            width = shutil.get_terminal_size().columns - 1
            print("\r" + f"      [{bar}] {text}".ljust(width)[:width], end="", file=sys.stderr, flush=True)
        else:
            print(f"      {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if TTY:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + " " * width + "\r", end="", file=sys.stderr, flush=True)


def explain(error: OSError) -> str:
    """An operating system's error as a sentence with what to do."""
    where = f" at {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return (f"The disk is full{where}. Set-up needs about 5 GB: free some space, or move the project to a "
                "larger disk, then run the same command again; it goes on where it stopped.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (f"Not allowed to write{where}. Put the project into a folder that you may write to "
                "(your user is " + (os.environ.get("USER") or str(os.getuid())) + "), then run the same command again.")
    return f"The system answered: {error.strerror or error}{where}."

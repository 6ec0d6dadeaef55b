"""The tools a person brings: cargo, rustc, a C++ compiler; and what to do where one is missing."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .layout import LAB, MIN_RUSTC, ROOT, target_folder
from .say import Problem, done

ADVICE = {
    "cargo": "Install Rust with rustup (see rustup.rs), then open a new terminal.",
    "c++": "Install a C++ compiler: `apt install g++` on Debian and Ubuntu, `dnf install gcc-c++` on Fedora, "
           "`xcode-select --install` on a Mac.",
}


@dataclass
class Finding:
    """One line of the doctor: `advice` is None where all is well."""

    what: str
    found: str
    advice: str | None = None
    optional: bool = False


# How programs write, whatever the locale.
TEXT = {"encoding": "utf-8", "errors": "replace"}


def run(command: list, advice: str, **options) -> str:
    """What a program prints; where it fails, a Problem with the advice and the program's own last words."""
    command = [str(part) for part in command]
    try:
        answer = subprocess.run(command, capture_output=True, **TEXT, **options)
    except OSError as error:
        raise Problem(f"{advice} {command[0]} could not be started: {error.strerror}.") from None
    if answer.returncode != 0:
        words = (answer.stdout + answer.stderr).strip()[-1500:] or f"none; it ended with {answer.returncode}"
        raise Problem(f"{advice} The last words of {Path(command[0]).name}:\n{words}")
    return answer.stdout


def changed(root: Path, folder: Path) -> list[str]:
    """What lies in a folder of a project and is not as committed; nothing, where the project is no clone or git is not here."""
    if not (root / ".git").exists():
        return []
    try:
        told = run(["git", "-c", f"safe.directory={root}", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", folder],
                   "git does not say what has changed.", cwd=root)
    except Problem:
        return []
    return [entry[3:] for entry in told.split("\0") if entry]


def cxx() -> str | None:
    names = [os.environ.get("CXX"), "c++", "g++", "clang++"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def node() -> str | None:
    """A node that runs the page's JavaScript and its tests: 18 or later."""
    try:
        found = re.match(r"v(\d+)\.", run(["node", "--version"], ""))
    except Problem:
        return None
    return shutil.which("node") if found and int(found.group(1)) >= 18 else None


def rust_version(tool: str) -> tuple[int, int] | None:
    try:
        found = re.search(r"(\d+)\.(\d+)\.", run([tool, "--version"], ""))
    except Problem:
        return None
    return (int(found.group(1)), int(found.group(2))) if found else None


def rustc_version() -> str:
    """What rustc says of itself, all of it."""
    return run(["rustc", "-vV"], f"rustc does not run. {ADVICE['cargo']}")


def host_triple() -> str:
    return re.search(r"host: (\S+)", rustc_version()).group(1)


def rust_folder() -> Path:
    """Where the Rust in use lies, past rustup."""
    return Path(run(["rustc", "--print", "sysroot"], f"rustc does not run. {ADVICE['cargo']}").strip())


def rust_sources() -> Path | None:
    """The standard library's sources, which the kernel needs to know the types of variables."""
    library = rust_folder() / "lib" / "rustlib" / "src" / "rust" / "library"
    return library if library.exists() else None


def ensure_rust_sources() -> None:
    started = time.monotonic()
    if rust_sources() is None and shutil.which("rustup"):
        subprocess.run(["rustup", "component", "add", "rust-src"], cwd=ROOT)
    if rust_sources() is None:
        raise Problem("The sources of Rust's standard library are missing. With rustup: check the connection and run "
                      "`rustup component add rust-src`; with Debian's Rust: `apt install rust-src`.")
    done(str(rust_sources()), started)


def fetch_crates() -> None:
    """Downloads the crates that this machine's build needs; what fails here, cargo will say when it builds."""
    command = ["cargo", "fetch", "--locked", "--quiet", "--target", host_triple()]
    subprocess.run(command, cwd=ROOT, env=cargo_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def check(builds: bool = True) -> list[Finding]:
    """The tools that are needed, the compiler only where something will be built."""
    findings = []
    wanted = ".".join(map(str, MIN_RUSTC))
    for tool in ("cargo", "rustc"):
        version = rust_version(tool)
        if version is None:
            findings.append(_does_not_run(tool) if shutil.which(tool) else Finding(tool, "not found", ADVICE["cargo"]))
        else:
            old = version < MIN_RUSTC
            findings.append(Finding(tool, ".".join(map(str, version)),
                                    f"glasslab needs Rust {wanted} or newer: run `rustup update stable`." if old else None))
    compiler = cxx()
    findings.append(Finding("C++ compiler", compiler or "not found", None if compiler or not builds else ADVICE["c++"]))
    return findings


def _does_not_run(tool: str) -> Finding:
    """For example rustup's rustc, where rustup has no Rust yet."""
    try:
        return Finding(tool, "not a Rust tool", run([tool, "--version"], "").strip() or "It does not tell its version.")
    except Problem as problem:
        return Finding(tool, "does not run", str(problem).strip())


def cargo_environment() -> dict[str, str]:
    """The programs' folder is this project's, also where the person's settings name another for all projects; and where
    cargo's own folder can't be written, it gets one inside the project."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target_folder())}
    # Without a home to be found, the ~ stays.
    home = Path(os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo"))
    existing = home if home.exists() else home.parent
    if home.is_absolute() and os.access(existing, os.W_OK):
        return environment
    own = LAB / "cargo"
    own.mkdir(parents=True, exist_ok=True)
    return {**environment, "CARGO_HOME": str(own)}

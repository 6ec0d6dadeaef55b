"""The tools a person brings: cargo, rustc, a C++ compiler; and what to do where one is missing."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .layout import LAB, MIN_RUSTC, ROOT
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


def cxx() -> str | None:
    asked = os.environ.get("CXX")
    names = [asked] if asked else ["c++", "g++", "clang++"]
    return next((path for name in names if (path := shutil.which(name))), None)


def rust_version(tool: str) -> tuple[int, int] | None:
    if not shutil.which(tool):
        return None
    answer = subprocess.run([tool, "--version"], capture_output=True, text=True)
    found = re.search(r"(\d+)\.(\d+)\.", answer.stdout)
    return (int(found.group(1)), int(found.group(2))) if found else None


def rustc_version() -> str:
    """What rustc says of itself, all of it."""
    answer = subprocess.run(["rustc", "-vV"], capture_output=True, text=True)
    if answer.returncode != 0:
        raise Problem(f"rustc does not run. {ADVICE['cargo']} It said: {answer.stderr.strip()[-500:]}")
    return answer.stdout


def host_triple() -> str:
    return re.search(r"host: (\S+)", rustc_version()).group(1)


def rust_sources() -> Path | None:
    """The standard library's sources, which the kernel needs to know the types of variables."""
    answer = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True)
    library = Path(answer.stdout.strip()) / "lib" / "rustlib" / "src" / "rust" / "library"
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
            findings.append(Finding(tool, "not found", ADVICE["cargo"]))
        else:
            old = version < MIN_RUSTC
            findings.append(Finding(tool, ".".join(map(str, version)),
                                    f"glasslab needs Rust {wanted} or newer: run `rustup update stable`." if old else None))
    compiler = cxx()
    findings.append(Finding("C++ compiler", compiler or "not found", None if compiler or not builds else ADVICE["c++"]))
    return findings


def cargo_environment() -> dict[str, str]:
    """Where cargo's own folder can't be written, it gets one inside the project."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    existing = home if home.exists() else home.parent
    if os.access(existing, os.W_OK):
        return dict(os.environ)
    own = LAB / "cargo"
    own.mkdir(parents=True, exist_ok=True)
    return {**os.environ, "CARGO_HOME": str(own)}

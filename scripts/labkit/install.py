"""scripts/lab install PREFIX: the lab in one read-only place that all users of a machine share.

    PREFIX/glasslab-VERSION-STATE/     a project like this one, with all that set-up makes; two versions stand side by side
    PREFIX/glasslab                    a link to the one that was installed last

What was compiled goes there by an archive of `scripts/lab pack` (so nothing is compiled twice), or is compiled there.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from . import hub, kernel, libtorch, pack, tools
from .layout import CACHE, INSTALLED, LAB, NOTEBOOKS, OUT, ROOT, work_folder
from .say import Problem, line, step

# What a place holds of the project; what set-up makes is made there.
PARTS = ("Cargo.toml", "Cargo.lock", "crates", "data", "deploy", "docs", "notebooks", "scripts", "README.md", "ARCHITECTURE.md",
         "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE-APACHE", "LICENSE-MIT")
NOT_COPIED = {"__pycache__", ".ipynb_checkpoints", "models", "target", "node_modules"}
LINK = "glasslab"


def install(prefix: str, with_hub: bool) -> int:
    """Makes the place and sets it up, or goes on where an earlier try stopped; then the link leads there."""
    base = Path(os.path.expanduser(prefix)).absolute()
    place = base / name()
    require(place)
    require_nobodys_work()
    if not (place / INSTALLED.relative_to(ROOT)).exists():
        total = 3
        step(1, total, f"the project's files in {place}", "What all users of this machine read, and nobody writes to.")
        copy_project(place)
        step(2, total, "set-up in that place", "What is compiled here already goes there in an archive; two minutes then, else ten.")
        _set_up(place, with_hub)
        step(3, total, f"the link {base / LINK}", "It names the version in use; others beside it stay as they are.")
    elif with_hub:
        _lab(place, "setup", "--for-all", "--hub")
    link(base, place.name)
    line(f"\nReady: {place}\nEach user starts it by {base / LINK}/scripts/lab; their notebooks will be in ~/glasslab/notebooks."
         + (f"\nThe hub: {base / LINK}/scripts/lab hub (see {base / LINK}/deploy/hub/README.md)" if with_hub else ""))
    return 0


def name() -> str:
    """The version, and the state of all that is installed."""
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE).group(1)
    digest = hashlib.sha256()
    for path in files():
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + _content(path))
    return f"glasslab-{version}-{digest.hexdigest()[:8]}"


def files() -> list[Path]:
    """The project's own files, without what learners or set-up have made; a link to a folder is one of them."""
    found = []
    for part in map(ROOT.joinpath, PARTS):
        found += [part] if part.is_file() else []
        for folder, folders, names in os.walk(part):
            folders[:] = sorted(set(folders) - NOT_COPIED)
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            found += [Path(folder) / name for name in [*links, *sorted(names)] if not name.endswith(".part")]
    return found


def _content(path: Path) -> bytes:
    return os.readlink(path).encode() if path.is_dir() else path.read_bytes()


def require(place: Path) -> None:
    """Stops before anything is written if the users could not use what would be installed."""
    if ROOT in place.parents:
        raise Problem(f"{place} lies inside of this project: choose a PREFIX outside of it, for example /opt.")
    if found := re.search(r"[\s:,]", str(place)):
        raise Problem(f"{place} holds `{found[0]}`, and compilers divide their options there: choose another PREFIX.")
    link = place.parent / LINK
    if link.exists() and not link.is_symlink():
        raise Problem(f"{link} is there already, and the link to the installed version has that name: move it, or choose another PREFIX.")
    place.parent.mkdir(parents=True, exist_ok=True)
    for what, path, advice in [
        ("PREFIX", place.parent, "Choose one that all users may read, for example /opt."),
        ("The Python that this is run with", Path(os.path.realpath(sys.executable)),
         "Run it by the system's: `/usr/bin/python3 scripts/lab install …`."),
        ("Rust", tools.rust_folder() / "bin" / "rustc",
         "Put a Rust where all may read it, for example with `RUSTUP_HOME=/opt/rust CARGO_HOME=/opt/cargo`, and put its `bin` first on the PATH."),
    ]:
        if closed := closed_to_others(path):
            raise Problem(f"{what} ({path}) can't be used by others: {closed} is closed to them. {advice}")


def require_nobodys_work() -> None:
    """Stops if somebody's own work in the notebooks would become everybody's."""
    if changed := tools.changed(ROOT, NOTEBOOKS):
        raise Problem(f"{', '.join(changed)}: not as committed, and all users would get it. Commit what is meant for them (`git commit`), and put "
                      "your own work aside (`git stash -u`), then run the same command again.")


def closed_to_others(path: Path) -> Path | None:
    """The first folder or file on the way to a path that not everybody may enter or read."""
    for part in [*reversed(path.parents), path]:
        wanted = stat.S_IXOTH if part != path or path.is_dir() else stat.S_IROTH
        if not part.stat().st_mode & wanted:
            return part
    return None


def copy_project(place: Path) -> None:
    for path in files():
        target = place / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            shutil.copy(path, target)
        elif not target.is_symlink():
            # As a folder of its own it would make another state of the project.
            target.symlink_to(os.readlink(path))


def _set_up(place: Path, with_hub: bool) -> None:
    options = ["--for-all", *(["--hub"] if with_hub else [])]
    torch = libtorch.find()
    if not (torch and torch.folder == libtorch.cached_folder("cpu") and kernel.is_prepared()):
        _lab(place, "setup", *options)
        return
    # The same libtorch, without the network.
    cached = place / ".lab" / "cache" / torch.folder.name
    if not (cached / "build-version").exists():
        shutil.copytree(torch.folder, cached, symlinks=True, dirs_exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        archive = Path(folder) / "pack.tar.xz"
        pack.pack(str(archive), preset=0)
        _lab(place, "setup", "--from", str(archive), *options)


def _lab(place: Path, *arguments: str) -> None:
    """The scripts of the place, which know nothing of this project."""
    environment = {name: value for name, value in os.environ.items() if name not in ("GLASSLAB_CACHE", "CARGO_TARGET_DIR", "GLASSLAB_OWN")}
    command = [os.path.realpath(sys.executable), str(place / "scripts" / "lab"), *arguments]
    if subprocess.run(command, env=environment).returncode != 0:
        raise Problem(f"Set-up in {place} did not end well (its message stands above). Mend that, and run the same command again: it goes on "
                      "where it stopped.")


def finish(with_hub: bool, run_first) -> None:
    """In the place itself, after set-up: what makes it one for all users."""
    if with_hub:
        hub.ensure()
    if INSTALLED.exists():
        open_to_all(LAB)
        return
    kernel.install_kernelspec(tools.rust_folder())
    line("\nThe first notebook, to see that all of it works; what the tools answer then is kept for all.")
    first = sorted(NOTEBOOKS.glob("*.ipynb"))[0]
    if run_first([str(first)]) != 0:
        raise Problem(f"{first.name} does not run (see above).")
    for folder in (OUT, LAB / "jupyter", CACHE / "packs", work_folder() / "sessions", work_folder() / "home"):
        shutil.rmtree(folder, ignore_errors=True)
    (work_folder() / "shared").write_text("Nobody writes here: made by scripts/lab install.\n")
    open_to_all(ROOT)
    INSTALLED.write_text("for all users of this machine\n")
    INSTALLED.chmod(0o644)


def open_to_all(folder: Path) -> None:
    """Everybody may read all that is in a folder, and nobody but its owner may write, whatever the umask was."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            others = 0o055 if path.is_dir() or mode & 0o100 else 0o044
            path.chmod((mode | others) & ~0o022)


def link(base: Path, version: str) -> None:
    """Names the version in use, at once: who is starting the lab finds the old one or the new one."""
    part = base / f".{LINK}.{os.getpid()}"
    part.symlink_to(version)
    part.replace(base / LINK)

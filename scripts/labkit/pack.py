"""scripts/lab pack: all that set-up compiles, in one archive; and scripts/lab --from ARCHIVE: set-up out of it.

An archive holds the kernel, the command, the C++ binding and the library as cells use it, for one kind of machine and one
rustc. What of it names a folder is written anew for where it is unpacked: texts as they are, compiled files where paths were
made long for this (`kernel.padded`).
"""

import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

from . import kernel, libtorch, tools
from .layout import CACHE, OUT, ROOT, STAMPS, TORCH_VERSION, work_folder
from .libtorch import Libtorch
from .say import Problem, Progress, done, line

MANIFEST = "manifest.json"
# Says that the programs came out of an archive, and for which sources.
STAMP = STAMPS / "pack"
PROGRAMS = ("glasslab-kernel", "glasslab")
# What cargo builds in the prepared folder and no cell asks for again.
LEFT_OUT = ("incremental", "examples", "build-script-build", "build_script_build")
CHUNK = 1 << 20


def sources() -> str:
    """The state of all that an archive was built from."""
    return kernel.sources_digest(ROOT / "crates", ROOT / "data")


def is_current() -> bool:
    """Whether the programs came out of an archive that was made of just these sources: then there is nothing to build."""
    return STAMP.exists() and STAMP.read_text() == sources()


def pack(out: str | None, preset: int = 2) -> int:
    """Writes the archive and its SHA-256 beside it; a higher preset packs closer and longer."""
    if not sys.platform.startswith("linux"):
        raise Problem("Packs are made on Linux only: on a Mac, compiled files are signed and can't be written over.")
    torch = libtorch.ensure()
    if torch.cuda or torch.folder != libtorch.cached_folder("cpu"):
        raise Problem(f"A pack goes with the libtorch that set-up fetches, not with {torch.folder}: unset LIBTORCH, and run "
                      "`scripts/lab clean` and `scripts/lab setup`, on a machine without a GPU.")
    started = time.monotonic()
    manifest = {"rustc": tools.rustc_version(), "torch": TORCH_VERSION, "sources": sources(), "glibc": _glibc(),
                "folders": _folders(kernel.configured_binding(), torch)}
    name = f"glasslab-pack-{tools.host_triple()}-{manifest['sources'][:8]}.tar.xz"
    target = Path(out).absolute() if out else OUT / name
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    line(f"Packing what set-up has compiled for {tools.host_triple()}; about 2 minutes.")
    with tarfile.open(part, "w:xz", preset=preset) as archive:
        text = json.dumps(manifest, indent=1).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
        for program in PROGRAMS:
            archive.add(kernel.program(program), f"programs/{program}")
        for library in ("libtch.so", "libzstd.a"):
            archive.add(kernel.configured_binding() / library, f"binding/{library}")
        for folder in ("template", "answers", "outline", "config"):
            archive.add(work_folder() / folder, f"work/{folder}", filter=_wanted)
    part.replace(target)
    digest = _sha256(target)
    target.with_name(target.name + ".sha256").write_text(f"{digest}  {target.name}\n")
    done(f"{target}, {target.stat().st_size / 1e6:.0f} MB", started)
    line(f"      SHA-256 {digest}, also in {target.name}.sha256\n      On another machine, in a clone of the same state: "
         f"scripts/lab --from {target.name}")
    return 0


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    names = Path(member.name).parts
    return None if any(name.startswith(LEFT_OUT) for name in names) else member


def _folders(binding: Path, torch: Libtorch) -> dict[str, str]:
    """The folders that stand in packed files, by what they are."""
    return {"binding": str(binding), "torch": str(torch.lib), "work": str(work_folder()), "project": str(ROOT)}


def _glibc() -> list[int]:
    """The version of the C library: programs made with a newer one don't run with an older one."""
    version = os.confstr("CS_GNU_LIBC_VERSION") if hasattr(os, "confstr") else None
    return [int(number) for number in version.split()[-1].split(".")[:2]] if version else [0, 0]


def fetch(archive: str) -> Path:
    """The archive on this disk, with the SHA-256 that is known of it: `FILE#sha256=…`, or a file FILE.sha256 beside it."""
    place, _, known = archive.partition("#sha256=")
    if not place.startswith(("http://", "https://")):
        path = Path(os.path.expanduser(place)).absolute()
        if not path.is_file():
            raise Problem(f"There is no archive {path}. `scripts/lab pack` makes one, on a machine of the same kind.")
        beside = path.with_name(path.name + ".sha256")
        known = known or (_first_word(beside.read_bytes()) if beside.exists() else "")
    else:
        path = CACHE / "packs" / place.rsplit("/", 1)[-1]
        known = known or _first_word(_read(place + ".sha256"))
        if not path.exists() or _sha256(path) != known:
            _download(place, path)
    if not known:
        raise Problem(f"No SHA-256 is known of {path.name}: put {path.name}.sha256 beside it, or write "
                      f"`--from {path.name}#sha256=…`, as `scripts/lab pack` told it.")
    if (found := _sha256(path)) != known.lower():
        raise Problem(f"{path} does not have the SHA-256 that is known of it ({known}; found {found}): fetch it again.")
    return path


def _first_word(text: bytes) -> str:
    return (text.decode("utf-8", "replace").split() or [""])[0]


def _read(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=60) as reply:
            return reply.read()
    except OSError as error:
        raise Problem(f"{address} can't be fetched ({error}). Check the address and the connection; the SHA-256 can also be "
                      "written behind the archive's address: `#sha256=…`.") from None


def _download(address: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with urllib.request.urlopen(address, timeout=60) as reply, part.open("wb") as out:
            progress = Progress(path.name, int(reply.headers.get("Content-Length") or 0))
            while chunk := reply.read(CHUNK):
                out.write(chunk)
                progress.add(len(chunk))
            progress.close()
    except OSError as error:
        raise Problem(f"{address} can't be fetched ({error}): run the same command again.") from None
    part.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _slowly(file)


def _slowly(file) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def check(path: Path) -> dict:
    """The manifest of an archive that fits this machine and these sources."""
    try:
        with tarfile.open(path) as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST:
                raise Problem(f"{path} is not an archive of `scripts/lab pack`.")
            manifest = json.load(archive.extractfile(first))
    except tarfile.TarError as error:
        raise Problem(f"{path} is not an archive of `scripts/lab pack` ({error}).") from None
    source = "or leave out --from: `scripts/lab` then builds everything from source."
    if manifest["rustc"] != tools.rustc_version():
        theirs, ours = (text.splitlines()[0] for text in (manifest["rustc"], tools.rustc_version()))
        raise Problem(f"The archive was made with {theirs}, and here is {ours}; what one rustc has compiled, another can't "
                      f"use. `rustup default {theirs.split()[1]}` gives you that one, {source}")
    if manifest["torch"] != TORCH_VERSION or manifest["sources"] != sources():
        raise Problem(f"The archive was made of another state of the project: check out that one, make a new archive of "
                      f"this, {source}")
    if manifest["glibc"] > _glibc():
        needed = ".".join(map(str, manifest["glibc"]))
        raise Problem(f"The archive needs the C library {needed} or newer: use a newer Linux, {source}")
    return manifest


def unpack(path: Path, manifest: dict, torch: Libtorch) -> None:
    """Puts everything where set-up would have built it, with the folders of this machine in it."""
    started = time.monotonic()
    binding = CACHE / f"libtch-{hashlib.sha256(str(torch.folder).encode()).hexdigest()[:12]}-pack"
    # What is half unpacked is neither prepared nor of an archive.
    for stamp in (kernel.PREPARED, STAMP):
        stamp.unlink(missing_ok=True)
    places = {"programs": kernel.target_folder() / "release", "binding": binding, "work": work_folder()}
    for folder in ("template", "answers", "outline", "config"):
        shutil.rmtree(work_folder() / folder, ignore_errors=True)
    written = []
    with tarfile.open(path) as archive:
        for member in archive:
            top, _, rest = member.name.partition("/")
            if top not in places or ".." in Path(rest).parts or not (member.isfile() or member.isdir()):
                continue
            target = places[top] / rest
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            with part.open("wb") as out:
                shutil.copyfileobj(archive.extractfile(member), out, CHUNK)
            part.chmod(0o755 if member.mode & 0o100 else 0o644)
            part.replace(target)
            written.append(target)
    theirs, ours = manifest["folders"], _folders(binding, torch)
    for target in written:
        _move(target, theirs, ours)
    kernel.configure(binding)
    STAMP.parent.mkdir(parents=True, exist_ok=True)
    STAMP.write_text(manifest["sources"])
    kernel.say_prepared()
    done(f"unpacked {path.name}", started)


def _move(path: Path, theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Writes this machine's folders over those of the archive's, in a text or in a compiled file."""
    is_compiled = path.name in PROGRAMS or path.suffix == ".so"
    if not is_compiled and path.name not in ("Cargo.toml", "evcxr.toml", "recipe.json"):
        return
    write = (lambda folder: kernel.padded(folder).encode()) if is_compiled else str.encode
    over = {write(theirs[name]): write(ours[name]) for name in theirs}
    # As the kernel keeps texts (`portable` in its quick/tools.rs).
    kept = theirs["binding"].replace(theirs["project"], "\\u0001PROJECT\\u0001")
    over |= {kept.encode(): ours["binding"].encode()}
    if is_compiled:
        over |= {write(theirs["binding"] + "/libtch.so"): write(ours["binding"] + "/libtch.so")}
    # In one pass, so that what is written is not written over; the longest first, as one folder may lie in another.
    pattern = re.compile(b"|".join(re.escape(old) for old in sorted(over, key=len, reverse=True)))
    before = path.read_bytes()
    data = pattern.sub(lambda found: over[found[0]], before)
    if data != before:
        path.write_bytes(data)

"""What is compiled at set-up: the C++ binding, the kernel and the command, and the folder that
makes a first cell quick."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

from . import machines, tools
from .layout import CACHE, CARGO_CONFIG, KERNEL_NAME, LAB, ROOT, STAMPS, STOCK_KERNEL_NAME, VENV, target_folder, work_folder
from .libtorch import Libtorch
from .say import Problem, done, line

LIBRARY = ROOT / "crates" / "glasslab"
PREPARED = STAMPS / "prepared"


# Paths in compiled files are made this long by slashes in front, which count as one: so that `scripts/lab --from` can
# write another machine's paths over them.
PATH_LENGTH = 400


def padded(path: Path | str) -> str:
    """A path as compiled files name it."""
    return str(path).rjust(PATH_LENGTH, "/")


def binding_folder(torch: Libtorch, compiler: str | None = None, source: Path | None = None, searched: bool = False) -> Path:
    """Where the C++ binding for this libtorch, by this compiler, lies or will lie."""
    version = source.name if source else f"torch-sys-{_torch_sys_version()}"
    key = "\0".join([version, padded(torch.folder), torch.version, str(torch.cuda), compiler or tools.cxx(), str(searched)])
    return CACHE / f"libtch-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def configure(binding: Path) -> None:
    """Tells cargo, in the workspace and in cells, in which folder the C++ binding is: then it does not compile one."""
    _write_if_changed(CARGO_CONFIG, cargo_config(binding, tools.host_triple()))
    # Cells link zstd, which tch's archives bring along; the workspace has compiled it, which takes half a minute.
    _write_if_changed(work_folder() / ".cargo" / "config.toml",
                      cargo_config(binding, tools.host_triple(), {"tch": "tch", "zstd": "static=zstd"}))


def configured_binding() -> Path:
    """The folder of the binding that cargo has been told of."""
    return Path(re.search(r'"native=(.+)"', CARGO_CONFIG.read_text(encoding="utf-8")).group(1))


def build_binding(torch: Libtorch, compiler: str | None = None, source: Path | None = None, searched: bool = False) -> Path:
    """Compiles tch's C++ half once into a library, for the workspace and for every cell.

    Cargo would compile it for each of them, three minutes each time. The library's own name is its
    whole path, so that a program that was linked with it finds it without any search path; a `searched`
    one has a plain name, for programs that run on another machine, and finds libtorch where that machine has it.
    """
    started = time.monotonic()
    compiler = compiler or tools.cxx()
    folder = binding_folder(torch, compiler, source, searched)
    source = source or _torch_sys_source()
    library = folder / f"libtch{machines.LIBRARY}"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        include = [f"-I{torch.folder / 'include'}", f"-I{torch.folder / 'include/torch/csrc/api/include'}"]
        flags = ["-std=c++17", "-O2", "-fPIC", "-w", "-DGLOG_USE_GLOG_EXPORT", *include]
        units = [source / "libtch" / name for name in ("torch_api.cpp", "torch_api_generated.cpp")]
        objects = [folder / (unit.stem + ".o") for unit in units]
        compiles = [subprocess.Popen([compiler, *flags, "-c", str(unit), "-o", str(target)],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **tools.TEXT)
                    for unit, target in zip(units, objects)]
        for compile_ in compiles:
            _require(compile_.communicate()[0], compile_.returncode, "the C++ half of tch")
        cuda = ["-ltorch_cuda", "-lc10_cuda"] if torch.cuda else []
        partial = library.with_name(library.name + ".part")
        # It calls back into tch's Rust half, for streams only: Linux lets a library do that unasked, a Mac when told.
        if sys.platform == "darwin":
            kind = ["-dynamiclib", f"-Wl,-install_name,{library}", "-Wl,-undefined,dynamic_lookup", "-Wl,-no_fixup_chains",
                    f"-Wl,-rpath,{torch.lib}"]
        else:
            own_name, own_path = (library.name, []) if searched else (padded(library), [f"-Wl,-rpath,{padded(torch.lib)}"])
            kind = ["-shared", f"-Wl,-soname,{own_name}", "-Wl,--no-as-needed", *own_path]
        link = subprocess.run(
            [compiler, *kind, "-o", str(partial), *map(str, objects), f"-L{torch.lib}", "-ltorch_cpu", "-lc10", *cuda],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **tools.TEXT)
        _require(link.stdout, link.returncode, library.name)
        for file in objects:
            file.unlink()
        partial.replace(library)
    done(str(library), started)
    return library


def _require(output: str, status: int, what: str) -> None:
    if status != 0:
        raise Problem(f"The C++ compiler could not build {what}; it needs C++17 and about 1 GB of memory. Its last "
                      "words:\n" + output.strip()[-1500:])


def _torch_sys_version() -> str:
    return re.search(r'name = "torch-sys"\nversion = "(.+)"', (ROOT / "Cargo.lock").read_text()).group(1)


def _torch_sys_source() -> Path:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    answer = subprocess.run(command, cwd=ROOT, env=tools.cargo_environment(), stdout=subprocess.PIPE, **tools.TEXT)
    if answer.returncode != 0:
        raise Problem("cargo could not fetch the crates (its message stands above). Set-up needs the network once: check "
                      "the connection or the proxy, then run the same command again.")
    packages = json.loads(answer.stdout)["packages"]
    return next(Path(package["manifest_path"]).parent for package in packages if package["name"] == "torch-sys")


def cargo_config(folder: Path, triple: str, libraries: dict[str, str] | None = None) -> str:
    """Where cargo finds what would else be compiled once more: by a crate's `links`, the library that is linked."""
    search = json.dumps("native=" + str(folder))
    tables = [f'[target.{triple}.{links}]\nrustc-link-search = [{search}]\nrustc-link-lib = ["{library}"]\n'
              for links, library in (libraries or {"tch": "tch"}).items()]
    return "# Written by scripts/lab setup: where cargo finds the C++ binding of tch, compiled once.\n" + "".join(tables)


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(text)
        part.replace(path)


def program(name: str) -> Path:
    return target_folder() / "release" / name


def example(name: str) -> Path:
    """Builds an example of the library beside the programs, as alone it would have all of the library built once more."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--workspace", "--bins", "--example", name]
    if subprocess.run(command, cwd=ROOT, env=tools.cargo_environment()).returncode != 0:
        raise Problem(f"cargo could not build the example {name} (its message stands above).")
    return target_folder() / "release" / "examples" / name


def build_programs(binding: Future) -> None:
    """Builds the kernel and the command, while `binding` is being made; cargo shows its progress and goes on where it
    stopped."""
    started = time.monotonic()
    command = ["cargo", "build", "--release", "--locked", "-p", "glasslab-kernel", "-p", "glasslab-cli"]
    build = lambda: subprocess.run(command, cwd=ROOT, env=tools.cargo_environment()).returncode
    status, was_there = build(), binding.done()
    binding.result()
    # The command is linked with the binding, last of all; if it came first, it is linked now.
    if status != 0 and (was_there or build() != 0):
        raise Problem("cargo could not build the kernel (its message stands above). If it names the network, connect and "
                      "run the same command again; if it says 'No space left', free some disk.")
    _keep_zstd(configured_binding())
    done(str(program("glasslab-kernel")), started)


def _keep_zstd(folder: Path) -> None:
    """Puts the zstd that the workspace has compiled where cells find it."""
    compiled = max((target_folder() / "release" / "build").glob("zstd-sys-*/out/libzstd.a"), key=lambda path: path.stat().st_mtime)
    part = folder / "libzstd.a.part"
    shutil.copyfile(compiled, part)
    part.replace(folder / compiled.name)


def prepare() -> None:
    """Builds the library once the way a cell does, so that no notebook waits for it."""
    started = time.monotonic()
    if is_prepared():
        done("already there", started)
        return
    key = _prepared_key()  # of the state that is built: it may change meanwhile
    PREPARED.unlink(missing_ok=True)
    command = [program("glasslab-kernel"), "--prepare", str(LIBRARY)]
    answer = subprocess.run(command, env={**tools.cargo_environment(), **_folders()}, stdout=subprocess.DEVNULL)
    if answer.returncode != 0:
        raise Problem("The library could not be prepared for notebooks (the message stands above). "
                      "`scripts/lab clean` and `scripts/lab setup` start anew.")
    say_prepared(key)
    done(str(work_folder() / "template"), started)


def say_prepared(key: str | None = None) -> None:
    """Says that the prepared folder is of this state, or of the one that has the key."""
    PREPARED.parent.mkdir(parents=True, exist_ok=True)
    PREPARED.write_text(key or _prepared_key())


def _folders() -> dict[str, str]:
    """What the kernel must know of this clone."""
    return {"GLASSLAB_WORK": str(work_folder()), "GLASSLAB_PROJECT": str(ROOT)}


def is_prepared() -> bool:
    return PREPARED.exists() and PREPARED.read_text() == _prepared_key() and (work_folder() / "template").exists()


def _prepared_key() -> str:
    """Changes when anything does that the prepared folder was built from."""
    parts = [str(ROOT), sources_digest(LIBRARY, ROOT / "crates" / "glasslab-wire", ROOT / "data"), CARGO_CONFIG.read_text(),
             tools.rustc_version(), str(program("glasslab-kernel").stat().st_mtime_ns)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def sources_digest(*folders: Path) -> str:
    """Changes when a file in these folders does, or a version of what they are built from; not with their place."""
    digest = hashlib.sha256()
    files = [ROOT / "Cargo.lock", ROOT / "Cargo.toml"]
    for folder in folders:
        files += sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def kernel_folder(name: str) -> Path:
    return VENV / "share" / "jupyter" / "kernels" / name


def ensure_stock(torch: Libtorch) -> None:
    """Plain evcxr_jupyter, built when somebody wants to compare with it, and its entry in the project's Jupyter."""
    line("Building plain evcxr_jupyter, to compare with; nothing to do if that is done.")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--workspace", "--features", "glasslab-kernel/stock",
               "--bin", STOCK_KERNEL_NAME]
    if subprocess.run(command, cwd=ROOT, env=tools.cargo_environment()).returncode != 0:
        raise Problem("cargo could not build evcxr_jupyter (its message stands above).")
    # It knows nothing of the prepared folder and builds everything in one of its own; below the working folder, so
    # that its cells find the C++ binding, without which a dynamic library does not load. A cell finds Rust's standard
    # library by a relative path that is right only where the two have no folder in common: so it is told.
    own = work_folder() / "stock"
    own.mkdir(parents=True, exist_ok=True)
    std = tools.run(["rustc", "--print", "target-libdir"], f"rustc does not run. {tools.ADVICE['cargo']}").strip()
    _install(STOCK_KERNEL_NAME, "Rust (stock evcxr)", {
        "LIBTORCH": str(torch.folder), "TMPDIR": str(own), machines.LIBRARY_PATH: std, "CARGO_HOME": tools.cargo_environment().get("CARGO_HOME"),
        "GLASSLAB_NOTEBOOK": "1", "GLASSLAB_COMMAND": str(program("glasslab"))})


def has_stock() -> bool:
    return program(STOCK_KERNEL_NAME).exists() and (kernel_folder(STOCK_KERNEL_NAME) / "kernel.json").exists()


def install_kernelspec(rust: Path | None = None) -> None:
    """Tells the project's own Jupyter (and no other) of the kernel; with `rust`, for users who may have another one or none,
    and have a cargo's folder of their own."""
    started = time.monotonic()
    home = {"GLASSLAB_RUST": str(rust)} if rust else {"CARGO_HOME": tools.cargo_environment().get("CARGO_HOME")}
    # The library runs the command for what the cells are not built with: the network and parquet.
    _install("glasslab-kernel", "Rust (glasslab)", {**_folders(), **home, "GLASSLAB_COMMAND": str(program("glasslab"))})
    done(f"kernel '{KERNEL_NAME}' in {LAB.name}/python", started)


def _install(binary: str, title: str, variables: dict[str, str | None]) -> None:
    spec = {"argv": [str(program(binary)), "--control_file", "{connection_file}"], "display_name": title, "language": "rust",
            "interrupt_mode": "message", "env": {key: value for key, value in variables.items() if value}}
    name = KERNEL_NAME if binary == "glasslab-kernel" else binary
    _write_if_changed(kernel_folder(name) / "kernel.json", json.dumps(spec, indent=1) + "\n")

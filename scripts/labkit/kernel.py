"""What is compiled at set-up: the C++ binding, the kernel and the command, and the folder that
makes a first cell quick."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from . import machines, tools
from .layout import CACHE, CARGO_CONFIG, KERNEL_NAME, LAB, ROOT, STAMPS, STOCK_KERNEL_NAME, VENV, work_folder
from .libtorch import Libtorch
from .say import Problem, done

LIBRARY = ROOT / "crates" / "glasslab"
PREPARED = STAMPS / "prepared"


def build_binding(torch: Libtorch) -> Path:
    """Compiles tch's C++ half once into a library, for the workspace and for every cell.

    Cargo would compile it for each of them, three minutes each time. The library's own name is its
    whole path, so that a program that was linked with it finds it without any search path.
    """
    started = time.monotonic()
    library = compile_binding(torch, tools.cxx())
    for config in (CARGO_CONFIG, work_folder() / ".cargo" / "config.toml"):
        _write_if_changed(config, cargo_config(library.parent, tools.host_triple()))
    done(str(library), started)
    return library


def compile_binding(torch: Libtorch, compiler: str) -> Path:
    source = _torch_sys_source()
    key = "\0".join([source.parent.name, str(torch.folder), torch.version, str(torch.cuda), compiler])
    folder = CACHE / f"libtch-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    library = folder / f"libtch{machines.LIBRARY}"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        include = [f"-I{torch.folder / 'include'}", f"-I{torch.folder / 'include/torch/csrc/api/include'}"]
        flags = ["-std=c++17", "-O2", "-fPIC", "-w", "-DGLOG_USE_GLOG_EXPORT", *include]
        units = [source / "libtch" / name for name in ("torch_api.cpp", "torch_api_generated.cpp")]
        objects = [folder / (unit.stem + ".o") for unit in units]
        compiles = [subprocess.Popen([compiler, *flags, "-c", str(unit), "-o", str(target)],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                    for unit, target in zip(units, objects)]
        for compile_ in compiles:
            _require(compile_.communicate()[0], compile_.returncode, "the C++ half of tch")
        cuda = ["-ltorch_cuda", "-lc10_cuda"] if torch.cuda else []
        partial = library.with_name(library.name + ".part")
        # It calls back into tch's Rust half, for streams only: Linux lets a library do that unasked, a Mac when told.
        kind = (["-dynamiclib", f"-Wl,-install_name,{library}", "-Wl,-undefined,dynamic_lookup", "-Wl,-no_fixup_chains"]
                if sys.platform == "darwin" else ["-shared", f"-Wl,-soname,{library}", "-Wl,--no-as-needed"])
        link = subprocess.run(
            [compiler, *kind, "-o", str(partial), *map(str, objects), f"-L{torch.lib}", "-ltorch_cpu", "-lc10", *cuda, f"-Wl,-rpath,{torch.lib}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        _require(link.stdout, link.returncode, library.name)
        for file in objects:
            file.unlink()
        partial.replace(library)
    return library


def _require(output: str, status: int, what: str) -> None:
    if status != 0:
        raise Problem(f"The C++ compiler could not build {what}; it needs C++17 and about 1 GB of memory. Its last "
                      "words:\n" + output.strip()[-1500:])


def _torch_sys_source() -> Path:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    answer = subprocess.run(command, cwd=ROOT, env=tools.cargo_environment(), stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Problem("cargo could not fetch the crates (its message stands above). Set-up needs the network once: check "
                      "the connection or the proxy, then run the same command again.")
    packages = json.loads(answer.stdout)["packages"]
    return next(Path(package["manifest_path"]).parent for package in packages if package["name"] == "torch-sys")


def cargo_config(folder: Path, triple: str) -> str:
    return ("# Written by scripts/lab setup: where cargo finds the C++ binding of tch, compiled once.\n"
            f"[target.{triple}.tch]\n"
            f"rustc-link-search = [{json.dumps('native=' + str(folder))}]\n"
            'rustc-link-lib = ["tch"]\n')


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(text)
        part.replace(path)


def target_folder() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()


def program(name: str) -> Path:
    return target_folder() / "release" / name


def build_programs() -> None:
    """Builds the kernel and the command; cargo shows its progress and goes on where it stopped."""
    started = time.monotonic()
    command = ["cargo", "build", "--release", "--locked", "-p", "glasslab-kernel", "-p", "glasslab-cli"]
    if subprocess.run(command, cwd=ROOT, env=tools.cargo_environment()).returncode != 0:
        raise Problem("cargo could not build the kernel (its message stands above). If it names the network, connect and "
                      "run the same command again; if it says 'No space left', free some disk.")
    done(str(program("glasslab-kernel")), started)


def prepare() -> None:
    """Builds the library once the way a cell does, so that no notebook waits for it."""
    started = time.monotonic()
    if is_prepared():
        done("already there", started)
        return
    key = _prepared_key()
    PREPARED.unlink(missing_ok=True)
    command = [program("glasslab-kernel"), "--prepare", str(LIBRARY)]
    environment = {**tools.cargo_environment(), "GLASSLAB_WORK": str(work_folder())}
    answer = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
    if answer.returncode != 0:
        raise Problem("The library could not be prepared for notebooks (the message stands above). "
                      "`scripts/lab clean` and `scripts/lab setup` start anew.")
    PREPARED.parent.mkdir(parents=True, exist_ok=True)
    PREPARED.write_text(key)
    done(str(work_folder() / "template"), started)


def is_prepared() -> bool:
    return PREPARED.exists() and PREPARED.read_text() == _prepared_key() and (work_folder() / "template").exists()


def _prepared_key() -> str:
    """Changes when anything does that the prepared folder was built from."""
    digest = hashlib.sha256()
    sources = [ROOT / "Cargo.lock", ROOT / "Cargo.toml", CARGO_CONFIG]
    for folder in (LIBRARY, ROOT / "crates" / "glasslab-wire", ROOT / "data"):
        sources += sorted(path for path in folder.rglob("*") if path.is_file())
    for path in sources:
        digest.update(str(path).encode() + b"\0" + path.read_bytes())
    digest.update(subprocess.run(["rustc", "-vV"], capture_output=True).stdout)
    digest.update(str(program("glasslab-kernel").stat().st_mtime_ns).encode())
    return digest.hexdigest()


def kernel_folder(name: str) -> Path:
    return VENV / "share" / "jupyter" / "kernels" / name


def install_kernelspec(torch: Libtorch) -> None:
    """Tells the project's own Jupyter (and no other) of the kernel, and of plain evcxr beside it."""
    started = time.monotonic()
    kernel = str(program("glasslab-kernel"))
    # The library runs the command for what the cells are not built with: the network and parquet.
    environment = {"GLASSLAB_WORK": str(work_folder()), "CARGO_HOME": tools.cargo_environment().get("CARGO_HOME"),
                   "GLASSLAB_COMMAND": str(program("glasslab"))}
    # evcxr_jupyter alone knows nothing of the prepared folder and builds everything in one of its own; below the
    # working folder, so that its cells find the C++ binding, without which a dynamic library does not load.
    own = work_folder() / "stock"
    own.mkdir(parents=True, exist_ok=True)
    stock = {"LIBTORCH": str(torch.folder), "TMPDIR": str(own), "CARGO_HOME": environment["CARGO_HOME"],
             "GLASSLAB_NOTEBOOK": "1", "GLASSLAB_COMMAND": environment["GLASSLAB_COMMAND"]}
    specs = [(KERNEL_NAME, "Rust (glasslab)", ["--control_file"], environment),
             (STOCK_KERNEL_NAME, "Rust (stock evcxr)", ["--stock", "--control_file"], stock)]
    for name, title, options, variables in specs:
        spec = {"argv": [kernel, *options, "{connection_file}"], "display_name": title, "language": "rust",
                "interrupt_mode": "message", "env": {key: value for key, value in variables.items() if value}}
        _write_if_changed(kernel_folder(name) / "kernel.json", json.dumps(spec, indent=1) + "\n")
    done(f"kernels '{KERNEL_NAME}' and '{STOCK_KERNEL_NAME}' in {LAB.name}/python", started)

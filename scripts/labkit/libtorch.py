"""libtorch, the tensor library under everything: found where it is, else fetched.

Order: LIBTORCH, a Python's torch that the person points to, what an earlier set-up chose or
fetched, and else the `torch` package of the Python package index: on a machine without an NVIDIA
GPU only the libraries and the headers that the CPU needs (on x86-64 135 MB instead of 527), with
one the whole package.
"""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import download, machines, python_env, tools
from .layout import CACHE, LAB, ROOT, TORCH_OF_TCH, TORCH_VERSION
from .say import Problem, done, line

# The `torch` wheels whose CPU part is enough, by machine: file name, SHA-256 of its RECORD, and
# further wheels that hold libraries which libtorch_cpu names though it never calls them here.
WHEELS = {
    machines.LINUX: [
        ("torch", "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl", "047e634e96d5bc54b146ddb04a470175e886d18d89439c44e371e870e2dfa0de"),
        ("nvidia-cuda-runtime",
         "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "34c7a65651597fd8a376b049b69bb26db399a9ea443a7a142ccd34f5a10f79c4"),
        ("nvidia-cuda-cupti", "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl", "f8ae8ddce85f8e319abac90e956bf45a572e31f4ff01af2d634f37aa3d78e3eb"),
    ],
    machines.ARM_LINUX: [
        ("torch", "torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl", "471beaed31dcf3209fc587fdfee9e2eeba8a159462eb20d8736a2ddad7fb3205"),
        ("nvidia-cuda-runtime",
         "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", "8ff0b015e7bb39dbf9cfc2a997cdb581914c6661dbbdbc1a71c7cc3da6a4dc11"),
        ("nvidia-cuda-cupti", "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl", "d26eaae605b8bd5e97a7355a3938d2213f2062f0f23d2afd1c00c9d8647cf4a6"),
    ],
    machines.MAC: [
        ("torch", "torch-2.13.0-cp312-cp312-macosx_14_0_arm64.whl", "2f336cdf0e55ecfcbf49751d40b8b179ae14890f8e569ae10527898f288ac1ce"),
    ],
}
_ANY_LINUX = {"libc10.so", "libtorch_cpu.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
CPU_LIBRARIES = {
    machines.LINUX: _ANY_LINUX,
    machines.ARM_LINUX: _ANY_LINUX | {
        "libarm_compute.so", "libarm_compute_graph.so", "libgfortran.so.5", "libnvpl_blas_core.so.0", "libnvpl_blas_lp64_gomp.so.0",
        "libnvpl_lapack_core.so.0", "libnvpl_lapack_lp64_gomp.so.0"},
    # The last is what tch's build asks for; it holds nothing, and names the CPU's library.
    machines.MAC: {"libc10.dylib", "libtorch_cpu.dylib", "libomp.dylib", "libtorch.dylib"},
}

CHOICE = LAB / "libtorch.path"
CHOSEN = "chosen at set-up"


@dataclass
class Libtorch:
    """A libtorch: its folder (with lib/ and include/), version, and where it came from."""

    folder: Path
    version: str
    origin: str

    @property
    def lib(self) -> Path:
        return self.folder / "lib"

    @property
    def cuda(self) -> bool:
        return (self.lib / "libtorch_cuda.so").exists()


def wanted_version() -> str:
    """The torch release that the `tch` in Cargo.lock is made for, e.g. `2.13`."""
    lock = (ROOT / "Cargo.lock").read_text()
    tch = re.search(r'name = "tch"\nversion = "(\d+\.\d+)', lock).group(1)
    return TORCH_OF_TCH[tch]


def has_nvidia_gpu() -> bool:
    tool = shutil.which("nvidia-smi")
    return bool(tool) and subprocess.run([tool, "-L"], capture_output=True).returncode == 0


def find(torch_from: str | None = None) -> Libtorch | None:
    """The libtorch to use, if one is there. Raises a Problem if a chosen one does not fit."""
    if os.environ.get("LIBTORCH"):
        return _checked(Path(os.environ["LIBTORCH"]), "LIBTORCH")
    if torch_from:
        return _checked(_folder_of_python(torch_from), f"torch of {torch_from}")
    if CHOICE.exists():
        folder = Path(CHOICE.read_text().strip())
        if folder.exists():
            return _checked(folder, CHOSEN)
    for kind in ("cuda", "cpu"):
        folder = cached_folder(kind)
        if (folder / "build-version").exists() and (kind == "cpu" or has_nvidia_gpu()):
            return _checked(folder, "fetched by set-up")
    return None


def cached_folder(kind: str) -> Path:
    base = CACHE / f"libtorch-{TORCH_VERSION}-{kind}"
    return base / "torch" if kind == "cuda" else base


def _folder_of_python(python: str) -> Path:
    advice = (f"{python} has no torch that it can import. Point --torch-from to a Python that has torch {wanted_version()}, or "
              "leave it out: set-up then fetches libtorch itself.")
    return Path(tools.run([python, "-c", "import torch; print(torch.__path__[0])"], advice).strip())


def _checked(folder: Path, origin: str) -> Libtorch:
    header = folder / "include" / "torch" / "headeronly" / "version.h"
    older = folder / "include" / "torch" / "csrc" / "api" / "include" / "torch" / "version.h"
    text = "".join(path.read_text() for path in (header, older) if path.exists())
    numbers = [re.search(rf"define TORCH_VERSION_{part} (\d+)", text) for part in ("MAJOR", "MINOR", "PATCH")]
    library = folder / "lib" / f"libtorch_cpu{machines.LIBRARY}"
    if not library.exists() or not all(numbers):
        raise Problem(f"No libtorch at {folder} ({origin}): it should hold lib/{library.name} and include/torch. "
                      f"Set LIBTORCH to a whole libtorch, or {_forgetting(origin)}: set-up then fetches one.")
    version = ".".join(number.group(1) for number in numbers)
    wanted = wanted_version()
    if not version.startswith(wanted + "."):
        fitting = {torch: tch for tch, torch in TORCH_OF_TCH.items()}.get(version.rsplit(".", 1)[0])
        other = (f"run `cargo update -p tch --precise {fitting}.0` and then the same command again (tch {fitting} is made for it)"
                 if fitting else f"use torch {wanted}")
        raise Problem(f"libtorch at {folder} ({origin}) is version {version}, but Cargo.lock pins a tch made for "
                      f"{wanted}. Either {other}, or {_forgetting(origin)}: set-up then fetches {TORCH_VERSION}.")
    return Libtorch(folder, version, origin)


def _forgetting(origin: str) -> str:
    """How a libtorch that does not fit is used no longer."""
    return f"remove {CHOICE} and run `scripts/lab setup`" if origin == CHOSEN else "unset LIBTORCH and leave out --torch-from"


def ensure(torch_from: str | None = None) -> Libtorch:
    """Finds or fetches libtorch, and remembers a choice for next time."""
    started = time.monotonic()
    found = find(torch_from)
    if found is None:
        found = _fetch()
    elif torch_from or os.environ.get("LIBTORCH"):
        CHOICE.parent.mkdir(parents=True, exist_ok=True)
        CHOICE.write_text(f"{found.folder}\n")
    done(f"libtorch {found.version} at {found.folder} ({found.origin})", started)
    return found


def _fetch() -> Libtorch:
    if wanted_version() != TORCH_VERSION.rsplit(".", 1)[0]:
        raise Problem(f"Cargo.lock pins a tch made for torch {wanted_version()}, and set-up fetches only "
                      f"{TORCH_VERSION}. Set LIBTORCH to a torch {wanted_version()}, or run "
                      "`git checkout Cargo.lock`.")
    if has_nvidia_gpu():
        return _fetch_whole()
    machine = machines.this()
    if machine not in WHEELS:
        raise Problem(f"Set-up knows no libtorch to fetch for {' '.join(machine)}. {machines.finding().advice}")
    return fetch_for_cpu(machine, cached_folder("cpu"))


def fetch_for_cpu(machine: tuple[str, str], folder: Path) -> Libtorch:
    """What a machine's processor needs of its wheels."""
    index = download.index_url(python_env.python())
    for package, wheel, record in WHEELS[machine]:
        download.fetch_members(index, package, wheel, record, lambda name: _cpu_member(name, machine), folder)
    missing = [name for name in sorted(CPU_LIBRARIES[machine]) if not (folder / "lib" / name).exists()]
    if missing:
        raise Problem(f"The wheels of torch {TORCH_VERSION} hold no {', '.join(missing)}, which libtorch needs on {' '.join(machine)}. "
                      "Update the project; until then, set LIBTORCH to a libtorch of your own.")
    if machine[0] == "linux":
        # tch's build asks for -ltorch; a linker script forwards it to the CPU's library.
        (folder / "lib" / "libtorch.so").write_text("INPUT ( -ltorch_cpu )\n")
    (folder / "build-version").write_text(f"{TORCH_VERSION}+cpu\n")
    return _checked(folder, "fetched by set-up")


def _cpu_member(name: str, machine: tuple[str, str]) -> str | None:
    """Where a member of a wheel belongs in the folder; None if the CPU does not need it."""
    if name.startswith("torch/include/") and not name.endswith("/"):
        return name.removeprefix("torch/")
    base = name.rsplit("/", 1)[-1]
    return f"lib/{base}" if base in CPU_LIBRARIES[machine] and "/lib/" in name else None


def _fetch_whole() -> Libtorch:
    """The whole CUDA build with its dependencies, by pip, which shows its own progress."""
    line("      an NVIDIA GPU is here: fetching the whole CUDA build (2.5 GB)")
    folder = cached_folder("cuda")
    target = folder.parent
    answer = subprocess.run([python_env.python(), "-m", "pip", "install", "--target", str(target), "--upgrade",
                             f"torch=={TORCH_VERSION}"])
    if answer.returncode != 0:
        raise Problem("pip could not install torch (its message stands above). Mend that and run the same command "
                      "again, or hide the GPU with `CUDA_VISIBLE_DEVICES= LIBTORCH=…` and a libtorch of your own.")
    (folder / "build-version").write_text(f"{TORCH_VERSION}\n")
    return _checked(folder, "fetched by set-up")

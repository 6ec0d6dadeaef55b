"""The bundle: the command, the GPU's tests and tch's C++ half, built against the torch of the machine that will run them.

Another torch takes another tch. So a copy of the sources is built, with a lock file and a target folder of its own; cargo is
started outside of the project, whose own configuration names another libtorch.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from .. import kernel, peers, tools
from ..layout import CACHE, ROOT
from ..libtorch import Libtorch
from ..peers import ours
from ..say import Problem, done, step

TORCH = "2.11.0"
TCH = "0.24.0"
MANIFEST = "manifest.json"
# Of the text, so much: a large model should not know it by heart after a minute.
TEXT_BYTES = 8_000_000


def make(bundle: Path, torch_from: str | None) -> int:
    steps = iter(range(1, 5))
    step(next(steps), 4, f"torch {TORCH}", "its headers and libraries; the machine that runs the check has its own")
    started = time.monotonic()
    torch = _torch(torch_from)
    done(f"{torch.version} at {torch.folder}", started)
    step(next(steps), 4, f"The sources, with tch {TCH}", "a copy: another torch takes another tch")
    started = time.monotonic()
    sources = _sources()
    done(str(sources), started)
    step(next(steps), 4, "The C++ half of tch", "with CUDA linked, whether or not a symbol asks for it")
    started = time.monotonic()
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / MANIFEST).unlink(missing_ok=True)  # what is half made is no bundle
    library = _binding(sources, torch)
    shutil.copy2(library, bundle / library.name)
    done(str(library), started)
    step(next(steps), 4, "The command and the tests", "this takes a few minutes the first time")
    started = time.monotonic()
    for program, name in _programs(sources, library.parent).items():
        shutil.copy2(program, bundle / name)
    for text, name in zip(ours.texts(), ("train.txt", "held-out.txt")):
        (bundle / name).write_bytes(_beginning(text.read_bytes()))
    manifest = _manifest(bundle)
    (bundle / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    size = sum(file["bytes"] for file in manifest["files"].values())
    done(f"{size / 2**20:.1f} MiB in {bundle}", started)
    return 0


def _torch(torch_from: str | None) -> Libtorch:
    python = torch_from or str(peers.environment(TORCH))
    program = "import torch; print(torch.__path__[0]); print(torch.__version__)"
    folder, version = tools.run([python, "-c", program], f"{python} can't import torch.").splitlines()
    torch = Libtorch(Path(folder), version, python)
    if not version.startswith(TORCH.rsplit(".", 1)[0] + ".") or not torch.cuda:
        raise Problem(f"{python} has torch {version}{'' if torch.cuda else ', without CUDA'}; the bundle needs {TORCH}, whole: "
                      "leave --torch-from out, and one is fetched.")
    return torch


def _sources() -> Path:
    sources = CACHE / "gpu-check" / "sources"
    lock = sources / "Cargo.lock"
    for folder in ("crates", "data"):
        shutil.rmtree(sources / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, sources / folder)  # with their times: cargo builds what has changed
    shutil.copy2(ROOT / "Cargo.toml", sources)
    shutil.copy2(ROOT / "Cargo.lock", lock)
    _cargo(sources, "update", "-p", "tch", "--precise", TCH)
    return sources


def _cargo(sources: Path, command: str, *arguments, **options) -> subprocess.CompletedProcess:
    full = ["cargo", command, "--manifest-path", sources / "Cargo.toml", *arguments]
    answer = subprocess.run([str(part) for part in full], cwd=ROOT.anchor, env=tools.cargo_environment(), text=True, **options)
    if answer.returncode != 0:
        raise Problem(f"`cargo {command}` failed (its message stands above). It needs the network once.")
    return answer


def _binding(sources: Path, torch: Libtorch) -> Path:
    """libtch.so under its plain name: it finds libtorch, and is found, where the search path says."""
    metadata = _cargo(sources, "metadata", "--format-version", "1", stdout=subprocess.PIPE)
    package = next(one for one in json.loads(metadata.stdout)["packages"] if one["name"] == "torch-sys")
    return kernel.build_binding(torch, source=Path(package["manifest_path"]).parent, searched=True)


def _programs(sources: Path, libtch: Path) -> dict[Path, str]:
    """The programs that cargo makes, and their names in the bundle."""
    config = sources.parent / "config.toml"
    # What libtch.so needs of libtorch is found where the programs run.
    config.write_text(kernel.cargo_config(libtch, tools.host_triple()) + f'[target.{tools.host_triple()}]\n'
                      'rustflags = ["-C", "link-arg=-Wl,--allow-shlib-undefined"]\n')
    target = Path(os.environ.get("CARGO_TARGET_DIR") or sources.parent / "target").absolute()
    made = {}
    for command, wanted, name in [(["build", "-p", "glasslab-cli"], "glasslab", "glasslab"),
                                  (["test", "--no-run", "-p", "glasslab", "--test", "gpu"], "gpu", "gpu-tests")]:
        answer = _cargo(sources, command[0], *command[1:], "--release", "--locked", "--config", config, "--config",
                        'profile.release.strip="symbols"', "--target-dir", target, "--message-format",
                        "json-render-diagnostics", stdout=subprocess.PIPE)
        artifacts = [json.loads(text) for text in answer.stdout.splitlines() if text.startswith("{")]
        made |= {Path(one["executable"]): name for one in artifacts
                 if one["reason"] == "compiler-artifact" and one["executable"] and one["target"]["name"] == wanted}
    return made


def _beginning(text: bytes) -> bytes:
    """Whole stories from the beginning of a text."""
    end = text.rfind(b"<|endoftext|>", 0, TEXT_BYTES)
    return text if len(text) <= TEXT_BYTES or end < 0 else text[:end]


def _manifest(bundle: Path) -> dict:
    try:
        commit = tools.run(["git", "describe", "--always", "--dirty= with changes", "--exclude=*"], "", cwd=ROOT).strip()
    except Problem:
        commit = "unknown"  # the files without their history, or no git
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    files = {path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
             for path in sorted(bundle.iterdir())}
    return {"glasslab": f"{version}, commit {commit}", "tch": TCH, "torch": TORCH,
            "files": files}

"""The check: one part after the other, each in a process of its own with a time limit, so that none can stop the others."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from ..layout import OUT, ROOT
from ..say import Problem, line
from . import parts
from .bundle import MANIFEST

WORK = OUT / "gpu-check-work"
# The parts in the order of their weight, with the most seconds for each; without the first two, the others mean nothing.
PARTS = {"versions": 120, "doctor": 90, "tests": 150, "large": 130, "small": 60, "evaluate": 60, "write": 60, "pictures": 60,
         "beside_large": 120, "beside_small": 100, "beside_nanogpt": 100, "writing_small": 80, "writing_large": 160}
NEEDED = ("versions", "doctor")


def one(bundle: Path, name: str, cpu: bool) -> int:
    """One part; its result is the last line."""
    lines, figures = getattr(parts, name)(parts.Check(bundle, WORK, cpu))
    print(json.dumps({"lines": lines, "figures": figures}))
    return 0


def all_parts(bundle: Path, options) -> int:
    if not (bundle / MANIFEST).exists():
        raise Problem(f"there is no bundle in {bundle}: make it with `scripts/gpu-check bundle` on a machine with Rust, and bring it here")
    unknown = [name for name in options.names if name not in PARTS]
    if unknown:
        raise Problem(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for program in ("glasslab", "gpu-tests"):
        (bundle / program).chmod(0o755)  # not every way of copying keeps it
    variables, results, log = environment(bundle, options.cpu), [], []
    ends = time.monotonic() + options.minutes * 60
    lost = None
    for name, limit in PARTS.items():
        if options.names and name not in options.names:
            continue
        left = ends - time.monotonic()
        if lost or left < 10:
            result = {"state": "left out", "words": f"{lost} failed" if lost else "no time was left", "seconds": 0.0}
        else:
            command = [sys.executable, str(ROOT / "scripts" / "gpu-check"), "part", name, *(["--cpu"] if options.cpu else [])]
            result = attempt(command, variables, left if options.cpu else min(limit, left), log)
        results.append({"part": name, **result})
        if not lost:
            tell(results[-1])
        if name in NEEDED and result["state"] == "failed":
            lost = name
        if options.out:  # after each part, so that a check that is cut off leaves what it knows
            save(options.out, results, log)
    shutil.rmtree(WORK, ignore_errors=True)
    line("\n" + table(results))
    line(json.dumps(results))
    line(counts(results))
    return 0 if all(result["state"] == "passed" for result in results) else 1


def environment(bundle: Path, cpu: bool) -> dict[str, str]:
    """The programs find libtch.so in the bundle and libtorch in this Python's torch; all that is written lies in WORK."""
    torch = importlib.util.find_spec("torch")
    if torch is None:
        raise Problem(f"{sys.executable} has no torch: run this with a Python that has the torch that the bundle is built for")
    packages = Path(torch.origin).parent.parent
    # CUDA's own libraries lie beside torch, in packages of NVIDIA's.
    libraries = [bundle, packages / "torch" / "lib", *sorted(packages.glob("nvidia/*/lib"))]
    variables = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join([*map(str, libraries), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]),
        "GLASSLAB_COMMAND": str(bundle / "glasslab"),
        "GLASSLAB_TORCH_PYTHON": sys.executable,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(WORK),
        "TORCHINDUCTOR_CACHE_DIR": str(WORK / "inductor"),
        "TRITON_CACHE_DIR": str(WORK / "triton"),
        "CUDA_CACHE_PATH": str(WORK / "cuda"),
    }
    # Some machines ask for TF32 behind everybody's back: both sides should multiply float32 in float32.
    for name in ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "NVIDIA_TF32_OVERRIDE"):
        variables.pop(name, None)
    if cpu:
        variables |= {"CUDA_VISIBLE_DEVICES": "", "GLASSLAB_GPU_TESTS_ON_CPU": "1"}
    return variables


def attempt(command: list[str], variables: dict[str, str], limit: float, log: list[str]) -> dict:
    """Runs a part; its result, or its last words."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    late = ""
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        late = f"it took longer than {limit:.0f} s\n"
    finally:
        # Also what it has started.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if late:
        output, errors = process.communicate()
    log += [f"== {' '.join(command[2:])}", errors, output]
    result = {"seconds": round(time.monotonic() - started, 1)}
    if late or process.returncode != 0:
        return {**result, "state": "failed", "words": late + (errors or output).strip().replace("scripts/gpu-check: ", "")[-1500:]}
    return {**result, "state": "passed", **json.loads(output.strip().splitlines()[-1])}


def tell(result: dict) -> None:
    line(f"\n== {result['part']}: {result['state']}, {result['seconds']:.0f} s")
    for what, measured in result.get("lines", []):
        line(f"{what}: {measured}")
    if "words" in result:
        line(result["words"])


def table(results: list[dict]) -> str:
    """All parts as Markdown."""
    cell = lambda text: text.replace("|", "\\|").replace("\n", "<br>")
    rows = ["| part | what | measured |", "|---|---|---|"]
    for result in results:
        lines = result.get("lines") or [[f"**{result['state']}**", result["words"]]]
        rows += [f"| {result['part']} | {cell(what)} | {cell(measured)} |" for what, measured in lines]
    return "\n".join(rows)


def counts(results: list[dict]) -> str:
    number = lambda state: sum(result["state"] == state for result in results)
    return f"{number('passed')} passed, {number('failed')} failed, {number('left out')} left out"


def save(folder: Path, results: list[dict], log: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu-check.md").write_text(f"{table(results)}\n\n{counts(results)}\n", encoding="utf-8")
    (folder / "gpu-check.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "gpu-check.log").write_text("\n".join(log), encoding="utf-8")

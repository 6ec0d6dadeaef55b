"""What is checked, one function a part: each returns lines of (what, measured) for people, and its figures.

A part runs in a process of its own, so it may raise whatever it likes.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .. import peers
from ..benches.train import CASES
from ..peers import ours
from ..say import Problem

PROMPT = "Once upon a time"
# Bytes of text that are enough for the form.
SHORT = 40_000


@dataclass
class Check:
    """Where the bundle lies, where parts leave models for others, and whether all is tried on the processor."""

    bundle: Path
    work: Path
    cpu: bool

    @property
    def device(self) -> str:
        return "cpu" if self.cpu else "cuda"

    @property
    def data(self) -> dict:
        """The text; for the processor its beginning."""
        files = {"data": self.bundle / "train.txt", "held_out": self.bundle / "held-out.txt"}
        if self.cpu:
            for name, whole in files.items():
                files[name] = self.work / whole.name
                files[name].write_bytes(whole.read_bytes()[:SHORT])
        return {name: str(path) for name, path in files.items()}

    def model(self, preset: str) -> Path:
        """What an earlier part trained; where that part was left out or failed, a model of one step."""
        model = self.work / f"{preset}.safetensors"
        if not model.exists():
            self.ask("train", "--preset", preset, "--steps", 1, "--data", self.data["data"], "--held-out", self.data["held_out"],
                     "--out", model)
        return model

    def ask(self, *arguments, **options) -> dict:
        """What the command answers."""
        return peers.measured([self.bundle / "glasslab", *arguments, "--json"], **options)

    def train(self, preset: str, *length) -> tuple[list, dict]:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self.data.items()]
        told = self.ask("train", "--preset", preset, *length, *options, "--out", self.work / f"{preset}.safetensors")
        words = (f"{told['nats_per_char']:.3f} nats/char held out after {told['steps']:,} steps in {told['seconds']:.0f} s; "
                 f"{told['chars_per_s'] / 1e3:,.0f}k characters/s")
        return [[f"`{preset}` trained ({told['parameters']:,} parameters)", words]], told


def versions(check: Check) -> tuple[list, dict]:
    import torch

    manifest = json.loads((check.bundle / "manifest.json").read_text())
    found = {"glasslab": manifest["glasslab"], "tch": manifest["tch"], "built for torch": manifest["torch"],
             "torch": torch.__version__, "CUDA": torch.version.cuda or "none", "Python": sys.version.split()[0],
             "GPU": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none", "driver": _driver()}
    if torch.__version__.split(".")[:2] != manifest["torch"].split(".")[:2]:
        raise Problem(f"this Python has torch {torch.__version__}, the bundle is built for {manifest['torch']}: run this with a "
                      "Python that has it, or make another bundle")
    return [[what, version] for what, version in found.items()], found


def _driver() -> str:
    try:
        answer = subprocess.run(["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"],
                                capture_output=True, text=True)
    except OSError:
        return "none (no nvidia-smi)"
    return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else "none"


def doctor(check: Check) -> tuple[list, dict]:
    told = check.ask("doctor")
    if told["device"] != ("Cpu" if check.cpu else "Cuda(0)"):
        reason = (told["no_gpu"] or "it sees one, but does not take it").split("\n")[0]
        raise Problem(f"no GPU here that glasslab could use; libtorch says: {reason}\n(`run --cpu` tries everything on the processor)")
    if not told["computes"]:
        raise Problem(f"a million ones don't sum to a million on {told['device']}")
    words = f"{told['device']}, of {told['gpus']} GPUs" if not told["no_gpu"] else f"{told['device']} ({told['no_gpu'].splitlines()[0]})"
    return [["glasslab computes on", words]], told


def tests(check: Check) -> tuple[list, dict]:
    """The tests of crates/glasslab/tests/gpu.rs."""
    answer = subprocess.run([check.bundle / "gpu-tests", "--ignored", "--nocapture", "--test-threads=1"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(answer.stdout)
    counted = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed", answer.stdout)
    figures = {name: float(number) for name, number in re.findall(r"^figure: (.+) = (\S+)$", answer.stdout, re.MULTILINE)}
    if answer.returncode != 0 or not counted or int(counted.group(1)) == 0:
        told = f"{counted.group(1)} passed, {counted.group(2)} failed" if counted else "they did not end"
        raise Problem(f"the GPU's tests: {told}\n" + failures(answer.stdout))
    lines = [["the GPU's tests", f"{counted.group(1)} passed"]]
    return lines + [[name, f"{number:.1e}"] for name, number in figures.items()], {"passed": int(counted.group(1)), **figures}


def failures(output: str) -> str:
    """What failed tests say, each from its panic on."""
    panics = re.findall(r"^thread '.*?panicked at .*?(?=^test |\Z|^figure: |^note: |^stack backtrace:|^$)", output, re.MULTILINE | re.DOTALL)
    return "\n".join(panic.strip()[:800] for panic in panics) or output.strip()[-1500:]


def small(check: Check) -> tuple[list, dict]:
    return check.train("small", "--steps", 3 if check.cpu else 2000)


def large(check: Check) -> tuple[list, dict]:
    if check.cpu:
        return check.train("large", "--steps", 2, "--batch-size", 2, "--n-layers", 1, "--emb-dim", 64)
    return check.train("large", "--seconds", 60, "--batch-size", 64)


def evaluate(check: Check) -> tuple[list, dict]:
    """The held-out loss of `small` on the GPU and on the processor: the same."""
    ask = ["evaluate", check.model("small"), "--data", check.data["held_out"]]
    here = check.ask(*ask)
    there = check.ask(*ask, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    apart = abs(here["nats_per_char"] - there["nats_per_char"])
    if not apart < 1e-4 * there["nats_per_char"]:
        raise Problem(f"`small` has {here['nats_per_char']} nats/char here and {there['nats_per_char']} on the processor")
    words = f"{here['nats_per_char']:.4f} nats/char over {here['chars']:,} characters, {apart:.0e} beside the processor's"
    return [["`small` evaluated", words]], {**here, "off": apart}


def pictures(check: Check) -> tuple[list, dict]:
    """Every picture of a model that lies on the GPU; a wrong device in any of them is an error."""
    told = check.ask("gallery", check.model("small"), "--film-steps", 3 if check.cpu else 100, "--out", check.work / "gallery.html")
    return [["pictures of `small` drawn", str(told["pictures"])]], told


def write(check: Check) -> tuple[list, dict]:
    lines, figures = [], {}
    for preset in ("small", "large"):
        options = ["generate", check.model(preset), "--prompt", PROMPT, "--chars", 20 if check.cpu else 300]
        text = check.ask(*options)["texts"][0]["text"]
        if not text.startswith(PROMPT) or len(text) != len(PROMPT) + int(options[-1]):
            raise Problem(f"`{preset}` wrote {text!r}")
        lines.append([f"`{preset}` writes", repr(text)])
        figures[f"{preset} text"] = text
    return lines, figures


def beside_small(check: Check) -> tuple[list, dict]:
    return _training(check, "small")


def beside_nanogpt(check: Check) -> tuple[list, dict]:
    return _training(check, "nanogpt")


def beside_large(check: Check) -> tuple[list, dict]:
    return _training(check, "large")


def _training(check: Check, name: str) -> tuple[list, dict]:
    """A training step beside PyTorch's, eager and compiled: the same model, batch, optimiser, text and precision."""
    # For the form, the smallest shows all, and is compiled once.
    model, steps, modes = (name, 300, ("eager", "compile")) if not check.cpu else ("small", 2, ("eager", "compile")[:1 + (name == "small")])
    options, config, optimiser, batch, _ = CASES[model]
    speeds = {"glasslab": ours.train({**options, **check.data, "steps": steps}, config, {"reports": 1})["chars_per_s"]}
    for mode in modes:
        theirs = peers.run("train", **check.data, model=model, optimiser=optimiser, mode=mode, batch=batch, steps=steps, device=check.device)
        speeds[mode] = theirs["chars_per_s"]
    return [_row(f"`{name}` trained, characters/s", speeds)], speeds


def writing_small(check: Check) -> tuple[list, dict]:
    return _writing(check, "small")


def writing_large(check: Check) -> tuple[list, dict]:
    return _writing(check, "large")


def _writing(check: Check, preset: str) -> tuple[list, dict]:
    """Characters a second for one prompt and for 64, beside PyTorch with a KV cache."""
    lines, figures = [], {}
    share = 2 if preset == "large" else 1  # it takes seven times as long a character
    for batch, chars in ((1, 24), (2, 24)) if check.cpu else ((1, 2000 // share), (64, 1000 // share)):
        speeds = {"glasslab": _writing_speed(check, preset, batch, chars)}
        theirs = peers.run("generate", model=preset, batch=batch, chars=chars, cache="with", device=check.device)
        speeds["eager"] = theirs["with"]
        lines.append(_row(f"`{preset}` writes to {batch} prompt{'s' if batch > 1 else ''}, characters/s", speeds))
        figures[f"{batch} prompts"] = speeds
    return lines, figures


def _writing_speed(check: Check, preset: str, batch: int, chars: int) -> float:
    """Of what a long text takes more than a short one: the first characters warm the GPU up, as PyTorch's own do before its clock."""
    seconds = [check.ask("generate", check.model(preset), "--samples", batch, "--chars", count)["seconds"] for count in (20, 20 + chars)]
    return batch * chars / max(seconds[1] - seconds[0], 1e-3)


def _row(what: str, speeds: dict) -> list:
    mine = speeds["glasslab"]
    others = [f"PyTorch {mode} {speed / 1e3:,.1f}k ({mine / speed:.2f} ×)" for mode, speed in speeds.items() if mode != "glasslab"]
    return [what, ", ".join([f"glasslab {mine / 1e3:,.1f}k", *others])]

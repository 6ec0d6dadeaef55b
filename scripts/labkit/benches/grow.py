"""How costs grow: with the context, with depth and width, with the data, with open notebooks; beside what theory says.

There is no peer: what counts is the slope on axes of logarithms, at the large end. A model is `small` with one size changed. Learning
takes as many characters a step at every context; of memory, what an idle process has is left out. The lab's own view of
growth draws the pictures of docs/growth.
"""

import itertools
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

from .. import kernel, peers, python_env, tools
from ..claims import Found, Peak, Size
from ..layout import ROOT
from ..peers import ours
from ..say import Problem, line
from .data import glasslab

PICTURES = ROOT / "docs" / "growth"
# Kernels are opened by the lab's own Python, which knows Jupyter.
OPEN = f"""
import json, sys
sys.path.insert(0, {str(ROOT / 'scripts')!r})
from labkit.benches.grow import opened_notebooks
print(json.dumps(opened_notebooks(json.loads(sys.argv[1]))))
"""


def run(size: Size, peak: Peak) -> Found:
    found, program = Found(), kernel.example("grow")
    idle = peers.measured([program, "nothing"])["peak_mb"]

    def measured(kind: str, **sizes: int) -> dict:
        figures = peers.measured([program, kind, *(f"{name}={number}" for name, number in sizes.items())])
        return {**figures, "mb": max(figures["peak_mb"] - idle, 0.1)}

    contexts = size.of([64, 128], [64, 256, 1024], [64, 128, 256, 512, 1024, 2048, 4096, 8192])
    chars, ms = size.of(128, 1024, 8192), size.of(1, 500, 2000)
    learnt = [measured("learn", context_len=context, texts=chars // context, ms=ms) for context in contexts]
    written = [measured("write", context_len=context) for context in contexts]
    per_char = lambda runs, name: [run[name] / run.get("chars", 1) for run in runs]
    microseconds = lambda runs: [1e6 * seconds for seconds in per_char(runs, "seconds")]
    picture(found, "context-time", "characters of context", "µs a character", [
        ("learning", contexts, microseconds(learnt), per_char(learnt, "operations")),
        ("writing one more", contexts, microseconds(written), per_char(written, "operations"))])
    picture(found, "context-memory", "characters of context", "MB", [
        (f"learning, {chars:,} characters a step", contexts, [run["mb"] for run in learnt], [run["bytes"] for run in learnt])])

    deeper = [measured("learn", n_layers=layers, texts=32, ms=ms) for layers in size.of([1, 2], [1, 2, 4], [1, 2, 4, 8, 16, 32])]
    wider = [measured("learn", emb_dim=width, texts=32, ms=ms) for width in size.of([24, 48], [24, 48, 96], [24, 48, 96, 192, 384, 768])]
    parameters = lambda runs: [run["parameters"] for run in runs]
    courses = (("deeper", deeper), ("wider", wider))
    picture(found, "size-time", "parameters", "ms a step", [
        (name, parameters(runs), [1e3 * run["seconds"] for run in runs], [run["operations"] for run in runs]) for name, runs in courses])
    picture(found, "size-memory", "parameters", "MB", [
        (name, parameters(runs), [run["mb"] for run in runs], [run["bytes"] for run in runs]) for name, runs in courses])

    megabytes = size.of([1, 2], [1, 10], [1, 10, 100, 1000])
    opened = [_opened(size) for size in megabytes]
    picture(found, "data", "MB of text", "ms, MB", [
        ("opening, ms", megabytes, [each["opened_ms"] for each in opened], [each["stories"] for each in opened]),
        ("memory, MB", megabytes, [each["resident_bytes"] / 1e6 for each in opened], [1] * len(opened))])

    notebooks = size.of([1, 2], [1, 2], [1, 2, 3, 4, 6])
    answer = subprocess.run([python_env.python(), "-c", OPEN, json.dumps(notebooks)], env=python_env.environment(), stdout=subprocess.PIPE,
                            **tools.TEXT)
    if answer.returncode:
        raise Problem("The open notebooks could not be measured; the message stands above.")
    kernels = json.loads(answer.stdout.splitlines()[-1])
    picture(found, "notebooks", "open notebooks", "MB, ms", [
        ("memory of all, MB", notebooks, [each["mb"] for each in kernels], notebooks),
        ("a small cell in the last, ms", notebooks, [each["cell_ms"] for each in kernels], [1] * len(kernels))])
    return found


def picture(found: Found, name: str, across: str, up: str, courses: list[tuple]) -> None:
    """Draws courses (name, sizes, costs, theory), and tells their slopes."""
    figures = {"across": across, "up": up, "courses": [dict(zip(("name", "sizes", "costs", "theory"), course)) for course in courses]}
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        (Path(folder) / "figures.json").write_text(json.dumps(figures))
        out = Path(folder) / f"{name}.svg"
        slopes = json.loads(tools.run([kernel.target_folder() / "release" / "examples" / "grow", "draw", Path(folder) / "figures.json", out],
                                      "The growth could not be drawn."))["slopes"]
        found.pictures[PICTURES / out.name] = out.read_text(encoding="utf-8")
    for (course, sizes, costs, _), (_, slope, theory) in zip(courses, slopes, strict=True):
        ends = ", ".join(f"{_short(costs[end])} at {sizes[end]:,.0f}" for end in (0, -1))
        line(f"{up} over {across}; {course}: {ends}; slope {slope:.2f}, by theory {theory:.2f}")
        found.figures[f"{name}: {course}"] = {"sizes": sizes, "costs": costs, "slope": slope, "theory": theory}
        found.tell(f"[{up} over {across}](growth/{name}.svg); {course}", f"slope {slope:.2f} ({ends})", f"{theory:.2f} by theory")


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _opened(megabytes: int) -> dict:
    """A text of so many MB, prepared, and what it takes to open it: the middle of five times."""
    stories = ours.texts()[0].read_text(encoding="utf-8").split("<|endoftext|>")
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        text, tokens = Path(folder) / "text.txt", Path(folder) / "text.tokens"
        with text.open("w", encoding="utf-8") as file:
            # Each with a number of its own, as what comes twice is left out.
            numbered = (f"{story.rstrip()} {copy}\n<|endoftext|>\n" for copy in itertools.count() for story in stories)
            written = 0
            while written < megabytes * 1e6:
                written += file.write(next(numbered))
        glasslab(["prepare", text, "--out", tokens, "--clean-up"], Path(folder))
        reports = [glasslab(["inspect", tokens], Path(folder))[0] for _ in range(5)]
    return {name: sorted(report[name] for report in reports)[2] for name in ("opened_ms", "resident_bytes", "stories")}


def opened_notebooks(counts: list[int]) -> list[dict]:
    """With so many kernels open, each of which has a model: the memory of all, shared pages counted once, and a small cell's time."""
    import psutil

    from .kernel import Kernel

    kernels, figures = [], []
    for count in counts:
        while len(kernels) < count:
            kernels.append(Kernel("glasslab"))
            kernels[-1].run("let model = TransformerLm::new(TransformerConfig::small(), best_device())?;")
        memory = 0
        for each in kernels:
            process = psutil.Process(each.manager.provisioner.pid)
            memory += sum(getattr(one.memory_full_info(), "pss", one.memory_info().rss) for one in [process, *process.children(recursive=True)])
        cell = statistics.median(kernels[-1].run(f"let a = {turn}; a + 1") for turn in range(5))
        figures.append({"mb": memory / 1e6, "cell_ms": 1e3 * cell})
    for each in kernels:
        each.stop()
    return figures


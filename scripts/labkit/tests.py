"""Runs the project's tests, two at a time where there are two processors, and counts them.

What can't run here for want of something (a browser, PyTorch, a GPU) is skipped, counted, and named with its reason at
the end; `scripts/test --skipped` runs just that once it is there.
"""

import argparse
import collections
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import libtorch, main as lab, peers, python_env, tools
from .layout import LAB, ROOT, SOLUTIONS
from .say import Problem, explain, line

TESTS = ROOT / "scripts" / "tests"
# The tests that the last run skipped, with their reasons, by suite.
SKIPPED = LAB / "skipped.json"
SUITES = ("scripts", "crates", "notebooks")
# By the reason that stands in the `#[ignore]` of a test of cargo's: whether what it needs is here.
NEEDS = {"needs PyTorch": lambda: peers.there() is not None,
         "needs an NVIDIA GPU": libtorch.has_nvidia_gpu,
         "needs transformers": lambda: bool(os.environ.get("GLASSLAB_TRANSFORMERS_PYTHON")),
         "needs stories260K": lambda: has_stories260k(),
         "needs stories260K and node": lambda: has_stories260k() and tools.node() is not None,
         "needs node": lambda: tools.node() is not None,
         "needs SmolLM2 as a GGUF file": lambda: bool(os.environ.get("GLASSLAB_SMOLLM2"))}
# What `--quick` runs of the crates: all but examples and the documentation's. What is compiled step by step takes longer once,
# and then a tenth of the time after a change.
QUICK = ["--lib", "--bins", "--tests", "--config", "profile.release.incremental=true"]


def has_stories260k() -> bool:
    """Models of others may lie in a folder of their own, or beside the project."""
    return (Path(os.environ.get("GLASSLAB_MODELS", ROOT.parent / "shared" / "data" / "models")) / "stories260K.bin").exists()


@dataclass
class Count:
    """What came of some tests."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Count") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped |= other.skipped


@dataclass
class Job:
    """Tests that one process runs; jobs of one suite may run side by side."""

    suite: str
    name: str
    command: list
    read: object  # the process's output and status → Count
    environment: dict | None = None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(SUITES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="what to run after each change: no notebook, no kernel")
    parser.add_argument("--skipped", action="store_true", help="only what the last run skipped and can run now")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.suites if name not in SUITES]:
        parser.error(f"there is no suite {unknown[0]}; there are {', '.join(SUITES)}")
    started = time.monotonic()
    try:
        make_ready(options.quick)
        suites = options.suites or SUITES
        still = still_skipped() if options.skipped else {}
        counts = run(skipped_jobs() if options.skipped else jobs(suites, options.quick))
        counts["crates"].skipped |= still
        status = tell(counts, time.monotonic() - started)
    except Problem as problem:
        print(f"\nscripts/test: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nscripts/test: {explain(error)}", file=sys.stderr)
        return 1
    # Where nothing ran, nothing has passed; unless all that was skipped still must be.
    return 1 if not options.skipped and not any(count.passed for count in counts.values()) else status


def make_ready(quick: bool) -> None:
    """Sets up what is missing. Quick tests need no kernel, and cargo builds what they need."""
    if not lab.is_set_up():
        lab.setup()
    elif not quick:
        lab.refresh()


def jobs(suites, quick: bool) -> list[Job]:
    """All tests, longest first: what is begun last should not be waited for."""
    made = []
    if "crates" in suites:
        made.append(cargo("cargo test", QUICK if quick else [], "--include-ignored", without=ignored(here=False)))
    if not quick:
        made.append(nbgrader())
    if "notebooks" in suites and not quick:
        made += [kernel_tests(path.stem) for path in sorted(TESTS.glob("test_kernel_*.py"), key=_size)]
    if "scripts" in suites:
        names = [path.stem for path in sorted(TESTS.glob("test_scripts_*.py"))]
        made.append(script_tests([name for name in names if not quick or name not in SLOW]))
    if "notebooks" in suites and not quick:
        made += [notebook(path) for path in sorted(SOLUTIONS.glob("*.ipynb"), reverse=True)]
    if "crates" in suites:
        made.append(page_tests())
    return made


# What takes long, and depends little on the code of the library.
SLOW = ("test_scripts_bench", "test_scripts_gradebook")


def _size(path: Path) -> int:
    return -path.stat().st_size


def nbgrader() -> Job:
    """Not a test: what some of them need, from the network once. Without it they are skipped, and say so."""
    program = "import sys; sys.path.insert(0, 'scripts'); from labkit import release; release.ensure()"
    return Job("scripts", "nbgrader", [sys.executable, "-B", "-c", program], lambda *_: Count())


def script_tests(names: list[str], label: str = "scripts") -> Job:
    return Job("scripts", label, [sys.executable, "-B", runner(), TESTS, *names], read_runner)


def kernel_tests(*names: str) -> Job:
    """Tests through Jupyter, in the lab's Python."""
    environment = {**python_env.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    return Job("notebooks", names[0].removeprefix("test_").split(".")[0], [python_env.python(), runner(), TESTS, *names],
               read_runner, environment)


def runner() -> Path:
    return Path(__file__).parent / "runner.py"


def notebook(path: Path) -> Job:
    """A solved notebook through the real kernel. Its cells must run; the models that it trains need not write well."""
    environment = {**python_env.environment(), "GLASSLAB_TRAINING_SECONDS": lab.BRIEF_SECONDS}
    return Job("notebooks", path.stem.split("_")[0], lab.execution([path]), lambda _, status: one(path.name, status), environment)


def cargo(name: str, targets: list[str], *test_options: str, without: dict[str, str] | None = None) -> Job:
    """cargo's tests, in the profile that set-up has built the dependencies in; always of the whole workspace, which settles
    the features that those are built with. Names are whole ones; tests `without` which it runs are skipped, for their reasons."""
    without = without or {}
    skips = [word for test in without for word in ("--skip", test)]
    command = ["cargo", "test", "--release", "--locked", "--no-fail-fast", "--workspace", *targets, "--", "--exact", *test_options, *skips]
    # The tests' servers are on this machine, also where all else is behind a proxy.
    environment = {**tools.cargo_environment(), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if python := peers.there():
        environment["GLASSLAB_TORCH_PYTHON"] = str(python)

    def read(output: str, status: int) -> Count:
        count = read_cargo(name, output, status)
        return Count(count.passed, count.failed, {**count.skipped, **without})

    return Job("crates", "crates", command, read, environment)


# The tests of the page's JavaScript, by themselves.
PAGE = "crates/glasslab/page/test"


def page_tests() -> Job:
    """They run in node; where there is none, they are skipped together."""
    if node := tools.node():
        return Job("crates", "page", [node, "--test", "--test-reporter=tap", *sorted(ROOT.glob(f"{PAGE}/*.test.js"))], read_tap)
    program = "print('node 18 or later is not here')"
    return Job("crates", "page", [sys.executable, "-c", program], lambda *_: Count(skipped={PAGE: "needs node"}))


def read_tap(output: str, status: int) -> Count:
    """Each test has a line `ok N - NAME` or `not ok N - NAME`; those of a file or a group stand behind their own, further left."""
    count = Count()
    lines = [match.groups() for match in re.finditer(r"^( *)(ok|not ok) \d+ - (.*)$", output, re.M)]
    for at, (indent, result, name) in enumerate(lines):
        holds_others = at > 0 and len(lines[at - 1][0]) > len(indent)
        if holds_others:
            continue
        if "# SKIP" in name:
            count.skipped[name.split(" # ")[0]] = name.partition("# SKIP")[2].strip() or "no reason is given"
        elif result == "ok":
            count.passed += 1
        else:
            count.failed.append(name)
    if status != 0 and not count.failed:
        count.failed.append(f"the page's tests ended with status {status}; their last words stand above")
    return count


def one(name: str, status: int) -> Count:
    return Count(passed=1) if status == 0 else Count(failed=[name])


def read_runner(output: str, status: int) -> Count:
    """The counts that `runner.py` ends with."""
    try:
        told = json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return Count(failed=[f"the tests' process ended with status {status}; its last words stand above"])
    failed = told["failed"] or ([f"the tests' process ended with status {status}"] if status else [])
    return Count(told["passed"], failed, told["skipped"])


def read_cargo(name: str, output: str, status: int) -> Count:
    """Each test has a line `test NAME ... RESULT`; what does not compile, or crashes, has only a status."""
    count = Count()
    for test, result in re.findall(r"^test (.+?) \.\.\. (ok|FAILED|ignored(?:, .*)?)$", output, re.M):
        if result == "ok":
            count.passed += 1
        elif result == "FAILED":
            count.failed.append(test)
        else:
            count.skipped[test] = result.removeprefix("ignored").removeprefix(", ") or "no reason is given"
    if status != 0 and not count.failed:
        count.failed.append(f"{name} ended with status {status}; its last words stand above")
    return count


def _skipped() -> dict[str, dict[str, str]]:
    if not SKIPPED.exists():
        raise Problem("Nothing is known to be skipped: run scripts/test first.")
    return json.loads(SKIPPED.read_text(encoding="utf-8"))


def still_skipped() -> dict[str, str]:
    """Of cargo's tests those whose need is still not here: no job says so of them."""
    there = ignored(here=True)
    return {test: why for test, why in _skipped().get("crates", {}).items() if test not in there}


def skipped_jobs() -> list[Job]:
    """What the last run skipped, and can run now."""
    made, by_module, names = [], collections.defaultdict(list), []
    there = ignored(here=True)
    for suite, tests in _skipped().items():
        for test in tests:
            if suite != "crates":
                by_module[suite, test.split(".")[0]].append(test)
            elif test in there:
                names.append(test)
            elif test == PAGE and tools.node():
                made.append(page_tests())
    if names:
        # All programs are asked: to build a single one, cargo would build all that it depends on once more, with the features
        # that it alone asks for.
        made.append(cargo("cargo test --ignored", ["--tests"], "--ignored", *names))
    for (suite, module), tests in by_module.items():
        if suite == "scripts":
            # What takes minutes should not wait for another that does.
            made += [script_tests(some, module) for some in ([[test] for test in tests] if module in SLOW else [tests])]
        else:
            made.append(kernel_tests(*tests))
    return made


def ignored(here: bool) -> dict[str, str]:
    """cargo's tests that need something which is here, or is not, with their reasons."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("crates/*/tests/*.rs"))]
    found = {name: reason for source in sources for reason, name in re.findall(r'#\[ignore = "([^"]+)"\]\s+fn (\w+)', source)}
    there = {reason for reason in set(found.values()) if reason in NEEDS and NEEDS[reason]()}
    return {name: reason for name, reason in found.items() if (reason in there) == here}


def run(made: list[Job]) -> dict[str, Count]:
    """Runs jobs, as many at a time as pay; the counts by suite."""
    counts, waiting, printing = collections.defaultdict(Count), queue.SimpleQueue(), threading.Lock()
    for job in made:
        waiting.put(job)

    def work():
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            started, lines = time.monotonic(), []
            # Beside others, two threads of one computation wait for each other most of the time.
            environment = {"OMP_NUM_THREADS": "1", **(job.environment or os.environ)}
            try:
                with subprocess.Popen([str(word) for word in job.command], cwd=ROOT, env=environment, **tools.TEXT,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                    for text in process.stdout:
                        lines.append(text)
                        with printing:
                            print(f"{job.name:>10} | {text}", end="", flush=True)
                count = job.read("".join(lines), process.wait())
            except Exception as error:  # whatever it is: a job that did not run has not passed
                count = Count(failed=[f"{job.name} did not run: {error}"])
            with printing:
                counts[job.suite].add(count)
                line(f"== {job.name}: {len(count.failed)} failed, {count.passed} passed, {time.monotonic() - started:.0f} s")

    lanes = [threading.Thread(target=work) for _ in range(min(2, os.cpu_count() or 1))]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    return counts


def tell(counts: dict[str, Count], seconds: float) -> int:
    """The closing lines; the last is `N passed, 0 failed, M skipped`."""
    total = Count()
    for count in counts.values():
        total.add(count)
    line()
    for test in total.failed:
        line(f"failed: {test}")
    for reason, tests in _by_reason(total.skipped).items():
        line(f"skipped, {reason}: {', '.join(tests)}")
    SKIPPED.write_text(json.dumps({suite: count.skipped for suite, count in counts.items()}, indent=1), encoding="utf-8")
    line(f"after {seconds:.0f} s:")
    line(f"{total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} skipped")
    return 1 if total.failed else 0


def _by_reason(skipped: dict[str, str]) -> dict[str, list[str]]:
    groups = collections.defaultdict(list)
    for test, reason in skipped.items():
        groups[reason].append(test)
    return groups

"""Runs the project's tests and counts them."""

import os
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

from . import kernel, main as lab, python_env, tools
from .layout import ROOT, SOLUTIONS
from .say import Problem, line

TESTS = ROOT / "scripts" / "tests"


def main(arguments: list[str]) -> int:
    suites = {"scripts": scripts, "crates": crates, "notebooks": notebooks}
    unknown = [name for name in arguments if name not in suites]
    if unknown:
        print(f"scripts/test: there is no suite {unknown[0]}; there are {', '.join(suites)}", file=sys.stderr)
        return 2
    try:
        if not lab.is_set_up():
            lab.setup()
        else:
            lab.refresh()
    except Problem as problem:
        print(f"\nscripts/test: {problem}", file=sys.stderr)
        return 1
    passed = failed = 0
    for name in arguments or suites:
        line(f"\n== {name}")
        started = time.monotonic()
        good, bad = suites[name]()
        line(f"== {name}: {good} passed, {bad} failed, {time.monotonic() - started:.0f} s")
        passed, failed = passed + good, failed + bad
    line(f"\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def _unittest(pattern: str) -> tuple[int, int]:
    suite = unittest.defaultTestLoader.discover(str(TESTS), pattern=pattern, top_level_dir=str(TESTS))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors)
    return result.testsRun - bad - len(result.skipped), bad


def scripts() -> tuple[int, int]:
    return _unittest("test_scripts_*.py")


def crates() -> tuple[int, int]:
    """cargo's tests, in the profile that set-up has built the dependencies in."""
    command = ["cargo", "test", "--release", "--locked", "--workspace", "--no-fail-fast"]
    run = subprocess.Popen(command, cwd=ROOT, env=tools.cargo_environment(), stdout=subprocess.PIPE, text=True)
    passed = failed = 0
    for text in run.stdout:
        print(text, end="", flush=True)
        if found := re.match(r"test result: \w+\. (\d+) passed; (\d+) failed", text):
            passed, failed = passed + int(found.group(1)), failed + int(found.group(2))
    # A test program that does not compile or crashes has no result line.
    return passed, failed or int(run.wait() != 0)


def notebooks() -> tuple[int, int]:
    """Every solved notebook through the real kernel, then the kernel's own tests, in the lab's Python."""
    failed = lab.run([], html=False, stock=False, solutions=True)
    count = len(list(SOLUTIONS.glob("*.ipynb")))
    environment = {**python_env.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([python_env.python(), "-m", "unittest", "discover", "-v", "-s", str(TESTS), "-p", "test_kernel_*.py"],
                         env=environment, stderr=subprocess.PIPE, text=True)
    print(run.stderr, flush=True)
    ran = int(re.search(r"Ran (\d+) test", run.stderr).group(1)) if "Ran " in run.stderr else 0
    bad = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", run.stderr))) or int(run.returncode != 0)
    skipped = sum(map(int, re.findall(r"skipped=(\d+)", run.stderr)))
    return (0 if failed else count) + ran - bad - skipped, int(failed != 0) + bad

"""Runs Python tests by name with a line for each: its result, its seconds, and why it was skipped.

    python runner.py FOLDER NAME [NAME …]       a name is a module, or module.Class.test

It ends with one line of JSON for scripts/test. This file is run by the Python that the tests need.
"""

import json
import re
import sys
import time
import unittest
from pathlib import Path


class Result(unittest.TextTestResult):
    """A line when a test ends, so that the lines of two runners may be mixed."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.begun, self.passed, self.seconds = time.monotonic(), 0, {}  # seconds by test

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        self.begun = time.monotonic()

    def tell(self, test, how):
        seconds = self.seconds[test.id()] = time.monotonic() - self.begun
        self.stream.writeln(f"{test.id()} … {how} ({seconds:.1f} s)")
        self.stream.flush()

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.passed += 1
        self.tell(test, "ok")

    def addFailure(self, test, error):
        unittest.TestResult.addFailure(self, test, error)
        self.tell(test, "FAILED")

    def addError(self, test, error):
        unittest.TestResult.addError(self, test, error)
        self.tell(test, "ERROR")

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self.tell(test, f"skipped: {reason}")

    def addSubTest(self, test, subtest, error):
        unittest.TestResult.addSubTest(self, test, subtest, error)
        if error is not None:
            self.tell(test, f"FAILED {subtest._subDescription()}")


def _cases(suite):
    """The tests of a suite, one by one."""
    for item in suite:
        yield from _cases(item) if isinstance(item, unittest.TestSuite) else [item]


def main(folder: str, names: list[str]) -> int:
    # What tests import: each other, and labkit. A module that finds them only behind another one fails when it runs alone.
    sys.path[:0] = [folder, str(Path(__file__).resolve().parent.parent)]
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    # A class that is skipped as a whole is counted by its tests.
    tests = {test.id() for test in _cases(suite)}
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    result = runner.run(suite)
    bad = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    skipped = {}
    for test, reason in result.skipped:
        # A class that its set-up skips, `setUpClass (module.Class)`, takes its tests with it.
        whole = re.fullmatch(r"setUpClass \((.+)\)", test.id())
        skipped |= {name: reason for name in tests if name.startswith(f"{whole[1]}.")} if whole else {test.id(): reason}
    # A class whose set-up fails takes its tests with it.
    bad = {name for name in bad if name in tests} | (tests - set(result.seconds) - set(skipped))
    print(json.dumps({"passed": result.passed, "failed": sorted(bad), "skipped": skipped}))
    return 1 if bad or not result.wasSuccessful() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

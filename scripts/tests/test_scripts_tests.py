"""scripts/test itself: every test is counted once, what is skipped is named with its reason, and nothing passes by not running."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import tests

CARGO = """
running 4 tests
test model::tests::a_thing ... ok
test a_gpu_computes_the_logits ... ignored, needs an NVIDIA GPU
test another ... ignored
test crates/glasslab/src/lib.rs - (line 7) ... ok
test result: ok. 2 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""

MODULE = """
import unittest

class Some(unittest.TestCase):
    def test_well(self):
        pass
    def test_wrong(self):
        self.assertEqual(1, 2)
    def test_broken(self):
        for n in range(3):
            with self.subTest(n=n):
                raise RuntimeError("as said")
    @unittest.skip("needs a thing")
    def test_skipped(self):
        pass

@unittest.skip("needs another")
class Others(unittest.TestCase):
    def test_one(self):
        pass
    def test_two(self):
        pass

class Unready(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise RuntimeError("no set-up")
    def test_never(self):
        pass

class Unneeded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise unittest.SkipTest("needs a third")
    def test_later(self):
        pass
"""


class Counting(unittest.TestCase):
    def told(self, counts):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
            with mock.patch.object(tests, "SKIPPED", Path(folder) / "skipped.json"):
                status = tests.tell(counts, 1.0)
                kept = json.loads(tests.SKIPPED.read_text())
        return status, said.getvalue().splitlines(), kept

    def test_cargos_ignored_tests_are_skipped_with_their_reasons(self):
        count = tests.read_cargo("cargo test", CARGO, 0)
        self.assertEqual((count.passed, count.failed), (2, []))
        self.assertEqual(count.skipped, {"a_gpu_computes_the_logits": "needs an NVIDIA GPU", "another": "no reason is given"})

    def test_what_needs_something_runs_where_that_is_and_is_skipped_with_its_reason_where_it_is_not(self):
        name = "logits_are_the_processors_for_every_preset"
        for there in (True, False):
            with mock.patch.dict(tests.NEEDS, {"needs an NVIDIA GPU": lambda there=there: there}):
                self.assertEqual((name in tests.ignored(here=True), name in tests.ignored(here=False)), (there, not there))
                job = tests.jobs(["crates"], quick=False)[0]
            self.assertIn("--include-ignored", job.command)
            self.assertEqual(name in job.command, not there)
            self.assertEqual(job.read(CARGO, 0).skipped.get(name), None if there else "needs an NVIDIA GPU")

    def test_every_test_that_needs_something_is_found_with_a_reason_that_is_known(self):
        written = sum(path.read_text(encoding="utf-8").count("#[ignore") for path in ROOT.glob("crates/**/*.rs"))
        found = {**tests.ignored(here=True), **tests.ignored(here=False)}
        self.assertEqual(len(found), written)
        self.assertEqual(set(found.values()), set(tests.NEEDS))

    def test_tests_are_left_out_by_their_whole_names(self):
        with tempfile.TemporaryDirectory() as folder:
            source, program = Path(folder, "lib.rs"), Path(folder, "program")
            source.write_text("#[test] #[ignore] fn a() {}\n#[test] fn a_b() {}\n#[test] #[ignore] fn c() {}\n")
            subprocess.run(["rustc", "--test", source, "-o", program], check=True, capture_output=True)
            command = tests.cargo("cargo test", [], "--include-ignored", without={"a": "needs the moon"}).command
            told = subprocess.run([program, *command[command.index("--") + 1:]], capture_output=True, **tests.tools.TEXT)
        self.assertEqual(sorted(re.findall(r"^test (\w+) \.\.\. ok$", told.stdout, re.M)), ["a_b", "c"], told.stdout + told.stderr)

    def test_a_test_program_that_does_not_compile_or_crashes_fails(self):
        self.assertEqual(len(tests.read_cargo("cargo test", CARGO, 101).failed), 1)
        self.assertEqual(tests.read_cargo("cargo test", CARGO.replace("a_thing ... ok", "a_thing ... FAILED"), 101).failed,
                         ["model::tests::a_thing"])
        self.assertEqual(len(tests.read_runner("", 1).failed), 1)
        self.assertEqual(len(tests.read_runner("Segmentation fault\n", -11).failed), 1)

    def test_each_of_the_pages_tests_is_counted_once_and_skipped_where_there_is_no_node(self):
        told = "    ok 1 - a\n    not ok 2 - b\nnot ok 1 - file\n    ok 1 - c # SKIP why\nok 2 - other\nok 3 - alone\n"
        count = tests.read_tap(told, 1)
        self.assertEqual((count.passed, count.failed, count.skipped), (2, ["b"], {"c": "why"}))
        self.assertEqual(len(tests.read_tap("", 1).failed), 1)
        with mock.patch.object(tests.tools, "node", lambda: None):
            self.assertEqual(tests.page_tests().read("", 0).skipped, {tests.PAGE: "needs node"})

    def test_the_runner_counts_each_test_once(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "test_some.py").write_text(MODULE)
            run = subprocess.run([sys.executable, tests.runner(), folder, "test_some"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        count = tests.read_runner(run.stdout, run.returncode)
        self.assertEqual(count.passed, 1, run.stdout)
        self.assertEqual(sorted(name.split(".")[-1] for name in count.failed), ["test_broken", "test_never", "test_wrong"])
        self.assertEqual({name.split(".", 1)[1]: why for name, why in count.skipped.items()},
                         {"Some.test_skipped": "needs a thing", "Others.test_one": "needs another", "Others.test_two": "needs another",
                          "Unneeded.test_later": "needs a third"})
        self.assertIn("as said", run.stdout, "the last words of what failed are shown")

    def test_a_module_that_runs_alone_finds_labkit(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "test_alone.py").write_text("from labkit import say\n\n\ndef load_tests(loader, tests, pattern):\n    return tests\n")
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            run = subprocess.run([sys.executable, tests.runner(), folder, "test_alone"], capture_output=True, text=True, cwd=folder, env=environment)
        self.assertEqual((run.returncode, tests.read_runner(run.stdout, run.returncode).failed), (0, []), run.stdout)

    def test_the_last_line_says_how_many_and_the_ones_above_which_and_why(self):
        counts = {"scripts": tests.Count(5, [], {"m.C.test_b": "no browser"}), "crates": tests.Count(2, [], {"gpu": "needs an NVIDIA GPU"})}
        status, lines, kept = self.told(counts)
        self.assertEqual((status, lines[-1]), (0, "7 passed, 0 failed, 2 skipped"))
        self.assertIn("skipped, no browser: m.C.test_b", lines)
        self.assertEqual(kept, {"scripts": {"m.C.test_b": "no browser"}, "crates": {"gpu": "needs an NVIDIA GPU"}})
        status, lines, _ = self.told({"crates": tests.Count(1, ["that_one"])})
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("failed: that_one", lines)

    def test_what_was_skipped_can_be_run_later(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(tests, "SKIPPED", Path(folder) / "skipped.json"):
            with self.assertRaisesRegex(tests.Problem, "run scripts/test first"):
                tests.skipped_jobs()
            skipped = {"scripts": {"test_scripts_bench.Form.test_x": "no PyTorch"}, "notebooks": {"test_kernel_a.B.test_y": "no browser"},
                       "crates": {"pytorch_gives_a_kept_model_the_same_logits": "needs PyTorch", "u": "needs the moon"}}
            tests.SKIPPED.write_text(json.dumps(skipped))
            with mock.patch.dict(tests.NEEDS, {"needs PyTorch": lambda: True}):
                commands = [[str(word) for word in job.command] for job in tests.skipped_jobs()]
        self.assertEqual([command[-1] for command in commands], ["pytorch_gives_a_kept_model_the_same_logits", "test_scripts_bench.Form.test_x", "test_kernel_a.B.test_y"])

    def test_what_cant_run_yet_stays_skipped(self):
        name = "pytorch_gives_a_kept_model_the_same_logits"
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(tests, "SKIPPED", Path(folder) / "skipped.json"):
            tests.SKIPPED.write_text(json.dumps({"crates": {name: "needs PyTorch", "b": "needs the moon"}}))
            for there, left in [(False, {name: "needs PyTorch", "b": "needs the moon"}), (True, {"b": "needs the moon"})]:
                with mock.patch.dict(tests.NEEDS, {"needs PyTorch": lambda there=there: there}):
                    self.assertEqual(tests.still_skipped(), left)

    def test_a_job_that_does_not_begin_or_can_not_be_read_has_failed(self):
        unreadable = tests.Job("scripts", "odd", [sys.executable, "-c", ""], lambda *_: 1 / 0)
        missing = tests.Job("scripts", "missing", ["/no/such/program"], lambda output, status: tests.one("missing", status))
        with contextlib.redirect_stdout(io.StringIO()):
            counts = tests.run([unreadable, missing])
        self.assertEqual(sorted(name.split()[0] for name in counts["scripts"].failed), ["missing", "odd"])

    def test_jobs_run_side_by_side_and_a_failing_one_stops_no_other(self):
        def job(name, code):
            return tests.Job("scripts", name, [sys.executable, "-c", textwrap.dedent(code)], lambda output, status: tests.one(name, status))

        with contextlib.redirect_stdout(io.StringIO()) as said:
            counts = tests.run([job("bad", "print('why'); exit(3)"), *(job(f"good{n}", "print('well')") for n in range(4))])
        self.assertEqual((counts["scripts"].passed, counts["scripts"].failed), (4, ["bad"]))
        self.assertIn("       bad | why\n", said.getvalue())


if __name__ == "__main__":
    unittest.main()

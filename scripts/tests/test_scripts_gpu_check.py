"""scripts/gpu-check: what it makes of parts that pass, fail, hang or prove nothing. The parts themselves need PyTorch:
`scripts/gpu-check run --cpu` tries them."""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit.gpu_check import bundle, parts, run
from labkit.say import Problem

PASSED = """running 2 tests
test logits ...
figure: logits of small, 20 characters, off by = 1.250e-6
ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
"""
FAILED = """test logits ...
thread 'logits' (7) panicked at crates/glasslab/tests/gpu.rs:33:9:
there is no GPU here: Found no NVIDIA driver on your system
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
FAILED
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
"""


class Parts(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.check = parts.Check(self.folder, self.folder, cpu=False)
        self.enterContext(contextlib.redirect_stdout(io.StringIO()))

    def enterContext(self, context):  # unittest has it from Python 3.11 on
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def program(self, name: str, output: str, status: int = 0) -> None:
        program = self.folder / name
        program.write_text(f"#!{sys.executable}\nprint({output!r})\nraise SystemExit({status})\n")
        program.chmod(0o755)

    def test_the_tests_figures_are_read(self):
        self.program("gpu-tests", PASSED)
        lines, figures = parts.tests(self.check)
        self.assertEqual(figures, {"passed": 2, "logits of small, 20 characters, off by": 1.25e-6})
        self.assertEqual(lines[0], ["the GPU's tests", "2 passed"])

    def test_tests_that_fail_say_why_and_none_that_ran_is_a_failure(self):
        self.program("gpu-tests", FAILED, 101)
        with self.assertRaisesRegex(Problem, "0 passed, 1 failed\n.*panicked[^\0]*no NVIDIA driver"):
            parts.tests(self.check)
        self.program("gpu-tests", PASSED.replace("2 passed", "0 passed"))
        with self.assertRaisesRegex(Problem, "0 passed"):
            parts.tests(self.check)

    def test_a_machine_without_a_gpu_is_told_in_libtorchs_words(self):
        told = {"device": "Cpu", "gpus": 0, "no_gpu": "libtorch: Found no NVIDIA driver\nmore", "computes": True}
        self.program("glasslab", json.dumps(told))
        with self.assertRaisesRegex(Problem, "no GPU here.*Found no NVIDIA driver\n"):
            parts.doctor(self.check)
        self.program("glasslab", json.dumps({**told, "device": "Cuda(0)", "gpus": 1, "no_gpu": None}))
        self.assertEqual(parts.doctor(self.check)[0], [["glasslab computes on", "Cuda(0), of 1 GPUs"]])

    def test_speeds_stand_beside_their_ratio(self):
        row = parts._row("trained", {"glasslab": 3000.0, "eager": 2000.0})
        self.assertEqual(row, ["trained", "glasslab 3.0k, PyTorch eager 2.0k (1.50 ×)"])


class Runs(unittest.TestCase):
    def attempt(self, code: str, limit: float = 20) -> dict:
        return run.attempt([sys.executable, "-c", code], dict(os.environ), limit, [])

    def test_a_part_gives_its_last_line_or_its_last_words(self):
        good = self.attempt("print('on the way'); print('{\"lines\": [[\"a\", \"b\"]], \"figures\": {\"c\": 1}}')")
        self.assertEqual((good["state"], good["figures"]), ("passed", {"c": 1}))
        bad = self.attempt("import sys; print('scripts/gpu-check: the card is gone', file=sys.stderr); sys.exit(1)")
        self.assertEqual((bad["state"], bad["words"]), ("failed", "the card is gone"))

    def test_a_part_that_hangs_is_ended_with_all_that_it_has_started(self):
        started = time.monotonic()
        code = "import subprocess, sys; print('begun', file=sys.stderr, flush=True); subprocess.run(['sleep', '60'])"
        late = self.attempt(code, 1.0)
        self.assertLess(time.monotonic() - started, 10)  # its child holds the pipe open, too
        self.assertEqual(late["state"], "failed")
        self.assertIn("longer than 1 s\nbegun", late["words"])

    def test_the_table_has_every_part_with_its_state(self):
        results = [{"part": "versions", "state": "passed", "lines": [["GPU", "one | two"]], "seconds": 1.0},
                   {"part": "doctor", "state": "failed", "words": "no GPU\nhere", "seconds": 1.0}]
        self.assertEqual(run.table(results).splitlines()[2:],
                         ["| versions | GPU | one \\| two |", "| doctor | **failed** | no GPU<br>here |"])
        self.assertEqual(run.counts(results), "1 passed, 1 failed, 0 left out")

    def test_every_part_that_is_run_is_there(self):
        for name in [*run.PARTS, *run.NEEDED]:
            self.assertTrue(callable(getattr(parts, name)), name)

    def test_without_a_bundle_and_for_an_unknown_part_one_is_told_what_to_do(self):
        options = argparse.Namespace(names=["nothing"], cpu=True, minutes=1, out=None)
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(Problem, "no bundle in .*gpu-check bundle"):
                run.all_parts(Path(folder), options)
            (Path(folder) / bundle.MANIFEST).write_text("{}")
            with self.assertRaisesRegex(Problem, "no part nothing; there are versions"):
                run.all_parts(Path(folder), options)

    def test_the_command_tells_its_usage(self):
        answer = subprocess.run([sys.executable, ROOT / "scripts" / "gpu-check", "--help"], capture_output=True, text=True)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIn("bundle", answer.stdout)

    def test_a_text_ends_with_a_whole_story(self):
        story = b"Once.\n<|endoftext|>\n"
        self.assertEqual(bundle._beginning(story), story)
        long = b"x" * (bundle.TEXT_BYTES - 30) + 3 * story
        self.assertTrue(bundle._beginning(long).endswith(b"Once.\n"))


if __name__ == "__main__":
    unittest.main()

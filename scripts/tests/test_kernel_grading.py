"""scripts/lab grade with the real kernel, the real sandbox and the real nbgrader.

Of the hostile submissions few are tried here; all of them, which takes minutes, with `GLASSLAB_HOSTILE=1 scripts/test --skipped`.
"""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hostile
from labkit import exercises, release
from labkit.grading import command, run, sandbox, table
from labkit.layout import NOTEBOOKS, ROOT, SOLUTIONS
from labkit.say import Problem

NOTEBOOK = "01_tokenization"
# A cell of these submissions takes a second or two, but on a machine that has much else to do.
LIMITS = sandbox.Limits(seconds=150, cell_seconds=20, memory=3 << 30, disk=1 << 30, processes=300)


def small(notebook):
    """A notebook's title, its exercises and their tests: nothing else of it needs to be run here."""
    made = exercises.read(notebook)
    made["cells"] = [made["cells"][0], *(cell for cell in made["cells"] if cell["metadata"].get("nbgrader"))]
    return made


@unittest.skipUnless(sandbox.bubblewrap(), "needs bubblewrap")
class InASandbox(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.master = small(SOLUTIONS / f"{NOTEBOOK}.ipynb")
        self.submissions = hostile.made(small(NOTEBOOKS / f"{NOTEBOOK}.ipynb"))

    def write(self, path, made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())

    def graded(self, name, limits=LIMITS):
        made, wanted = self.submissions[name]
        path = self.folder / name / "one.ipynb"
        self.write(path, made)
        result = run.grade(path, self.master, limits, sandbox.bubblewrap())
        got, of = table.points(result)
        remarks = "; ".join(result["remarks"])
        print(f"    {name}: {got:g} of {of:g} points, {result['seconds']:.1f} s, {result['memory'] / 2**20:.0f} MB; {remarks}", flush=True)
        self.assertEqual((got, of), (wanted, 3), (name, json.dumps(result, ensure_ascii=False)))
        return result


class HostileTest(InASandbox):
    @unittest.skipUnless(os.environ.get("GLASSLAB_HOSTILE"), "takes minutes: GLASSLAB_HOSTILE=1")
    def test_no_hostile_submission_has_a_point_that_it_has_not_earned(self):
        for name in self.submissions:
            with self.subTest(name):
                self.assertNotIn("FOUND", json.dumps([cell["outputs"] for cell in self.graded(name)["cells"]]))


class GradeTest(InASandbox):
    """The whole command on a course with learners."""

    def course(self, **learners):
        try:
            release.ensure()
        except Problem:
            self.skipTest("nbgrader is not there, and can't be had without the network: scripts/lab release --check")
        self.write(self.folder / "source/lab/one.ipynb", self.master)
        subprocess.run([str(ROOT / "scripts" / "lab"), "nbgrader", "generate_assignment", "lab"], cwd=self.folder, capture_output=True, check=True)
        for learner, name in learners.items():
            self.write(self.folder / f"submitted/{learner}/lab/one.ipynb", self.submissions[name][0])

    def grade(self, **changed):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = command.grade(command.Wish(str(self.folder), limits=LIMITS, **changed))
        return status, said.getvalue()

    def test_all_are_graded_side_by_side_once_and_nbgrader_knows_the_points(self):
        self.course(ada=hostile.HONEST, bob="has its own check", eve="is no JSON")
        status, said = self.grade(jobs=2)
        self.assertEqual(status, 0, said)
        self.assertIn("2 at a time", said)
        self.assertRegex(said, "bob: read cell 1: .*a check of its own|one: read cell 1: .*a check of its own")
        with (self.folder / "grading/lab/points.csv").open(newline="") as file:
            rows = [(row["learner"], row["exercise"], row["points"]) for row in csv.DictReader(file)]
        self.assertEqual([row for row in rows if row[2] != "0"], [("ada", name, "1") for name in hostile.RIGHT])
        self.assertEqual(len(rows), 9)
        pages = {name: (self.folder / f"feedback/{name}/lab/one.html").read_text(encoding="utf-8") for name in ("ada", "bob")}
        self.assertIn("Score: 3.0 / 3.0", pages["ada"])
        self.assertNotIn('class="err"', pages["ada"], "code that is coloured as another language's")
        self.assertNotIn("read cell", pages["bob"], "what is the teacher's to read")
        subprocess.run([str(ROOT / "scripts" / "lab"), "nbgrader", "export"], cwd=self.folder, capture_output=True, check=True)
        with (self.folder / "grades.csv").open(newline="") as file:
            self.assertEqual({row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}, {"ada": 3.0, "bob": 0.0, "eve": 0.0})
        # Nothing is run again but what was handed in again.
        self.write(self.folder / "submitted/bob/lab/one.ipynb", b"another that is none")
        status, said = self.grade()
        self.assertIn("To grade: 1, ", said)
        self.assertIn("graded already: 2", said)

    @unittest.skipUnless(os.environ.get("GLASSLAB_HOSTILE"), "takes minutes: GLASSLAB_HOSTILE=1")
    def test_a_grading_that_is_killed_ends_what_it_began_and_goes_on_with_the_rest(self):
        self.course(ada=hostile.HONEST, bob="loops", eve="one of three")
        program = f"from labkit.grading import command; command.grade(command.Wish({str(self.folder)!r}, jobs=1))"
        grading = subprocess.Popen([sys.executable, "-B", "-c", program], stdout=subprocess.DEVNULL,
                                   env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")})
        first = self.folder / "grading/lab/ada/one.json"
        while not first.exists() and grading.poll() is None:
            time.sleep(0.1)
        self.assertIsNone(grading.poll())
        time.sleep(5)  # in the middle of the second
        begun = sandbox.family(grading.pid)
        self.assertTrue(begun)
        grading.send_signal(signal.SIGKILL)
        grading.wait()
        until = time.monotonic() + 30
        while any(Path(f"/proc/{pid}/cwd").exists() for pid in begun) and time.monotonic() < until:
            time.sleep(0.1)
        self.assertFalse([pid for pid in begun if Path(f"/proc/{pid}/cwd").exists()], "nothing is left of it")
        before = first.read_bytes()
        with contextlib.redirect_stdout(io.StringIO()) as said:
            command.grade(command.Wish(str(self.folder), jobs=2))
        self.assertIn("To grade: 2, ", said.getvalue())
        self.assertEqual(first.read_bytes(), before)
        subprocess.run([str(ROOT / "scripts" / "lab"), "nbgrader", "export"], cwd=self.folder, capture_output=True, check=True)
        with (self.folder / "grades.csv").open(newline="") as file:
            self.assertEqual({row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}, {"ada": 3.0, "bob": 2.0, "eve": 1.0})


if __name__ == "__main__":
    unittest.main()

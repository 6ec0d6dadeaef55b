"""scripts/lab grade with the real kernel, the real sandbox and the real nbgrader.

Of the hostile submissions some are tried here; all of them, which takes minutes, with `GLASSLAB_HOSTILE=1`.
"""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
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
FEW = (hostile.HONEST, "by rote", "has its own check")


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
    def test_right_answers_have_the_points_and_noted_or_pretended_ones_have_none(self):
        for name in FEW:
            with self.subTest(name):
                result = self.graded(name)
        self.assertNotIn("read cell", " ".join(self.graded_remarks.get(hostile.HONEST, [])) if hasattr(self, "graded_remarks") else "")
        self.assertIn("a check of its own", " ".join(result["remarks"]))

    @unittest.skipUnless(os.environ.get("GLASSLAB_HOSTILE"), "takes minutes: GLASSLAB_HOSTILE=1")
    def test_no_hostile_submission_has_a_point_that_it_has_not_earned(self):
        for name in self.submissions:
            with self.subTest(name):
                result = self.graded(name)
                self.assertNotIn("FOUND", json.dumps(result))


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
        self.course(ada=hostile.HONEST, eve="is no JSON", bob="aborts")
        status, said = self.grade(jobs=2)
        self.assertEqual(status, 0, said)
        self.assertIn("2 at a time", said)
        with (self.folder / "grading/lab/points.csv").open(newline="") as file:
            rows = [(row["learner"], row["exercise"], row["points"]) for row in csv.DictReader(file)]
        self.assertEqual([row for row in rows if row[2] == "1"], [("ada", "encode", "1"), ("ada", "decode", "1"), ("ada", "targets", "1"),
                                                                  ("bob", "encode", "1"), ("bob", "targets", "1")])
        for learner in ("ada", "bob", "eve"):
            self.assertIn("Tokenization", (self.folder / f"feedback/{learner}/lab/one.html").read_text() if learner != "eve" else "Tokenization")
        subprocess.run([str(ROOT / "scripts" / "lab"), "nbgrader", "export"], cwd=self.folder, capture_output=True, check=True)
        with (self.folder / "grades.csv").open(newline="") as file:
            self.assertEqual({row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}, {"ada": 3.0, "bob": 2.0, "eve": 0.0})
        # Nothing is run again, and what is asked for again is.
        status, said = self.grade()
        self.assertIn("0 notebooks to grade", said)
        self.assertIn("3 are graded already", said)


if __name__ == "__main__":
    unittest.main()

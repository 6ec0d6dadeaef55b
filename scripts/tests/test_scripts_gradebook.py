"""The real nbgrader, told of results that no kernel is needed for."""

import contextlib
import io
import sqlite3
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import exercises, release, tools
from labkit.grading import command, course
from test_scripts_release import SOLVED, TEST, code, need_nbgrader, notebook

SCORES = """SELECT student_id, auto_score FROM grade JOIN submitted_notebook ON grade.notebook_id = submitted_notebook.id
            JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id"""


class GradebookTest(unittest.TestCase):
    def setUp(self):
        need_nbgrader(self)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        made = notebook(code(SOLVED, id="solution"), code(TEST, id="test"))
        made["metadata"] = {"kernelspec": {"language": "rust", "name": "glasslab", "display_name": "Rust"}}
        exercises.mark(made, "one")
        for name in ("source/lab", "submitted/ada/lab", "submitted/bob/lab"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name / "one.ipynb").write_text(exercises.text(made))
        tools.run([release.VENV / "bin" / "nbgrader", "generate_assignment", "lab"], "nbgrader failed.", env=release.environment(), cwd=self.folder)
        with mock.patch.object(command.kernel, "PREPARED", self.folder / "source/lab/one.ipynb"):
            self.grading = command.Grading(course.open_course(self.folder, None), command.Wish(str(self.folder), sandboxed=False), None)

    def grade(self):
        """Whatever was handed in is right."""
        right = {**self.grading.absent("ada", "one"), **self.grading.without_answers("one", "right", True)}
        with mock.patch.object(command.run, "grade", lambda *_: right), contextlib.redirect_stdout(io.StringIO()) as said:
            self.grading.all(["ada", "bob"])
        self.assertEqual(self.grading.failed, [])
        with contextlib.closing(sqlite3.connect(self.folder / "gradebook.db")) as book:
            return said.getvalue(), dict(book.execute(SCORES).fetchall())

    def test_a_time_that_is_none_costs_no_points_and_what_is_taken_back_has_none(self):
        (self.folder / "submitted/ada/lab/timestamp.txt").write_text("yesterday, I think")
        (self.folder / "submitted/bob/lab/timestamp.txt").write_text("2026-02-01 10:00:00 UTC")
        said, scores = self.grade()
        self.assertRegex(said, "ada: timestamp.txt holds no time")
        self.assertNotIn("bob: timestamp", said)
        self.assertEqual(scores, {"ada": 1.0, "bob": 1.0})
        (self.folder / "submitted/bob/lab/one.ipynb").unlink()
        self.assertEqual(self.grade()[1], {"ada": 1.0, "bob": 0.0})
        self.assertIn("not handed in", (self.folder / "feedback/bob/lab/one.html").read_text(encoding="utf-8"))
        with mock.patch.object(command.Gradebook, "_start") as start:
            self.grade()
        start.assert_not_called()


if __name__ == "__main__":
    unittest.main()

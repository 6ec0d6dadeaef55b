"""Every exercise through the real kernel: as given it compiles and fails its check. Solved it passes where the solved notebooks
are executed, which is a test, too."""

import contextlib
import csv
import io
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import exercises, notebooks, release, tools
from labkit.layout import NOTEBOOKS, ROOT, SOLUTIONS
from labkit.say import Problem
from test_kernel_sessions import Kernel


def given():
    """The code of each exercise and of its test, by notebook and name, as a learner gets them."""
    found = {}
    for path in sorted(SOLUTIONS.glob("*.ipynb")):
        cells = {cell["id"]: exercises.source(cell) for cell in exercises.read(NOTEBOOKS / path.name)["cells"]}
        for exercise in exercises.find(exercises.read(path), path.name):
            found[path.name, exercise.name] = cells[exercise.solution["id"]], cells[exercise.test["id"]]
    return found


class ExercisesTest(unittest.TestCase):
    """One kernel for all: an exercise needs nothing but the prelude."""

    @classmethod
    def setUpClass(cls):
        cls.kernel = Kernel()

    @classmethod
    def tearDownClass(cls):
        cls.kernel.stop()

    def verdict(self, code, test):
        """What the check said; the exercise's own cell must compile."""
        text, _, errors = self.kernel.run(code)
        self.assertEqual((text, errors), ("", ""), code)
        text, data, errors = self.kernel.run(test)
        return f"{text}\n{data.get('text/plain', '')}\n{errors}", data

    def test_every_exercise_as_given_compiles_and_is_told_that_it_is_not_written_yet(self):
        exercises_given = given()
        self.assertTrue(exercises_given)
        for (notebook, name), (code, test) in exercises_given.items():
            with self.subTest(notebook=notebook, exercise=name):
                self.assertIn("todo!", code)
                said, data = self.verdict(code, test)
                self.assertIn(f"exercise {name}: not written yet", said)
                self.assertIn(f"check::hint(&quot;{name}&quot;, 1)", data.get("text/html", ""))

    def test_a_mistake_is_named_in_the_notebook_and_a_panic_loses_nothing(self):
        self.kernel.run("let kept = 41;")
        said, _ = self.verdict("fn my_relu(x: &Tensor) -> Tensor { x.abs() }", "check::relu(my_relu).require()?;")
        self.assertIn("absolute value", said)
        self.assertIn("exercise relu: not right yet", said)
        said, _ = self.verdict("fn my_relu(x: &Tensor) -> Tensor { x.view([1, 2, 3, 4, 5]) }", "check::relu(my_relu)")
        self.assertIn("Your function stopped with: libtorch", said)
        self.assertEqual(self.kernel.run("kept + 1")[1]["text/plain"], "42")

    def test_a_hint_is_shown(self):
        _, data, errors = self.kernel.run("check::hint(\"relu\", 2)")
        self.assertEqual(errors, "")
        self.assertIn("Hint 2 of 3", data["text/plain"])
        self.assertIn("Hint 2 of 3", data["text/html"])


class WithANotebook(unittest.TestCase):
    """Tests that write a notebook with the exercise relu."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, body, *more):
        kernel = {"display_name": "Rust (glasslab)", "language": "rust", "name": "glasslab"}
        made = {"cells": [], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        solution = f"// exercise: relu\nfn my_relu(x: &Tensor) -> Tensor {{\n    // BEGIN SOLUTION\n    {body}\n    // END SOLUTION\n}}"
        for number, code in enumerate([solution, "check::relu(my_relu).require()?;", *more]):
            made["cells"].append({"cell_type": "code", "id": f"cell-{number}", "metadata": {}, "source": code, "outputs": [],
                                  "execution_count": None})
        exercises.mark(made, "one")
        path = self.folder / "one.ipynb"
        path.write_text(exercises.text(made))
        return path


class RunTest(WithANotebook):
    """scripts/lab run and solve on a notebook with an exercise."""

    def run_it(self, path, keep=False):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            well = notebooks.run(path, self.folder / "out", "glasslab", "", html=False, keep=keep)
        return well, said.getvalue()

    def test_an_unwritten_exercise_is_counted_and_the_rest_is_run(self):
        well, said = self.run_it(self.write('todo!("your turn")', "1 + 1"))
        self.assertTrue(well, said)
        self.assertIn("3 of 3 cells", said)
        self.assertIn("1 exercises not written yet", said)

    def test_a_solved_notebook_has_no_exercise_that_is_not_written(self):
        path = self.write('todo!("your turn")')
        (self.folder / "solutions").mkdir()
        path = path.rename(self.folder / "solutions" / path.name)
        well, said = self.run_it(path)
        self.assertFalse(well, said)
        self.assertIn("not written yet", said)

    def test_a_wrong_one_fails(self):
        well, said = self.run_it(self.write("x.abs()"))
        self.assertFalse(well, said)
        self.assertIn("not right yet", said)

    def test_results_are_kept_the_same_each_time_and_failed_ones_are_not(self):
        slow = "println!(\"{:?}\", my_relu(&Tensor::from_slice(&[-1.0, 2.0])).size());\nfor _ in 0..4 {\n" \
            "    println!(\"more\");\n    std::thread::sleep(std::time::Duration::from_millis(150));\n}"
        path = self.write("x.relu()", slow)
        self.assertTrue(self.run_it(path, keep=True)[0])
        first = path.read_text()
        executed = nbformat.reads(first, as_version=4)
        self.assertEqual([cell.execution_count for cell in executed.cells], [1, 2, 3])
        self.assertEqual([output.text for output in executed.cells[2].outputs], ["[2]\n" + 4 * "more\n"])
        self.assertIn("right", str(executed.cells[1].outputs))
        self.assertNotIn("iopub", first)
        self.assertTrue(self.run_it(path, keep=True)[0])
        self.assertEqual(path.read_text(), first)
        self.assertEqual(first, exercises.text(json.loads(first)))
        wrong = self.write("x.abs()")
        before = wrong.read_text()
        self.assertFalse(self.run_it(wrong, keep=True)[0])
        self.assertEqual(wrong.read_text(), before)

    def test_results_that_are_too_large_are_refused(self):
        path = self.write("x.relu()", "println!(\"{}\", \"x\".repeat(1_000_000));")
        before = path.read_text()
        well, said = self.run_it(path, keep=True)
        self.assertFalse(well)
        self.assertIn("draw less", said)
        self.assertEqual(path.read_text(), before)


class GradingTest(WithANotebook):
    """A course as docs/teaching.md describes it, with two learners."""

    def nbgrader(self, *arguments):
        run = subprocess.run([str(ROOT / "scripts" / "lab"), "nbgrader", *arguments], cwd=self.folder, capture_output=True, **tools.TEXT)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_nbgrader_gives_the_point_to_who_has_solved_it(self):
        try:
            release.ensure()
        except Problem:
            self.skipTest("nbgrader is not there, and can't be had without the network: scripts/lab release --check")
        solved = self.write("x.relu()").read_text()
        for name in ("source/lab", "submitted/ada/lab", "submitted/bob/lab", "submitted/eve/lab"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "source/lab/one.ipynb").write_text(solved)
        self.nbgrader("generate_assignment", "lab")
        given = (self.folder / "release/lab/one.ipynb").read_text()
        self.assertIn("your turn", given)
        for name, stub in [("ada", "x.clamp_min(0.0)"), ("bob", 'todo!(\\"your turn\\")'), ("eve", "x.abs()")]:
            answer = given.replace('todo!(\\"your turn\\")', stub)
            (self.folder / f"submitted/{name}/lab/one.ipynb").write_text(answer)
        self.nbgrader("autograde", "lab")
        self.nbgrader("export", "--to", "grades.csv")
        with open(self.folder / "grades.csv", newline="") as file:
            points = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
        self.assertEqual(points, {"ada": 1.0, "bob": 0.0, "eve": 0.0})


if __name__ == "__main__":
    unittest.main()

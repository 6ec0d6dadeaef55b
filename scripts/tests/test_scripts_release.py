"""The learners' notebooks are the solved ones without the solutions, and nbgrader knows each exercise."""

import copy
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import exercises, release
from labkit.layout import NOTEBOOKS, SOLUTIONS
from labkit.outputs import join_streams
from labkit.say import Problem


def code(source, **more):
    return {"cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": [], "execution_count": None, **more}


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


SOLVED = "// exercise: double\nfn my_double(x: i64) -> i64 {\n    // BEGIN SOLUTION\n    2 * x\n    // END SOLUTION\n}"
TEST = "check::double(my_double).require()?;"


class Marking(unittest.TestCase):
    def test_the_first_line_makes_a_cell_an_exercise_and_its_check_the_test(self):
        made = notebook(code("let x = 1;"), code(SOLVED), code("my_double(2)"), code(TEST))
        self.assertEqual([exercise.name for exercise in exercises.mark(made, "one")], ["double"])
        plain, solution, between, test = (cell["metadata"].get("nbgrader") for cell in made["cells"])
        self.assertIsNone(plain)
        self.assertIsNone(between)
        self.assertEqual((solution["grade_id"], solution["solution"], solution["grade"]), ("double", True, False))
        self.assertEqual((test["grade_id"], test["grade"], test["locked"], test["points"]), ("test-double", True, True, 1))

    def test_marking_again_changes_nothing_and_marks_without_an_exercise_go(self):
        made = notebook(code(SOLVED), code(TEST), code("1", metadata={"nbgrader": {"grade": True}}))
        exercises.mark(made, "one")
        once = copy.deepcopy(made)
        exercises.mark(made, "one")
        self.assertEqual(made, once)
        self.assertEqual(made["cells"][2]["metadata"], {})

    def test_what_an_exercise_lacks_is_told(self):
        unended = SOLVED.replace("    // END SOLUTION\n", "")
        for cells, sign in [([code(SOLVED)], "needs a cell after it"), ([code(TEST), code(SOLVED)], "needs a cell after it"),
                            ([code(SOLVED), code("check::double(my_double)")], "require"),
                            ([code(unended), code(TEST)], "END SOLUTION"),
                            ([code(SOLVED.split("\n", 1)[1]), code(TEST)], "does not begin with"),
                            ([code(SOLVED), code(TEST), code(SOLVED), code(TEST)], "two exercises double")]:
            with self.assertRaisesRegex(Problem, f"one: .*{sign}"):
                exercises.mark(notebook(*cells), "one")

    def test_the_stub_stands_where_the_solution_stood(self):
        self.assertEqual(exercises.without_solution(SOLVED),
                         '// exercise: double\nfn my_double(x: i64) -> i64 {\n    todo!("your turn")\n}')


def need_nbgrader(test):
    """nbgrader comes on first use, which needs the network once; set-up, which learners run, leaves it out."""
    try:
        release.ensure()
    except Problem:
        test.skipTest("nbgrader is not there, and can't be had without the network: scripts/lab release --check")


class Released(unittest.TestCase):
    """What is committed."""

    def test_nbgrader_makes_exactly_the_committed_notebooks(self):
        need_nbgrader(self)
        with redirect_stdout(io.StringIO()) as said:
            status = release.release(check=True)
        self.assertEqual(status, 0, said.getvalue())

    def test_a_learners_notebook_is_the_solved_one_without_solutions_and_results(self):
        names = [path.name for path in sorted(SOLUTIONS.glob("*.ipynb"))]
        self.assertEqual(names, [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb"))])
        for name in names:
            solved, given = exercises.read(SOLUTIONS / name), exercises.read(NOTEBOOKS / name)
            self.assertEqual([cell["id"] for cell in solved["cells"]], [cell["id"] for cell in given["cells"]], name)
            for before, after in zip(solved["cells"], given["cells"]):
                self.assertEqual(exercises.source(after), exercises.without_solution(exercises.source(before)).replace("](../../docs/", "](../docs/"), name)
                self.assertFalse(after.get("outputs"), name)
                self.assertIsNone(after.get("execution_count"), name)

    def test_every_exercise_is_one_that_the_library_checks_and_is_asked_once(self):
        library = "".join(path.read_text() for path in (ROOT / "crates/glasslab/src/check").glob("*.rs"))
        known = re.findall(r"^exercise! \{\n    [A-Z_0-9]+: .* = (\w+)\(.*\),$", library, re.M)
        notebooks = [(path.name, exercises.read(path)) for path in sorted(SOLUTIONS.glob("*.ipynb"))]
        written = [exercise.name for name, notebook in notebooks for exercise in exercises.find(notebook, name)]
        asked = re.findall(r"check::(\w+)\([^()]+\)\.require\(\)", "\n".join(
            exercises.source(cell) for _, notebook in notebooks for cell in notebook["cells"] if cell["cell_type"] == "code"))
        self.assertGreaterEqual(len(known), 40)
        self.assertEqual(sorted(asked), sorted(known))
        # A whole model is put together of other exercises' functions, and so has no cell of its own to be filled in.
        self.assertEqual(sorted([*written, "transformer"]), sorted(known))

    def test_nothing_in_a_notebook_is_of_a_time_or_of_a_machine(self):
        for path in [*NOTEBOOKS.glob("*.ipynb"), *SOLUTIONS.glob("*.ipynb")]:
            text = path.read_text(encoding="utf-8")
            self.assertNotIn(str(ROOT), text, path)
            self.assertNotIn("iopub.", text, path)
            self.assertLess(len(text.encode()), 1_000_000, path)
            self.assertEqual(text, exercises.text(json.loads(text)), f"{path} is not as scripts/lab release writes it")


class Pages(unittest.TestCase):
    def test_every_link_between_pages_and_notebooks_leads_to_a_file(self):
        pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *NOTEBOOKS.glob("*.ipynb"), *SOLUTIONS.glob("*.ipynb")]
        for page in pages:
            for target in re.findall(r"\]\(([^)#:\s]+)\)", page.read_text(encoding="utf-8")):
                if "." in target:  # code has brackets, too
                    self.assertTrue((page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}")

    def test_the_mistakes_that_the_teachers_page_quotes_are_those_that_the_checks_name(self):
        sources = "".join(path.read_text() for path in (ROOT / "crates/glasslab/src/check").glob("*.rs"))
        named = re.sub(r"\\\n\s*", "", sources)
        rows = re.findall(r"^\| [^|]+ \| (`\w+`[^|]*) \| [^|]+ \|$", (ROOT / "docs/teaching.md").read_text(), re.M)
        self.assertGreater(len(rows), 10)
        for row in rows:
            for quoted in re.findall(r"\*([^*]+)\*", row):
                for part in quoted.split(" … "):
                    self.assertIn(part, named, row)
            for exercise in re.findall(r"`(\w+)`", row):
                self.assertIn(f" = {exercise}(", named, row)


    def test_the_teachers_page_makes_a_course_outside_of_the_project(self):
        commands = re.search(r"1\. Make a folder for the course.*?```sh\n(.*?)```", (ROOT / "docs/teaching.md").read_text(), re.S)[1]
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder) / "glasslab"
            (project / "notebooks").mkdir(parents=True)
            (project / "notebooks/solutions").symlink_to(SOLUTIONS)
            subprocess.run(["sh", "-ec", f"{commands}\ntest -d source/lab"], cwd=project, check=True)
            self.assertEqual(os.listdir(project), ["notebooks"])


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


class Outputs(unittest.TestCase):
    def test_text_that_follows_text_of_its_stream_is_one_output(self):
        picture = {"output_type": "display_data", "data": {}, "metadata": {}}
        made = [code("", outputs=[stream("a"), stream("b\n"), stream("c"), stream("x", "stderr"), stream("d"), picture, stream("e")]),
                code("", outputs=[stream(["a\n", "b"]), stream(["c\n", "d\n"])]),
                {"cell_type": "markdown", "source": ""}]
        join_streams(made)
        self.assertEqual(made[0]["outputs"], [stream("ab\nc"), stream("x", "stderr"), stream("d"), picture, stream("e")])
        self.assertEqual(made[1]["outputs"], [stream(["a\n", "bc\n", "d\n"])])
        self.assertNotIn("outputs", made[2])

    def test_no_committed_result_is_in_pieces(self):
        for path in SOLUTIONS.glob("*.ipynb"):
            given = exercises.read(path)
            joined = copy.deepcopy(given)
            join_streams(joined["cells"])
            self.assertEqual(given, joined, path.name)


class Stale(unittest.TestCase):
    """release --check on notebooks of which one has been changed."""

    def setUp(self):
        need_nbgrader(self)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.solutions, self.notebooks = self.root / "notebooks/solutions", self.root / "notebooks"
        self.solutions.mkdir(parents=True)
        made = notebook(code(SOLVED, id="solution"), code(TEST, id="test", outputs=[], execution_count=3))
        made["metadata"] = {"kernelspec": {"language": "rust", "name": "glasslab", "display_name": "Rust"}}
        (self.solutions / "01.ipynb").write_text(json.dumps(made))
        for name, value in [("SOLUTIONS", self.solutions), ("NOTEBOOKS", self.notebooks), ("ROOT", self.root),
                            ("WRITTEN", self.root / "released.json")]:
            patch = mock.patch.object(release, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def release(self, check):
        with redirect_stdout(io.StringIO()) as said:
            return release.release(check), said.getvalue()

    def test_it_is_told_what_is_out_of_date_and_releasing_mends_it(self):
        status, said = self.release(check=True)
        self.assertEqual(status, 1)
        self.assertIn("notebooks/01.ipynb: out of date", said)
        self.assertFalse((self.notebooks / "01.ipynb").exists(), "a check writes nothing")
        self.assertEqual(self.release(check=False)[0], 0)
        self.assertEqual(self.release(check=True)[0], 0)
        given = (self.notebooks / "01.ipynb").read_text()
        self.assertIn("your turn", given)
        self.assertNotIn("2 * x", given)
        (self.notebooks / "01.ipynb").write_text(given.replace("your turn", "2 * x"))
        self.assertEqual(self.release(check=True)[0], 1)

    def test_a_notebook_that_somebody_has_worked_in_is_not_written_over(self):
        given, solved = self.notebooks / "01.ipynb", self.solutions / "01.ipynb"
        self.release(check=False)
        for command in (["init", "-q"], ["add", "notebooks"], ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "All"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)
        # What was released and not committed is nobody's work.
        for title in ("one", "another"):
            made = exercises.read(solved)
            made["cells"][0]["source"] = SOLVED.replace("exercise: double", f"exercise: double\n// {title}")
            solved.write_text(exercises.text(made))
            self.release(check=False)
            self.assertIn(title, given.read_text())
        given.write_text(given.read_text().replace("your turn", "3 * x"))
        with self.assertRaisesRegex(Problem, "notebooks/01.ipynb is neither as committed nor"):
            self.release(check=False)
        self.assertIn("3 * x", given.read_text())
        given.unlink()
        self.release(check=False)
        self.assertIn("your turn", given.read_text())

    def test_releasing_joins_results_that_are_in_pieces(self):
        self.release(check=False)
        path = self.solutions / "01.ipynb"
        solved = exercises.read(path)
        solved["cells"][1]["outputs"] = [stream(["a\n"]), stream(["b\n"])]
        path.write_text(exercises.text(solved))
        self.assertEqual(self.release(check=True)[0], 1)
        self.release(check=False)
        self.assertEqual(exercises.read(path)["cells"][1]["outputs"], [stream(["a\n", "b\n"])])

    def test_a_notebook_without_a_solved_one_is_told(self):
        self.release(check=False)
        (self.notebooks / "02.ipynb").write_text("{}")
        status, said = self.release(check=True)
        self.assertEqual(status, 1)
        self.assertIn("02.ipynb has no solved notebook", said)


if __name__ == "__main__":
    unittest.main()

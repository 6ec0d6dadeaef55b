"""Tells nbgrader what came of submissions: its gradebook, its graded notebooks, its page for each learner.

This file is run by the Python of nbgrader's environment, in the course's folder: gradebook.py ASSIGNMENT RESULTS. Each line of
its input is a learner whose results lie in RESULTS/LEARNER/; each line of its output is `{"learner": …, "problem": null, "remark": null}`.

nbgrader does here what it does in `nbgrader autograde`, with notebooks that have been run already: so its cells, points
that were given by hand, late submissions and whatever is added to its settings are what they are there.
"""

import json
import logging
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
from nbgrader.apps.baseapp import NbGrader
from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (AssignLatePenalties, CheckCellMetadata, DeduplicateIds, OverwriteCells, OverwriteKernelspec,
                                    SaveAutoGrades)
from nbgrader.utils import parse_utc


def notebook(result: dict):
    """A result as a notebook: each test has what the judge has said, and nothing that the learner's code has printed."""
    made = nbformat.v4.new_notebook()
    made.metadata.kernelspec = {"display_name": "Rust (glasslab)", "language": "rust", "name": "glasslab"}
    # What a page's colours go by; without it, code is taken for Python with mistakes.
    made.metadata.language_info = {"name": "rust", "file_extension": ".rs", "mimetype": "text/rust", "pygments_lexer": "rust"}
    for cell in result["cells"]:
        source, is_code = cell["source"], cell["kind"] == "code"
        text = source if source in result["given"] else fenced(source)
        made.cells.append(nbformat.v4.new_code_cell(source) if is_code else nbformat.v4.new_markdown_cell(text))
        if cell["grade_id"]:
            made.cells[-1].metadata.nbgrader = result["metadata"][cell["grade_id"]]
        if is_code:
            outputs = told(result["verdicts"][cell["grade_id"]]) if cell["test"] else cell["outputs"]
            made.cells[-1].outputs = [nbformat.from_dict(output) for output in outputs]
    if remarks := result.get("told"):
        made.cells.insert(0, nbformat.v4.new_markdown_cell("Of the grading:\n\n" + fenced("\n".join(remarks))))
    return made


def fenced(text: str) -> str:
    """A text of a learner's, as text: in Markdown, it could be a page's HTML and scripts, in a teacher's browser."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def told(verdict: dict) -> list[dict]:
    """nbgrader gives the points of a test if its cell has no error."""
    if verdict["right"]:
        return [{"output_type": "stream", "name": "stdout", "text": verdict["said"] + "\n"}]
    first = verdict["said"].split("\n")[0]
    return [{"output_type": "error", "ename": "not right", "evalue": first, "traceback": verdict["said"].split("\n")}]


class Gradebook:
    """nbgrader's own steps, for one assignment."""

    def __init__(self, assignment: str, results: Path):
        self.assignment, self.results, self.ready = assignment, results, results / ".ready"
        # nbgrader's settings are read as it reads them, from the course's folder and those of Jupyter.
        self.app = NbGrader()
        self.app.initialize([])
        self.app.log.setLevel(logging.ERROR)

    def record(self, learner: str) -> str | None:
        """A learner's points, graded notebooks and page; what the teacher should know of it."""
        shutil.rmtree(self.ready, ignore_errors=True)
        folder = self.ready / learner / self.assignment
        folder.mkdir(parents=True)
        for path in sorted((self.results / learner).glob("*.json")):
            nbformat.write(notebook(json.loads(path.read_text(encoding="utf-8"))), folder / f"{path.stem}.ipynb")
        course = CourseDirectory(parent=self.app)
        course.assignment_id, course.student_id = self.assignment, learner
        time = Path(course.format_path(course.submitted_directory, learner, self.assignment)) / "timestamp.txt"
        remark = None
        if time.is_file() and not time.is_symlink() and time.stat().st_size < 200:
            try:
                parse_utc(time.read_text(encoding="utf-8").strip())
                shutil.copyfile(time, folder / time.name)
            except Exception:  # it is a stranger's, and nbgrader would take no points for it
                remark = f"{time.name} holds no time, and was not looked at: whether this came late is not known."
        submitted, course.submitted_directory = course.submitted_directory, str(self.ready.relative_to(course.root))
        grades = Autograde(coursedir=course, parent=self.app)
        grades.force = True
        grades.sanitize_preprocessors = [DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata]
        grades.autograde_preprocessors = [SaveAutoGrades, AssignLatePenalties, CheckCellMetadata]
        grades.start()
        course.submitted_directory = submitted
        page = GenerateFeedback(coursedir=course, parent=self.app)
        page.force = True
        page.start()
        shutil.rmtree(self.ready)
        return remark


def main(assignment: str, results: Path) -> None:
    # What nbgrader prints is not for who reads our lines.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gradebook = Gradebook(assignment, results)
    for line in sys.stdin:
        learner, problem, remark = line.strip(), None, None
        try:
            remark = gradebook.record(learner)
        except (Exception, SystemExit) as error:  # of one learner; the others' points are not lost for it
            problem = f"{type(error).__name__}: {error}"
        print(json.dumps({"learner": learner, "problem": problem, "remark": remark}), file=lines, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).absolute())

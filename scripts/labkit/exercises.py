"""Exercises in notebooks: which cells they are, and what nbgrader has to know of them.

In notebooks/solutions/, a code cell whose first line is `// exercise: NAME` holds an exercise with its solution between the lines
`// BEGIN SOLUTION` and `// END SOLUTION`; the next cell with `check::NAME(` is its test. All else follows from that, so
nobody writes nbgrader's metadata by hand. As given, both cells need nothing but the prelude.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .say import Problem

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
# What stands in a solution's place.
STUB = 'todo!("your turn")'
POINTS = 1
FIRST_LINE = re.compile(r"// exercise: ([a-z0-9_]+)\s*$")


@dataclass
class Exercise:
    """An exercise's two cells."""

    name: str
    solution: dict
    test: dict


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def text(notebook: dict) -> str:
    """A notebook as it is committed: the same for the same content, whoever wrote it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def source(cell: dict) -> str:
    return "".join(cell["source"])


def exercise_name(cell: dict) -> str | None:
    found = FIRST_LINE.match(source(cell).split("\n")[0]) if cell["cell_type"] == "code" else None
    return found.group(1) if found else None


def find(notebook: dict, where: str) -> list[Exercise]:
    """The exercises of a solutions' notebook; a Problem names what one lacks."""
    exercises, cells = [], notebook["cells"]
    for index, cell in enumerate(cells):
        name = exercise_name(cell)
        if name is None:
            if BEGIN in source(cell):
                raise Problem(f"{where}: a cell has `// {BEGIN}` but does not begin with `// exercise: NAME`.")
            continue
        lines = source(cell).split("\n")
        begins, ends = ([line for line in lines if mark in line] for mark in (BEGIN, END))
        if not begins or len(begins) != len(ends):
            raise Problem(f"{where}: exercise {name} needs a `// {BEGIN}` and a `// {END}` line around each solution.")
        if any(exercise.name == name for exercise in exercises):
            raise Problem(f"{where}: there are two exercises {name}.")
        test = next((after for after in cells[index + 1:] if f"check::{name}(" in source(after)
                     and after["cell_type"] == "code"), None)
        if test is None or ".require()?" not in source(test):
            raise Problem(f"{where}: exercise {name} needs a cell after it with `check::{name}(…).require()?;`.")
        exercises.append(Exercise(name, cell, test))
    return exercises


def mark(notebook: dict, where: str) -> list[Exercise]:
    """Writes nbgrader's metadata into the cells of the exercises, and removes it from all others."""
    exercises = find(notebook, where)
    for cell in notebook["cells"]:
        cell["metadata"].pop("nbgrader", None)
    for exercise in exercises:
        common = {"schema_version": 3, "task": False}
        exercise.solution["metadata"]["nbgrader"] = {
            **common, "grade": False, "grade_id": exercise.name, "locked": False, "solution": True}
        exercise.test["metadata"]["nbgrader"] = {
            **common, "grade": True, "grade_id": f"test-{exercise.name}", "locked": True, "points": POINTS, "solution": False}
    return exercises


def without_solution(code: str) -> str:
    """The code that a learner gets: the stub in the place of each solution."""
    kept, inside = [], False
    for line in code.split("\n"):
        if BEGIN in line:
            inside = True
            kept.append(re.match(r"\s*", line).group(0) + STUB)
        elif END in line:
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept)

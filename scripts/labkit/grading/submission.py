"""What a learner has handed in, as the cells that are run.

A file of a stranger: it may be no notebook, a link to another learner's, too large, or have its test cells removed or
rewritten. What comes out of it here is a list of cells made anew, with each test as the teacher wrote it.
"""

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

# Far more than any notebook of the lab: bytes, cells.
LARGEST = 20_000_000
MOST_CELLS = 1_000


class Refused(Exception):
    """A file that can't be graded; its text says why."""


@dataclass
class Cell:
    """A cell to be run or shown."""

    kind: str  # as in a notebook: code, markdown, raw
    source: str
    grade_id: str | None = None
    test: str | None = None  # the exercise that it checks, in a cell of the teacher's
    outputs: list = field(default_factory=list)


    def code(self) -> str:
        """What is run: a test by its whole path, so that nothing of the learner's that has the same name stands in its way."""
        # A line that begins with a colon would be a command for the kernel.
        return "/**/ " + re.sub(r"(?<![:\w])check::", "::glasslab::check::", self.source) if self.test else self.source


@dataclass
class Submission:
    """A learner's notebook, ready to be run."""

    cells: list[Cell]
    remarks: list[str]  # what the teacher should know or read
    problem: str | None = None  # why there is nothing to run


# What a teacher should look at: what it may mean, and how it is found in a learner's code.
WORTH_READING = {
    "the library's answer (check::reference)": r"\breference\b",
    "a check of its own": r"\bcheck\s*::(?!\s*reference\b)|\bmod\s+check\b|\buse\b[^;]*\bcheck\b(?!\s*::\s*reference\b)|\bVerdict\b",
    "another crate in the library's place": r"\bextern\s+crate\b|\bmod\s+glasslab\b",
    "unsafe": r"\bunsafe\b|\basm!|\btransmute\b|\bno_mangle\b|\blink_section\b",
    "processes": r"\bprocess\b|\blibc\b|\brustix\b|\bnix\s*::",
    "files": r"\bfs\s*::|\bFile\b|/proc\b|\binclude(_str|_bytes)?!",
    "the network": r"\bnet\s*::|\bTcp(Stream|Listener)\b|\bUdpSocket\b",
    "the environment": r"\benv\s*::|\benv!|GLASSLAB_",
}
# How a remark begins that is the teacher's to read, and not the learner's.
READ = "read cell"
NOT_HANDED_IN = "not handed in"
TEST = re.compile(r"\bcheck::([a-z0-9_]+)\(")


def read(path: Path, master: dict) -> Submission:
    """A learner's file, with the tests of the teacher's notebook."""
    try:
        return prepared(_notebook(path), master)
    except Refused as refused:
        return Submission(prepared(_learners(master), master).cells, [str(refused)], problem=str(refused))


def _learners(master: dict) -> dict:
    """What stands in the gradebook for who has handed in nothing that can be read: the tests alone."""
    return {"cells": [cell for cell in master["cells"] if is_test(cell)]}


def _notebook(path: Path) -> dict:
    try:
        # A link would lead to another learner's folder, or out of the course.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Refused(NOT_HANDED_IN) from None
    except OSError as error:
        why = "it is a link" if path.is_symlink() else error.strerror
        raise Refused(f"{path.name} can't be read: {why}") from None
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Refused(f"{path.name} is no file")
        if about.st_size > LARGEST:
            raise Refused(f"{path.name} has {about.st_size:,} bytes, more than {LARGEST:,}")
        raw = file.read(LARGEST)
    try:
        notebook = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is no notebook: {_short(error)}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise Refused(f"{path.name} is no notebook: it has no list of cells")
    if len(notebook["cells"]) > MOST_CELLS:
        raise Refused(f"{path.name} has {len(notebook['cells']):,} cells, more than {MOST_CELLS:,}")
    return notebook


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:100]


def is_test(cell: dict) -> bool:
    """Whether a cell of the teacher's is a test that gives points."""
    about = cell.get("metadata", {}).get("nbgrader", {})
    return cell.get("cell_type") == "code" and bool(about.get("grade")) and not about.get("solution")


def tests(master: dict) -> dict[str, str]:
    """The exercises of a teacher's notebook: the name in the library, by the cell's name in nbgrader."""
    found = {}
    for cell in filter(is_test, master["cells"]):
        if exercise := TEST.search(_source(cell) or ""):
            found[_grade_id(cell)] = exercise[1]
    return found


def prepared(notebook: dict, master: dict) -> Submission:
    """A learner's cells, in their order; each test as the teacher has it, also where it is missing."""
    exercises = tests(master)
    texts = {_grade_id(cell): _source(cell) for cell in master["cells"] if _grade_id(cell) in exercises}
    solutions = {_grade_id(cell) for cell in master["cells"] if _grade_id(cell)} - set(exercises)
    cells, remarks, seen, changed = [], [], set(), []
    for cell in notebook["cells"]:
        source, name = _source(cell), _grade_id(cell)
        if source is None or cell.get("cell_type") not in ("code", "markdown", "raw"):
            remarks.append("a cell that is none was left out")
        elif name in seen:
            remarks.append(f"a second cell {name} was left out")
        elif name in exercises:
            seen.add(name)
            if source != texts[name] or cell["cell_type"] != "code":
                changed.append(name)
            cells.append(Cell("code", texts[name], name, exercises[name]))
        else:
            if name in solutions:
                seen.add(name)
            cells.append(Cell(cell["cell_type"], source, name if name in solutions else None))
    missing = [name for name in exercises if name not in seen]
    cells += [Cell("code", texts[name], name, exercises[name]) for name in missing]
    if changed:
        remarks.append(f"test cells that were changed, and put back: {', '.join(changed)}")
    if missing:
        remarks.append(f"test cells that were missing, and put back at the end: {', '.join(missing)}")
    return Submission(cells, remarks + _worth_reading(cells, master))


def _worth_reading(cells: list[Cell], master: dict) -> list[str]:
    """What in a learner's own code is worth a look. Cells that stand like that in the teacher's notebook are not theirs."""
    given = {_source(cell) for cell in master["cells"]}
    own = [(number, cell) for number, cell in enumerate(cells, 1)
           if cell.kind == "code" and cell.test is None and cell.source not in given]
    remarks = []
    for number, cell in own:
        found = [what for what, sign in WORTH_READING.items() if re.search(sign, cell.source)]
        if found:
            remarks.append(f"{READ} {number}: {', '.join(found)}")
        if line := command(cell.source):
            remarks.append(f"{READ} {number}: not run, it has a command for the kernel, {line[:40]}")
    return remarks


def command(source: str) -> str | None:
    """The line by which a cell speaks to the kernel: to add a crate, to forget all, to start a program. Such a cell is not
    run. As the kernel has it, such lines stand above the code."""
    for line in source.splitlines():
        if line.startswith("!") or line.strip().startswith(":"):
            return line.strip()
        if line.strip() and not line.startswith("//"):
            return None
    return None


def _source(cell) -> str | None:
    source = cell.get("source") if isinstance(cell, dict) else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    return source if isinstance(source, str) else None


def _grade_id(cell) -> str | None:
    metadata = cell.get("metadata") if isinstance(cell, dict) else None
    about = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = about.get("grade_id") if isinstance(about, dict) else None
    return name if isinstance(name, str) else None


def metadata(master: dict) -> dict[str, dict]:
    """nbgrader's own words of each of its cells, as the teacher's notebook has them."""
    about = [cell.get("metadata", {}).get("nbgrader", {}) for cell in master["cells"]]
    return {said["grade_id"]: said for said in about if said.get("grade_id")}

"""A course's folder, as nbgrader has it, and the results that are kept in it.

    COURSE/source/ASSIGNMENT/NOTEBOOK.ipynb              the teacher's
    COURSE/submitted/LEARNER/ASSIGNMENT/NOTEBOOK.ipynb   the learners'
    COURSE/grading/ASSIGNMENT/LEARNER/NOTEBOOK.json      what came of a learner's notebook, written whole or not at all
    COURSE/grading/ASSIGNMENT/points.csv                 the table
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from ..say import Problem

# A name that is one everywhere: as a folder, for nbgrader (which takes * and ? for patterns), on a page.
NAME = re.compile(r"[\w@+=][\w.@+= -]*")


@dataclass(frozen=True)
class Course:
    """One assignment of a course."""

    folder: Path
    assignment: str
    masters: dict  # the teacher's notebooks, by name

    @property
    def results(self) -> Path:
        return self.folder / "grading" / self.assignment

    def learners(self) -> tuple[list[str], list[str]]:
        """Who has handed in something, and folders' names that can't be a learner's."""
        folders = [path for path in sorted((self.folder / "submitted").glob("*")) if (path / self.assignment).exists()]
        good = [path.name for path in folders if NAME.fullmatch(path.name) and not path.is_symlink()
                and not (path / self.assignment).is_symlink()]
        return good, [path.name for path in folders if path.name not in good]

    def submitted(self, learner: str, notebook: str) -> Path:
        return self.folder / "submitted" / learner / self.assignment / f"{notebook}.ipynb"

    def strange(self, learner: str) -> list[str]:
        """Notebooks that a learner has handed in under names which none of the teacher's has."""
        folder = self.folder / "submitted" / learner / self.assignment
        return sorted(path.name for path in folder.glob("*.ipynb") if path.stem not in self.masters)

    def result(self, learner: str, notebook: str) -> Path:
        return self.results / learner / f"{notebook}.json"

    def told(self, learner: str) -> Path:
        """Which results nbgrader has been told."""
        return self.results / learner / "told"


def open_course(folder: Path, assignment: str | None) -> Course:
    """A course, and the one assignment that is named, or that there is."""
    there = sorted(path.name for path in (folder / "source").glob("*") if any(path.glob("*.ipynb")))
    if not there:
        raise Problem(f"{folder} is no course of nbgrader: expected notebooks in {folder / 'source'}/ASSIGNMENT. docs/teaching.md says how "
                      "to make one.")
    if assignment is None and len(there) > 1:
        raise Problem(f"{folder} has {len(there)} assignments, {', '.join(there)}: say which one, `--assignment NAME`.")
    assignment = assignment or there[0]
    if assignment not in there:
        raise Problem(f"{folder} has no assignment {assignment!r}; there is {', '.join(there)}.")
    released = folder / "release" / assignment
    masters = {}
    for path in sorted((folder / "source" / assignment).glob("*.ipynb")):
        if not (released / path.name).exists():
            raise Problem(f"{path.name} has not been released, so nbgrader does not know its points: in {folder}, run `scripts/lab nbgrader "
                          f"generate_assignment {assignment}`.")
        masters[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return Course(folder, assignment, masters)


def key(path: Path, master: dict, *more: str) -> str:
    """Changes when the file, the teacher's notebook or the lab does: then it is graded again."""
    digest = hashlib.sha256(json.dumps(master, sort_keys=True).encode())
    digest.update("\0".join(["", *more]).encode())
    if path.is_file() and not path.is_symlink():
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def digest(paths: list[Path]) -> str:
    """Changes when one of the files does, or there is another one."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


def write(path: Path, text: str) -> None:
    """Writes under another name first: half a file never has the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def keep(path: Path, result: dict) -> None:
    write(path, json.dumps(result, ensure_ascii=False, indent=1))


def kept(path: Path, wanted: str | None = None) -> dict | None:
    """The result that is there; with a key, only if it is of what is there now."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if wanted in (None, result.get("key")) else None

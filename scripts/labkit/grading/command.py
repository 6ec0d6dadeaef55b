"""scripts/lab grade: all that learners have handed in, some at a time, each in a sandbox.

What has been graded is kept as it ends, so that a grading that was broken off goes on with what is missing.
"""

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .. import kernel, release, tools
from ..say import Problem, line
from . import course as courses
from . import run, sandbox, submission, table


@dataclass(frozen=True)
class Wish:
    """What is to be graded, and how."""

    folder: str
    assignment: str | None = None
    learners: tuple[str, ...] = ()
    jobs: int | None = None
    again: bool = False
    sandboxed: bool = True
    limits: sandbox.Limits = field(default_factory=sandbox.Limits)


def wish(options) -> Wish:
    """What the command line asks for."""
    if (options.jobs or 1) < 1:
        raise Problem(f"--jobs {options.jobs}: expected how many are graded at a time, 1 or more.")
    limits = sandbox.Limits(seconds=options.seconds, memory=int(options.memory * 2**30))
    return Wish(options.folder, options.assignment, tuple(options.learner), options.jobs, options.again, options.sandboxed, limits)


def grade(wish: Wish) -> int:
    """Grades what is not graded yet, tells nbgrader, and shows the table of all."""
    course = courses.open_course(Path(wish.folder).absolute(), wish.assignment)
    learners, strange = course.learners()
    if unknown := [name for name in wish.learners if name not in learners]:
        raise Problem(f"There is nothing of {unknown[0]!r} in {course.folder / 'submitted'}; there is {', '.join(learners) or 'nothing'}.")
    if not learners:
        raise Problem(f"Nothing is handed in: expected {course.folder / 'submitted'}/LEARNER/{course.assignment}/NOTEBOOK.ipynb.")
    bwrap = sandbox.bubblewrap()
    if bwrap is None and wish.sandboxed:
        raise Problem(f"{sandbox.why_not()} Without a sandbox, `--no-sandbox` runs the learners' code as you, with all that you may do: only for "
                      "code that you have read.")
    release.ensure()
    grading = Grading(course, wish, bwrap if wish.sandboxed else None)
    results = grading.all([name for name in learners if name in (wish.learners or learners)])
    for name in strange:
        line(table.plain(f"left out, a link or a name that no learner can have: {name!r}"))
    line("\n" + table.as_text(results, course.folder / "feedback"))
    text = course.results / "points.csv"
    courses.write(text, table.as_csv({name: results.get(name) or grading.there(name) for name in learners}))
    line(f"All points, by exercise: {text}")
    for problem in grading.failed:
        line(table.plain(problem))
    return 1 if grading.failed else 0


class Grading:
    """A grading of one assignment."""

    def __init__(self, course: courses.Course, wish: Wish, bwrap: str | None):
        self.course, self.wish, self.bwrap = course, wish, bwrap
        self.failed, self.is_ended = [], False
        # What the points hang on, besides what was handed in: the lab's own state.
        self.state = kernel.PREPARED.read_text(encoding="utf-8")

    def all(self, learners: list[str]) -> dict[str, dict[str, dict]]:
        """The results of these learners, by learner and notebook; those that are there already as they are."""
        results = {learner: {} for learner in learners}
        todo, missing = [], []
        for learner in learners:
            # Who has taken back all that nbgrader knows of has no points any more; of who keeps a notebook, nbgrader sees it itself.
            is_taken_back = self.course.told(learner).exists() and not any(self.is_handed_in(learner, name) for name in self.course.masters)
            for notebook in self.course.masters:
                if not self.is_handed_in(learner, notebook):
                    self.course.result(learner, notebook).unlink(missing_ok=True)
                    missing.append((learner, notebook))
                    if is_taken_back:
                        courses.keep(self.course.result(learner, notebook), self.absent(learner, notebook))
                elif not self.wish.again and (there := courses.kept(self.course.result(learner, notebook), self.key(learner, notebook))):
                    results[learner][notebook] = there
                else:
                    todo.append((learner, notebook))
        count = sum(len(notebooks) for notebooks in results.values())
        jobs = self.wish.jobs or max(1, (os.cpu_count() or 1) // 2)
        line(f"To grade: {len(todo)}, {jobs} at a time{f'; graded already: {count}' if count else ''}.")
        with Gradebook(self.course) as gradebook, ThreadPoolExecutor(jobs) as pool:
            waiting = {pool.submit(self.one, *task): task for task in todo}
            try:
                for learner in learners:
                    if not any(task[0] == learner for task in todo):
                        self.record(gradebook, learner)
                for number, done in enumerate(as_completed(waiting), 1):
                    learner, notebook = waiting[done]
                    if error := done.exception():
                        # Of one notebook: all others are graded, and the same command tries this one again.
                        results[learner][notebook] = self.without_answers(notebook, f"could not be graded: {error}", None)
                        self.failed.append(f"could not be graded: {learner} {notebook}: {error}")
                        line(table.plain(f"[{number}/{len(todo)}] {learner} {notebook}: could not be graded: {error}"))
                    else:
                        result = results[learner][notebook] = done.result()
                        got, of = table.points(result)
                        line(table.plain(f"[{number}/{len(todo)}] {learner} {notebook}: {got:g} of {of:g} points, {result['seconds']:.0f} s, "
                                         f"{result['memory'] / 2**20:.0f} MB"))
                    if not any(task[0] == learner and not job.done() for job, task in waiting.items()):
                        self.record(gradebook, learner)
            except BaseException:
                self.is_ended = True
                pool.shutdown(wait=False, cancel_futures=True)
                sandbox.end_all()
                raise
        for learner, notebook in missing:
            results[learner][notebook] = self.absent(learner, notebook)
        return {learner: dict(sorted(notebooks.items())) for learner, notebooks in results.items()}

    def record(self, gradebook: "Gradebook", learner: str) -> None:
        """Tells nbgrader of a learner; what it can't take of one keeps nobody else from being graded."""
        try:
            gradebook.record(learner)
        except Problem as problem:
            self.failed.append(str(problem))

    def there(self, learner: str) -> dict[str, dict]:
        """What is known of a learner who is not graded now."""
        found = {}
        for notebook in sorted(self.course.masters):
            if not self.is_handed_in(learner, notebook):
                found[notebook] = self.absent(learner, notebook)
            else:
                found[notebook] = courses.kept(self.course.result(learner, notebook)) or self.without_answers(notebook, "not graded yet", None)
        return found

    def is_handed_in(self, learner: str, notebook: str) -> bool:
        return os.path.lexists(self.course.submitted(learner, notebook))

    def absent(self, learner: str, notebook: str) -> dict:
        """The result of what was not handed in, or not under its name."""
        remarks = [f"not handed in; there is {name!r}, which was not looked at: is it {notebook}.ipynb?" for name in self.course.strange(learner)]
        # What nbgrader shows of it is the tests alone.
        cells = [asdict(cell) for cell in submission.read(self.course.submitted(learner, notebook), self.course.masters[notebook]).cells]
        return {**self.without_answers(notebook, submission.NOT_HANDED_IN, False), "remarks": remarks, "told": [submission.NOT_HANDED_IN],
                "cells": cells, "given": []}

    def without_answers(self, notebook: str, said: str, right: bool | None) -> dict:
        """A result of what was not run, with the same verdict for all exercises: None where nobody knows."""
        master = self.course.masters[notebook]
        verdicts = {name: {"exercise": exercise, "right": right, "said": said} for name, exercise in submission.tests(master).items()}
        return {"verdicts": verdicts, "metadata": submission.metadata(master), "remarks": [], "seconds": 0, "memory": 0}

    def key(self, learner: str, notebook: str) -> str:
        limits = json.dumps(asdict(self.wish.limits))
        return courses.key(self.course.submitted(learner, notebook), self.course.masters[notebook], self.state, limits)

    def one(self, learner: str, notebook: str) -> dict:
        """Grades a notebook, and keeps what came of it."""
        wanted = self.key(learner, notebook)
        path, master = self.course.submitted(learner, notebook), self.course.masters[notebook]
        result = {"key": wanted, **run.grade(path, master, self.wish.limits, self.bwrap)}
        if self.is_ended:
            raise Problem("the grading was broken off")  # what was not run to its end is no result
        courses.keep(self.course.result(learner, notebook), result)
        return result


class Gradebook:
    """nbgrader, in its own environment, told of one learner after the other."""

    def __init__(self, course: courses.Course):
        self.course, self.process = course, None

    def __enter__(self):
        self._log().unlink(missing_ok=True)
        return self

    def __exit__(self, *_):
        if self.process:
            self._end()

    def _end(self) -> int:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        status, self.process = self.process.wait(), None
        return status

    def record(self, learner: str) -> None:
        """Once for the same results: what a teacher has changed in the gradebook since then is left alone."""
        paths = sorted((self.course.results / learner).glob("*.json"))
        state = f"{courses.digest(paths)} {self._known_as()}"
        told = self.course.told(learner)
        if not paths or (told.exists() and told.read_text() == state):
            return
        process = self._start()
        begun = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(learner + "\n")
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            # For the next learner it is started anew.
            raise Problem(f"nbgrader ended with status {self._end()} at the points of {learner}; its last words stand in {self._log()}.")
        answer = json.loads(answer)
        if problem := answer["problem"]:
            raise Problem(f"nbgrader could not take the points of {learner}: {problem}. More stands in {self._log()}. The results are kept; "
                          f"the same command goes on. ({time.monotonic() - begun:.0f} s)")
        if remark := answer["remark"]:
            line(table.plain(f"{learner}: {remark}"))
        told.write_text(state)

    def _known_as(self) -> str:
        """nbgrader's own name for the assignment, drawn anew with each gradebook: another one has been told nothing."""
        book = (self.course.folder / "gradebook.db").absolute().as_uri()
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"{book}?mode=ro", uri=True)) as opened:
            return str(opened.execute("SELECT id FROM assignment WHERE name = ?", [self.course.assignment]).fetchone())
        return ""

    def _log(self) -> Path:
        return self.course.results / "nbgrader.log"

    def _start(self) -> subprocess.Popen:
        if self.process is None:
            environment = release.environment()
            program = Path(__file__).with_name("gradebook.py")
            command = [release.VENV / "bin" / "python", "-B", program, self.course.assignment, self.course.results]
            with self._log().open("a") as log:
                self.process = subprocess.Popen([str(word) for word in command], cwd=self.course.folder, env=environment, stdin=subprocess.PIPE,
                                                stdout=subprocess.PIPE, stderr=log, **tools.TEXT)
        return self.process

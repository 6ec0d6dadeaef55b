"""scripts/lab grade: all that learners have handed in, some at a time, each in a sandbox.

What has been graded is kept as it ends, so that a grading that was broken off goes on with what is missing.
"""

import json
import os
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
        raise Problem(sandbox.ADVICE)
    release.ensure()
    grading = Grading(course, wish, bwrap if wish.sandboxed else None)
    results = grading.all([name for name in learners if name in (wish.learners or learners)])
    for name in strange:
        line(table.plain(f"left out, a link or a name that no learner can have: {name!r}"))
    line("\n" + table.as_text(results, course.folder / "feedback"))
    text = course.results / "points.csv"
    text.write_text(table.as_csv(results), encoding="utf-8")
    line(f"All points, by exercise: {text}")
    for problem in grading.failed:
        line(table.plain(f"could not be graded: {problem}"))
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
            for notebook in self.course.masters:
                path = self.course.submitted(learner, notebook)
                if not os.path.lexists(path):
                    self.course.result(learner, notebook).unlink(missing_ok=True)
                    missing.append((learner, notebook))
                elif not self.wish.again and (there := courses.kept(self.course.result(learner, notebook), self.key(learner, notebook))):
                    results[learner][notebook] = there
                else:
                    todo.append((learner, notebook))
        count = sum(len(notebooks) for notebooks in results.values())
        jobs = self.wish.jobs or max(1, (os.cpu_count() or 1) // 2)
        line(f"To grade: {len(todo)}, {jobs} at a time{f'; graded already: {count}' if count else ''}.")
        failed = self.failed
        with Gradebook(self.course) as gradebook, ThreadPoolExecutor(jobs) as pool:
            waiting = {pool.submit(self.one, *task): task for task in todo}
            try:
                for learner in learners:
                    if not any(task[0] == learner for task in todo):
                        gradebook.record(learner)
                for number, done in enumerate(as_completed(waiting), 1):
                    learner, notebook = waiting[done]
                    if error := done.exception():
                        # Of one notebook: all others are graded, and the same command tries this one again.
                        failed.append(f"{learner} {notebook}: {error}")
                        line(table.plain(f"[{number}/{len(todo)}] {learner} {notebook}: could not be graded: {error}"))
                        continue
                    result = results[learner][notebook] = done.result()
                    got, of = table.points(result)
                    line(table.plain(f"[{number}/{len(todo)}] {learner} {notebook}: {got:g} of {of:g} points, {result['seconds']:.0f} s, "
                                     f"{result['memory'] / 2**20:.0f} MB"))
                    if not any(task[0] == learner and not job.done() for job, task in waiting.items()):
                        gradebook.record(learner)
            except BaseException:
                self.is_ended = True
                pool.shutdown(wait=False, cancel_futures=True)
                sandbox.end_all()
                raise
        for learner, notebook in missing:
            results[learner][notebook] = self.absent(learner, notebook)
        return {learner: dict(sorted(notebooks.items())) for learner, notebooks in results.items()}

    def absent(self, learner: str, notebook: str) -> dict:
        """The result of what was not handed in, or not under its name."""
        master = self.course.masters[notebook]
        tests = submission.tests(master)
        verdicts = {name: {"exercise": exercise, "right": False, "said": submission.NOT_HANDED_IN} for name, exercise in tests.items()}
        remarks = [f"not handed in; there is {name!r}, which was not looked at: is it {notebook}.ipynb?" for name in self.course.strange(learner)]
        return {"verdicts": verdicts, "metadata": submission.metadata(master), "remarks": remarks, "seconds": 0, "memory": 0}

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
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()

    def record(self, learner: str) -> None:
        """Once for the same results: what a teacher has changed in the gradebook since then is left alone."""
        paths = sorted((self.course.results / learner).glob("*.json"))
        state = courses.digest(paths)
        told = self.course.results / learner / "told"
        if not paths or (told.exists() and told.read_text() == state):
            return
        process = self._start()
        begun = time.monotonic()
        process.stdin.write(learner + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise Problem(f"nbgrader ended with status {process.wait()}; its last words stand in {self._log()}.")
        if problem := json.loads(answer)["problem"]:
            raise Problem(f"nbgrader could not take the points of {learner}: {problem}. More stands in {self._log()}. The results are kept; "
                          f"the same command goes on. ({time.monotonic() - begun:.0f} s)")
        told.write_text(state)

    def _log(self) -> Path:
        return self.course.results / "nbgrader.log"

    def _start(self) -> subprocess.Popen:
        if self.process is None:
            environment = release.environment()
            program = Path(__file__).with_name("gradebook.py")
            command = [release.VENV / "bin" / "python", "-B", program, self.course.assignment, self.course.results]
            with self._log().open("w") as log:
                self.process = subprocess.Popen([str(word) for word in command], cwd=self.course.folder, env=environment, stdin=subprocess.PIPE,
                                                stdout=subprocess.PIPE, stderr=log, **tools.TEXT)
        return self.process

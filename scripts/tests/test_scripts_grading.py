"""Tests of scripts/lab grade that need no kernel: what is read of a stranger's file, the sandbox, the table."""

import contextlib
import csv
import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit.grading import cgroup, command, course, run, sandbox, submission, table
from labkit.say import Problem


def cell(source, name=None, grade=False, kind="code", points=1):
    made = {"cell_type": kind, "id": "a", "metadata": {}, "source": source}
    if name:
        made["metadata"]["nbgrader"] = {"grade": grade, "grade_id": name, "locked": grade, "solution": not grade, "points": points}
    return made


TEST = "check::relu(my_relu).require()?;"
GIVEN = "// exercise: relu\nfn my_relu(x: &Tensor) -> Tensor {\n    todo!()\n}"
MASTER = {"cells": [cell("# Title", kind="markdown"), cell("1 + 1"), cell(GIVEN, "relu"), cell(TEST, "test-relu", grade=True)]}


class InAFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class SubmissionTest(InAFolder):
    def read(self, *cells):
        path = self.folder / "one.ipynb"
        path.write_text(json.dumps({"cells": list(cells)}))
        return submission.read(path, MASTER)

    def test_a_test_is_the_teachers_whatever_stands_there_and_is_run_by_its_whole_path(self):
        for stands in ("1 + 1;", "check::relu(my_relu);", "println!(\"right\");"):
            read = self.read(cell("fn my_relu() {}", "relu"), cell(stands, "test-relu", grade=True))
            self.assertEqual([one.source for one in read.cells], ["fn my_relu() {}", TEST])
            self.assertEqual(read.cells[1].code(), "/**/ ::glasslab::check::relu(my_relu).require()?;")
            self.assertIn("changed, and put back: test-relu", " ".join(read.remarks))
        self.assertEqual(self.read(cell("fn my_relu() {}", "relu"), cell(TEST, "test-relu", grade=True)).remarks, [])

    def test_a_test_that_is_missing_is_put_back_and_one_that_comes_twice_counts_once(self):
        read = self.read(cell("fn my_relu() {}", "relu"), cell("2 + 2"))
        self.assertEqual([one.test for one in read.cells], [None, None, "relu"])
        self.assertIn("missing", " ".join(read.remarks))
        read = self.read(cell(TEST, "test-relu", grade=True), cell(GIVEN, "relu"), cell(TEST, "test-relu", grade=True))
        self.assertEqual([one.test for one in read.cells], ["relu", None])

    def test_points_are_the_teachers(self):
        read = self.read(cell("fn my_relu() {}", "relu", grade=True, points=100), cell("1", "mine", grade=True, points=100))
        self.assertEqual([(one.grade_id, one.test) for one in read.cells], [("relu", None), (None, None), ("test-relu", "relu")])

    def test_what_is_no_notebook_is_told_and_has_its_tests_for_the_gradebook(self):
        path = self.folder / "one.ipynb"
        for raw, expected in [(b"", "no notebook"), (b"hello", "no notebook"), (b"[]", "no list of cells"), (b"\xff\xfe", "no notebook"),
                              (b'{"cells": 7}', "no list"), (b'{"cells": ' + b"[" * 100_000, "no notebook"),
                              (json.dumps({"cells": [7] * 2000}).encode(), "2,000 cells")]:
            path.write_bytes(raw)
            read = submission.read(path, MASTER)
            self.assertIn(expected, read.problem)
            self.assertEqual([one.test for one in read.cells], ["relu"])
        path.write_bytes(b" " * (submission.LARGEST + 1))
        self.assertIn("bytes, more than", submission.read(path, MASTER).problem)
        for source in (7, None, {}, [7], ["a", None]):
            self.assertEqual([one.test for one in self.read({"cell_type": "code", "metadata": {}, "source": source}).cells], ["relu"])
        self.assertEqual([one.test for one in self.read({"cell_type": "evil", "source": "x"}, 7, None, []).cells], ["relu"])

    def test_a_link_and_a_pipe_are_not_read(self):
        other = self.folder / "other.ipynb"
        other.write_text(json.dumps(MASTER))
        link, pipe = self.folder / "one.ipynb", self.folder / "two.ipynb"
        link.symlink_to(other)
        os.mkfifo(pipe)
        self.assertIn("it is a link", submission.read(link, MASTER).problem)
        self.assertIn("is no file", submission.read(pipe, MASTER).problem)

    def test_what_is_worth_reading_is_named_and_the_teachers_own_cells_are_not(self):
        for code, expected in [("fn my_relu(x: &Tensor) -> Tensor { check::reference::relu(x) }", "the library's answer"),
                               ("use glasslab::check as c;", "a check of its own"), ("mod check { }", "a check of its own"),
                               ("extern crate self as glasslab;", "another crate"), ("unsafe { }", "unsafe"),
                               ("std::process::exit(0)", "processes"), ("std::fs::read(\"/proc/self/mem\")", "files")]:
            self.assertIn(expected, " ".join(self.read(cell("// mine\n" + code)).remarks), code)
        self.assertNotIn("read cell", " ".join(self.read(*MASTER["cells"]).remarks))
        # What the lab offers to who is stuck is no check of their own.
        for code in ("check::reference::relu(x)", "use glasslab::check::reference;\nreference::relu(x)"):
            self.assertEqual(self.read(cell(code)).remarks[-1], "read cell 1: the library's answer (check::reference)", code)

    def test_a_command_for_the_kernel_is_not_run_and_told(self):
        for code in (":dep glasslab = { path = \"mine\" }", "  :clear", "// first\n:restart\n1 + 1", "!rm -rf /"):
            self.assertTrue(submission.command(code), code)
            self.assertIn("not run", " ".join(self.read(cell(code)).remarks))
        for code in ("let x = 1;\n:clear", "// only words", "", "let x\n    : i64 = 1;"):
            self.assertFalse(submission.command(code), code)


class SaidTest(unittest.TestCase):
    """What comes out of a sandbox may be anything."""

    def hear(self, *lines):
        said = run.Said()
        for line in lines:
            said.hear(line, {1: None, 2: "relu"})
        return said

    def test_answers_are_those_of_a_test_cell_and_outputs_nothing_that_a_browser_runs(self):
        html = {"output_type": "display_data", "data": {"text/html": "<script>"}, "metadata": {}}
        text = {"output_type": "stream", "name": "stdout", "text": "hello"}
        error = {"output_type": "error", "ename": "a", "evalue": "b", "traceback": []}
        said = self.hear(json.dumps({"cell": 2, "outputs": [html, text, error, 7], "answers": "{}", "ended": None}),
                         json.dumps({"cell": 1, "outputs": [], "answers": "{}", "ended": "why"}))
        self.assertEqual(said.outputs, {2: [text], 1: []})
        self.assertEqual((said.answers, said.ended), ({"relu": "{}"}, {1: "why"}))

    def test_lines_that_are_no_results_are_no_error(self):
        for line in ("", "7", "null", "[]", "{", '{"cell": 9}', '{"cell": [1]}', '{"cell": 2}', '{"cell": 2, "outputs": 7}', "[" * 100_000):
            self.assertEqual(self.hear(line).answers, {}, line[:20])


@unittest.skipUnless(sandbox.bubblewrap(), "needs bubblewrap")
class SandboxTest(InAFolder):
    """Python programs in the sandbox that learners' code gets, with smaller limits."""

    LIMITS = sandbox.Limits(seconds=20, memory=400 << 20, disk=20 << 20, processes=60)

    def run_it(self, program, **changed):
        limits = sandbox.Limits(**{**self.LIMITS.__dict__, **changed})
        readable = [Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parent, self.folder / "readable"]
        environment = {"PATH": os.environ["PATH"], "HOME": "/learner"}
        made = sandbox.command(sandbox.bubblewrap(), readable, Path("/learner"), environment, limits)
        box = sandbox.Sandbox([*made, os.path.realpath(sys.executable), "-c", program], limits)
        return "".join(box.talk("")), box

    def test_it_sees_what_it_needs_and_nothing_else(self):
        (self.folder / "readable").mkdir()
        (self.folder / "readable" / "file").write_text("seen")
        (self.folder / "secret").write_text("hidden")
        with socket.create_server(("127.0.0.1", 0)) as server:
            said, _ = self.run_it(f"""
import os, socket
def tried(what):
    try:
        return what()
    except OSError as error:
        return type(error).__name__
print(tried(lambda: open("{self.folder}/readable/file").read()))
print(tried(lambda: open("{self.folder}/readable/file", "w")))
print(tried(lambda: open("{self.folder}/secret").read()))
print(os.listdir("{self.folder}"), os.path.exists(os.path.expanduser("~root/.ssh")))
print(tried(lambda: open("/learner/own", "w").write("mine")), tried(lambda: open("/tmp/own", "w").write("mine")))
print(tried(lambda: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 1)))
print(tried(lambda: socket.create_connection(("192.0.2.1", 80), 1)))
print(sorted(os.environ), len([name for name in os.listdir("/proc") if name.isdigit()]) < 5)
""")
        lines = said.splitlines()
        self.assertEqual(lines[0], "seen")
        self.assertIn(lines[1], ("OSError", "PermissionError"))
        self.assertEqual(lines[2:6], ["FileNotFoundError", "['readable'] False", "4 4", "ConnectionRefusedError"])
        self.assertEqual(lines[6], "OSError")
        self.assertTrue(lines[7].endswith("True") and "HOME" in lines[7], lines[7])

    def test_who_never_ends_is_ended_and_what_was_said_before_stays(self):
        said, box = self.run_it("print('here', flush=True)\nwhile True: pass", seconds=0.5)
        self.assertEqual((said, box.why), ("here\n", "it took longer than 0 s"))

    def test_who_takes_memory_without_end_is_ended(self):
        one = "kept = []\nwhile True: kept.append(bytearray(10 << 20)); kept[-1][::4096] = b'x' * 2560"
        # By the system's limit for one process, or, of several, by the watch.
        _, box = self.run_it(one)
        self.assertIn(b"MemoryError", box.errors)
        _, box = self.run_it(f"import os\nos.fork(); os.fork()\n{one}", memory=300 << 20)
        self.assertTrue(box.why is None or "GiB of memory" in box.why, box.why)
        self.assertLess(box.peak, 800 << 20)

    def test_processes_have_an_end(self):
        # Not without end: three times as many as there may be.
        program = "import os, time\nfor _ in range(180):\n    if os.fork() == 0: time.sleep(9); os._exit(0)\nprint('all')"
        said, box = self.run_it(program, memory=4 << 30)
        self.assertNotIn("all", said)
        self.assertTrue(b"BlockingIOError" in box.errors or "processes" in (box.why or ""), (box.errors, box.why))

    @unittest.skipUnless(cgroup.possible(), "needs a control group of its own (root, where they may be written)")
    def test_memory_of_no_process_counts_too(self):
        program = "import os\nfor number in range(100):\n    file = os.memfd_create('x')\n    os.write(file, bytes(15 << 20))\nprint('all')"
        said, _ = self.run_it(program)
        self.assertNotIn("all", said)

    def test_who_writes_without_end_is_ended(self):
        _, box = self.run_it("import os\nwhile True: os.write(1, b'x' * 65536)")
        self.assertEqual(box.why, "it wrote too much")

    def test_its_disk_is_full_before_ours_is(self):
        said, _ = self.run_it("""
for number in range(100):
    try:
        open(f"/learner/{number}", "wb").write(bytes(1 << 20))
    except OSError as error:
        print(error.strerror, number)
        break
""")
        self.assertIn("No space left", said)

    def test_who_ends_all_that_it_sees_ends_only_itself(self):
        said, _ = self.run_it("import os\nprint('here', flush=True)\nfor _ in range(2):\n    try: os.kill(-1, 9)\n    except OSError: pass")
        self.assertTrue(said.startswith("here"))
        said, _ = self.run_it("import os\nos.kill(os.getppid(), 9)\nprint('still here')")
        self.assertLessEqual(said.count("\n"), 1)


class TableTest(unittest.TestCase):
    RESULT = {"verdicts": {"test-relu": {"exercise": "relu", "right": True, "said": "✓ relu\nmore"},
                           "test-tanh": {"exercise": "tanh", "right": False, "said": "=1+1"}},
              "metadata": {"test-relu": {"points": 2}, "test-tanh": {"points": 1}}, "remarks": ["read \x1b[31mthis"], "seconds": 3.0}

    def test_the_points_are_counted_and_nobody_moves_the_cursor(self):
        said = table.as_text({"ada": {"one": self.RESULT}, "李": {}}, Path("/pages"))
        self.assertIn("2/3", said)
        self.assertNotIn("\x1b", said)

    def test_a_spreadsheet_takes_nothing_for_a_formula(self):
        rows = list(csv.DictReader(io.StringIO(table.as_csv({"@ada": {"one": self.RESULT}}))))
        self.assertEqual([(row["learner"], row["points"], row["of"], row["said"]) for row in rows],
                         [("'@ada", "2", "2", "✓ relu"), ("'@ada", "0", "1", "'=1+1")])
        rows = list(csv.DictReader(io.StringIO(table.as_csv({"ada": {"one": {**self.RESULT, "remarks": []}}}))))
        self.assertEqual([row["remarks"] for row in rows], ["", ""])


class CourseTest(InAFolder):
    def course(self):
        for name in ("source/lab", "release/lab", "submitted/ada/lab", "submitted/*/lab"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name / "one.ipynb").write_text(json.dumps(MASTER))
        (self.folder / "submitted" / "eve").symlink_to(self.folder / "submitted" / "ada")
        return course.open_course(self.folder, None)

    def test_a_bubblewrap_that_is_not_here_and_one_that_may_not_are_told_apart(self):
        self.course()
        grade = lambda: command.grade(command.Wish(str(self.folder)))
        with mock.patch.dict(os.environ, {"PATH": str(self.folder)}):
            with self.assertRaisesRegex(Problem, "apt install bubblewrap.*--no-sandbox"):
                grade()
            (self.folder / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
            (self.folder / "bwrap").chmod(0o755)
            with self.assertRaisesRegex(Problem, "may not make a sandbox: bwrap: setting up uid map: Permission denied.*AppArmor.*--no-sandbox"):
                grade()

    def test_a_learner_is_a_folder_with_a_name_that_is_one(self):
        self.assertEqual(self.course().learners(), (["ada"], ["*", "eve"]))

    def test_what_was_not_handed_in_or_under_another_name_has_no_points_and_is_told(self):
        made = self.course()
        (self.folder / "submitted/ada/lab/one.ipynb").rename(self.folder / "submitted/ada/lab/one (1).ipynb")
        wish = command.Wish(str(self.folder), sandboxed=False)
        with mock.patch.object(command.kernel, "PREPARED", self.folder / "source/lab/one.ipynb"), contextlib.redirect_stdout(io.StringIO()):
            results = command.Grading(made, wish, None).all(["ada"])
        got, of = table.points(results["ada"]["one"])
        self.assertEqual((got, of > 0), (0, True))
        self.assertIn("'one (1).ipynb'", table.as_text(results, Path("/pages")))
        self.assertIn("not handed in", table.as_csv(results))

    def test_a_result_is_whole_and_of_what_is_there_now(self):
        made = self.course()
        path, result = made.submitted("ada", "one"), made.result("ada", "one")
        wanted = course.key(path, MASTER, "state")
        course.keep(result, {"key": wanted})
        self.assertEqual(course.kept(result, wanted), {"key": wanted})
        self.assertEqual([file.name for file in result.parent.iterdir()], ["one.json"])
        path.write_text("another")
        self.assertIsNone(course.kept(result, course.key(path, MASTER, "state")))
        self.assertIsNone(course.kept(result, course.key(path, MASTER, "another state")))
        result.write_text('{"key": ')
        self.assertIsNone(course.kept(result, wanted))

    def test_points_stay_in_the_table_for_whom_nothing_is_graded_now_and_what_failed_is_a_row_without_points(self):
        self.course()
        for name in ("bob", "cid"):
            (self.folder / f"submitted/{name}/lab").mkdir(parents=True)
            (self.folder / f"submitted/{name}/lab/one.ipynb").write_text(json.dumps({"cells": [name]}))

        def graded(path, *_):
            if "bob" in str(path):
                raise Problem("the disk is full")
            return {**command.Grading.without_answers(grading, "one", "right", True), "cells": [], "told": [], "given": []}

        def points():
            with (self.folder / "grading/lab/points.csv").open(newline="") as file:
                return {row["learner"]: (row["points"], row["of"]) for row in csv.DictReader(file)}

        wish = command.Wish(str(self.folder), sandboxed=False)
        with (mock.patch.object(command.kernel, "PREPARED", self.folder / "source/lab/one.ipynb"), mock.patch.object(command.release, "ensure"),
              mock.patch.object(command.run, "grade", graded), mock.patch.object(command.Gradebook, "record") as record,
              contextlib.redirect_stdout(io.StringIO()) as said):
            grading = command.Grading(course.open_course(self.folder, None), wish, None)
            command.grade(command.Wish(str(self.folder), learners=("ada",), sandboxed=False))
            self.assertEqual(points(), {"ada": ("1", "1"), "bob": ("", "1"), "cid": ("", "1")})
            self.assertEqual(command.grade(wish), 1)
            self.assertEqual(points(), {"ada": ("1", "1"), "bob": ("", "1"), "cid": ("1", "1")})
            command.grade(command.Wish(str(self.folder), learners=("ada",), again=True, sandboxed=False))
            self.assertEqual(points(), {"ada": ("1", "1"), "bob": ("", "1"), "cid": ("1", "1")})
        self.assertIn(mock.call("bob"), record.call_args_list, "other notebooks of theirs may be graded")
        self.assertIn("?/1", said.getvalue())
        self.assertIn("could not be graded: bob one: the disk is full", said.getvalue())
        self.assertFalse(list(self.folder.rglob("*.part")))

    def test_whom_nbgrader_does_not_take_keeps_nobody_else_from_being_graded(self):
        made = self.course()
        (self.folder / "submitted/bob/lab").mkdir(parents=True)
        wish = command.Wish(str(self.folder), sandboxed=False)
        with (mock.patch.object(command.kernel, "PREPARED", self.folder / "source/lab/one.ipynb"),
              mock.patch.object(command.run, "grade", return_value={"verdicts": {}, "metadata": {}, "remarks": [], "seconds": 0, "memory": 0}),
              mock.patch.object(command.Gradebook, "record", side_effect=Problem("not this one")) as record,
              contextlib.redirect_stdout(io.StringIO())):
            grading = command.Grading(made, wish, None)
            self.assertEqual(list(grading.all(["ada", "bob"])), ["ada", "bob"])
        self.assertEqual((record.call_count, grading.failed), (2, ["not this one"] * 2))

    def test_nbgrader_is_told_once_and_another_gradebook_again(self):
        made = self.course()
        course.keep(made.result("ada", "one"), {})
        talk = "import sys\nfor line in sys.stdin: print('{\"problem\": null, \"remark\": null}', flush=True)"

        def started():
            with mock.patch.object(command.Gradebook, "_start", autospec=True) as start, command.Gradebook(made) as gradebook:
                def begin(it):
                    it.process = subprocess.Popen([sys.executable, "-c", talk], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                    return it.process
                start.side_effect = begin
                gradebook.record("ada")
            return start.called

        for told in (True, False):
            self.assertEqual(started(), told)
        for number in (1, 2):
            (self.folder / "gradebook.db").unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(self.folder / "gradebook.db")) as book:
                book.execute("CREATE TABLE assignment (id, name)")
                book.execute("INSERT INTO assignment VALUES (?, 'lab')", [number])
                book.commit()
            self.assertEqual([started(), started()], [True, False])

    def test_an_nbgrader_that_ends_is_told_and_another_is_started_for_the_next_learner(self):
        made = self.course()
        for name in ("ada", "bob"):
            course.keep(made.result(name, "one"), {})
        with mock.patch.object(command.release, "environment", lambda: None), mock.patch.object(command.release, "VENV", self.folder), \
                command.Gradebook(made) as gradebook:
            (self.folder / "bin").mkdir()
            (self.folder / "bin" / "python").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
            (self.folder / "bin" / "python").chmod(0o755)
            for name in ("ada", "bob"):
                with self.assertRaisesRegex(Problem, f"status 3 at the points of {name}"):
                    gradebook.record(name)
        self.assertEqual((made.results / "nbgrader.log").read_text(), "broken\n" * 2)

    def test_what_is_no_course_says_what_one_is(self):
        with self.assertRaisesRegex(Problem, "no course of nbgrader"):
            course.open_course(self.folder, None)
        self.course()
        with self.assertRaisesRegex(Problem, "no assignment 'two'"):
            course.open_course(self.folder, "two")
        (self.folder / "release/lab/one.ipynb").unlink()
        with self.assertRaisesRegex(Problem, "generate_assignment lab"):
            course.open_course(self.folder, None)


if __name__ == "__main__":
    unittest.main()

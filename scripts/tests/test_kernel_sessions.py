"""The real kernel, driven as Jupyter drives it."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from pathlib import Path

import nbformat
import psutil
from jupyter_client.manager import start_new_kernel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import machines, notebooks, tools


class Kernel:
    """One running kernel."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="glasslab", startup_timeout=300, stdout=subprocess.DEVNULL)

    def run(self, code):
        """What the cell printed, its pictures by MIME type, and its errors."""
        text, data, errors = [], {}, []

        def take(message):
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    text.append(content["text"])
                case "execute_result" | "display_data":
                    data.update(content["data"])
                case "error":
                    errors.append(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join([content["evalue"], *content["traceback"]])))

        self.client.execute_interactive(code, output_hook=take, timeout=120, allow_stdin=False)
        return "".join(text), data, "\n".join(errors)

    def folder(self):
        """The session's folder, by the lock in it that the kernel holds."""
        files = psutil.Process(self.manager.provisioner.pid).open_files()
        return next(Path(file.path).parent for file in files if file.path.endswith("kernel.lock"))

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel()


class RunTest(unittest.TestCase):
    """scripts/lab run must not call a notebook well whose cells failed."""

    def run_cells(self, *cells):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(notebook, folder / "one.ipynb")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            well = notebooks.run(folder / "one.ipynb", folder / "out", "glasslab", "", html=False)
        return well, said.getvalue()

    def enterContext(self, context):  # unittest has it from Python 3.11 on
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def test_every_kind_of_failure_is_seen_and_shown(self):
        for cell, sign in [("let n: i64 = \"x\";", "mismatched types"), ("Stories::from_file(\"nowhere\")?;", "nowhere: No such"),
                           ("panic!(\"on purpose\");", "on purpose"), ("std::process::abort();", "")]:
            well, said = self.run_cells(cell)
            self.assertFalse(well, cell)
            self.assertIn(sign, said)

    def test_a_notebook_without_failure_is_well(self):
        well, said = self.run_cells("1 + 1", "println!(\"two\")")
        self.assertTrue(well, said)
        self.assertIn("2 of 2 cells", said)


class SessionTest(unittest.TestCase):
    """Tests that share one kernel, and start another where they need two."""

    @classmethod
    def setUpClass(cls):
        cls.kernel = Kernel()
        cls.addClassCleanup(cls.kernel.stop)

    def start(self):
        kernel = Kernel()
        self.addCleanup(kernel.stop)
        return kernel

    def test_the_library_is_there_without_a_line_and_cells_share_variables(self):
        kernel = self.kernel
        text, _, errors = kernel.run("let t = Tensor::from_slice(&[1.0, 2.0]) * 3.0; println!(\"{:?}\", t.size());")
        self.assertEqual((text, errors), ("[2]\n", ""))
        self.assertEqual(kernel.run("t.sum(Kind::Double).double_value(&[])")[1]["text/plain"], "9.0")

    def test_a_failed_cell_shows_its_sentence_and_loses_nothing(self):
        kernel = self.kernel
        kernel.run("let kept = 41;")
        text, _, errors = kernel.run("let stories = Stories::from_file(\"nowhere.txt\")?;")
        self.assertIn("nowhere.txt: No such file", text + errors)
        _, _, errors = kernel.run("let broken: i64 = \"text\";")
        self.assertIn("mismatched types", errors)
        _, _, _ = kernel.run("panic!(\"on purpose\")")
        self.assertEqual(kernel.run("kept + 1")[1]["text/plain"], "42")

    def test_a_cell_that_defines_a_type_anew_can_be_run_beside_variables_of_the_old_one(self):
        kernel = self.kernel
        for derive in ("", "#[derive(Clone, Copy)]\n"):
            kernel.run(derive + "struct Mine { x: i64 }\nlet mine = Mine { x: 1 };")
            kernel.run("let all = vec![Mine { x: 2 }];\nlet other = 5_i64;")
            text, _, errors = kernel.run(derive + "struct Mine { x: i64, y: i64 }\nlet mine = Mine { x: 1, y: 40 };")
            self.assertNotIn("mismatched", errors)
            self.assertIn("Gone with the type that this cell defines anew: all.", text + errors)
            self.assertEqual(kernel.run("mine.x + mine.y + other")[1]["text/plain"], "46")

    def test_the_librarys_result_leaves_room_for_other_errors(self):
        kernel = self.kernel
        _, _, errors = kernel.run("fn half(n: i64) -> Result<i64, String> { if n % 2 == 0 { Ok(n / 2) } else { Err(\"odd\".into()) } }")
        self.assertEqual(errors, "")
        self.assertEqual(kernel.run("half(8)?")[1]["text/plain"], "4")

    def test_a_picture_is_shown_with_its_alternative(self):
        kernel = self.kernel
        _, data, errors = kernel.run("Heatmap::new(&Tensor::eye(3, (Kind::Float, Device::Cpu)))?.title(\"one\").draw()?")
        self.assertEqual(errors, "")
        self.assertIn("<svg", data["text/html"])
        self.assertIn("3 rows", data["text/plain"])

    def test_a_cell_finds_rusts_libraries_wherever_the_project_lies(self):
        kernel = self.kernel
        libraries = tools.run(["rustc", "--print", "target-libdir"], "rustc does not run.").strip()
        self.assertIn(libraries, kernel.run(f"println!(\"{{}}\", std::env::var(\"{machines.LIBRARY_PATH}\")?);")[0])

    def test_two_kernels_do_not_disturb_each_other(self):
        one, two = self.kernel, self.start()
        one.run("let here = 1;")
        two.run("let here = 2;")
        self.assertEqual(one.run("here")[1]["text/plain"], "1")
        self.assertEqual(two.run("here")[1]["text/plain"], "2")

    def gone(self, mark):
        """Whether a file goes away; a kernel of another test may be sweeping just now."""
        until = time.monotonic() + 30
        while mark.exists() and time.monotonic() < until:
            time.sleep(0.05)
        return not mark.exists()

    def test_a_kernel_leaves_no_folder_and_a_killed_one_none_past_the_next_start(self):
        # By a file in it, because a kernel of another test may take the folder's name.
        ended, killed = Kernel(), Kernel()
        marks = [kernel.folder() / f"mark-{uuid.uuid4()}" for kernel in (ended, killed)]
        for mark in marks:
            mark.touch()
        ended.stop()
        self.assertTrue(self.gone(marks[0]))
        family = psutil.Process(killed.manager.provisioner.pid).children(recursive=True)
        os.kill(killed.manager.provisioner.pid, signal.SIGKILL)
        killed.client.stop_channels()
        # On a busy machine it takes a while until its children have ended, too, and nobody holds the folder.
        psutil.wait_procs(family, timeout=30)
        next_one = self.start()
        self.assertTrue(self.gone(marks[1]))
        self.assertEqual(next_one.run("1 + 1")[1]["text/plain"], "2")


if __name__ == "__main__":
    unittest.main()

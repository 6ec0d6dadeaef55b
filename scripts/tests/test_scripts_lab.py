"""scripts/lab on machines where something is missing: a clear sentence, never a stack trace."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import doctor, layout, libtorch, machines, main, tools
from labkit.say import Problem, explain


def tool(folder: Path, name: str, answer: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)


class FreshClone(unittest.TestCase):
    """The scripts in a folder of their own, whose path has a space, where nothing is set up."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "my lab"
        shutil.copytree(ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "notebooks", self.root / "notebooks")
        shutil.copy(ROOT / "Cargo.lock", self.root)
        self.bin = Path(folder.name) / "bin"
        self.bin.mkdir()
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": folder.name, "LANG": "C.UTF-8"}
        for name, answer in [("cargo", "cargo 1.95.0"), ("rustc", "rustc 1.95.0"), ("c++", "c++ 12")]:
            tool(self.bin, name, answer)

    def lab(self, *arguments):
        run = subprocess.run([sys.executable, str(self.root / "scripts" / "lab"), *arguments],
                             env=self.env, capture_output=True, text=True, timeout=120)
        self.assertNotIn("Traceback", run.stdout + run.stderr)
        return run

    def test_the_doctor_works_before_set_up_and_says_what_to_do(self):
        run = self.lab("doctor")
        self.assertEqual(run.returncode, 1)
        self.assertIn("✓ rustc             1.95", run.stdout)
        self.assertIn("scripts/lab setup", run.stdout)

    def test_an_old_rust_is_told(self):
        tool(self.bin, "rustc", "rustc 1.70.0 (90c541806 2023-05-31)")
        run = self.lab("setup")
        self.assertEqual(run.returncode, 1)
        self.assertIn("rustup update", run.stderr)

    def test_no_rust_is_told(self):
        (self.bin / "cargo").unlink()
        self.env["PATH"] = str(self.bin)
        run = self.lab("setup")
        self.assertEqual(run.returncode, 1)
        self.assertIn("rustup.rs", run.stderr)

    def test_no_compiler_is_told(self):
        (self.bin / "c++").unlink()
        self.env["PATH"] = str(self.bin)
        run = self.lab("setup")
        self.assertEqual(run.returncode, 1)
        self.assertIn("apt install g++", run.stderr)

    def test_a_notebook_that_is_not_there_is_told(self):
        with mock.patch.object(main, "is_set_up", return_value=True), mock.patch.object(main, "refresh"):
            with self.assertRaisesRegex(Problem, "no notebook"):
                main.run(["nowhere.ipynb"], html=False, stock=False)

    def test_cleaning_where_nothing_is_does_nothing(self):
        self.assertEqual(self.lab("clean").returncode, 0)

    def test_cleaning_keeps_a_target_folder_that_other_projects_share(self):
        shared, own = self.root.parent / "shared target", self.root / "target"
        for folder in (shared, own):
            folder.mkdir()
        self.env["CARGO_TARGET_DIR"] = str(shared)
        self.assertEqual(self.lab("clean").returncode, 0)
        self.assertTrue(shared.exists())
        del self.env["CARGO_TARGET_DIR"]
        self.assertEqual(self.lab("clean").returncode, 0)
        self.assertFalse(own.exists())

    def test_an_unknown_command_is_a_line_of_usage(self):
        run = self.lab("dance")
        self.assertEqual(run.returncode, 2)
        self.assertIn("usage", run.stderr)


class Libtorch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def make(self, version):
        header = self.folder / "include" / "torch" / "headeronly" / "version.h"
        header.parent.mkdir(parents=True)
        names = zip(("MAJOR", "MINOR", "PATCH"), version.split("."))
        header.write_text("".join(f"#define TORCH_VERSION_{name} {number}\n" for name, number in names))
        (self.folder / "lib").mkdir()
        (self.folder / "lib" / f"libtorch_cpu{machines.LIBRARY}").write_text("")

    def find(self):
        with mock.patch.dict(os.environ, {"LIBTORCH": str(self.folder)}):
            return libtorch.find()

    def test_the_environments_libtorch_comes_first(self):
        self.make(layout.TORCH_VERSION)
        found = self.find()
        self.assertEqual((found.folder, found.version), (self.folder, layout.TORCH_VERSION))

    def test_another_version_is_told_with_both_ways_out(self):
        self.make("2.11.0")
        with self.assertRaisesRegex(Problem, "2.11.0.*made for 2.13.*cargo update -p tch --precise 0.24.0"):
            self.find()

    def test_a_version_that_no_tch_is_made_for_is_told(self):
        self.make("1.13.1")
        with self.assertRaisesRegex(Problem, "use torch 2.13"):
            self.find()

    def test_half_a_libtorch_is_told(self):
        with self.assertRaisesRegex(Problem, "No libtorch at"):
            self.find()

    def test_a_python_without_torch_is_told(self):
        with self.assertRaisesRegex(Problem, "has no torch"):
            libtorch.find(torch_from="/bin/false")


class Sentences(unittest.TestCase):
    def test_a_full_disk(self):
        self.assertIn("disk is full", explain(OSError(errno.ENOSPC, "No space left on device", "/x")))

    def test_a_folder_one_may_not_write_to(self):
        self.assertIn("Not allowed to write at /x", explain(OSError(errno.EROFS, "Read-only file system", "/x")))

    def test_a_small_disk_stops_set_up_before_it_begins(self):
        usage = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
        with mock.patch.object(doctor.shutil, "disk_usage", return_value=usage), mock.patch.object(doctor.kernel, "PREPARED", Path("/none")):
            with self.assertRaisesRegex(Problem, "free disk"):
                doctor.require_before()


class Folders(unittest.TestCase):
    def test_the_working_folder_never_has_a_space(self):
        with mock.patch.object(layout, "LAB", Path("/home/me/my lab/.lab")):
            self.assertNotIn(" ", str(layout.work_folder()))
        with mock.patch.object(layout, "LAB", Path("/home/me/lab/.lab")):
            self.assertEqual(layout.work_folder(), Path("/home/me/lab/.lab/kernel"))

    def test_a_read_only_home_gets_cargos_folder_into_the_project(self):
        with mock.patch.object(tools.os, "access", return_value=False), mock.patch.object(tools, "LAB", Path(tempfile.mkdtemp())):
            self.assertIn("CARGO_HOME", tools.cargo_environment())
            self.assertEqual(tools.cargo_environment()["CARGO_HOME"], str(tools.LAB / "cargo"))


if __name__ == "__main__":
    unittest.main()

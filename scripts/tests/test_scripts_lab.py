"""scripts/lab on machines where something is missing: a clear sentence, never a stack trace."""

import ast
import errno
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import unittest
import venv
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import book, doctor, kernel, layout, libtorch, machines, main, python_env, tools
from labkit.benches import data
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
        for name in ("Cargo.toml", "Cargo.lock"):
            shutil.copy(ROOT / name, self.root)
        self.bin = Path(folder.name) / "bin"
        self.bin.mkdir()
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": folder.name, "LANG": "C.UTF-8"}
        for name, answer in [("cargo", "cargo 1.95.0"), ("rustc", "rustc 1.95.0"), ("c++", "c++ 12")]:
            tool(self.bin, name, answer)

    def lab(self, *arguments, python=sys.executable):
        run = subprocess.run([python, str(self.root / "scripts" / "lab"), *arguments],
                             env=self.env, capture_output=True, **tools.TEXT, timeout=120)
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

    def test_a_rust_that_does_not_run_says_why(self):
        (self.bin / "rustc").write_text("#!/bin/sh\necho 'no default toolchain is configured' >&2\nexit 1\n")
        for command in ("setup", "doctor"):
            run = self.lab(command)
            self.assertEqual(run.returncode, 1)
            self.assertIn("no default toolchain is configured", run.stdout + run.stderr)

    def test_the_locale_may_be_any(self):
        self.env |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        self.assertIn("✓ rustc             1.95", self.lab("doctor").stdout)

    def test_an_environment_is_made_anew_whatever_python_and_pip_are_set_to(self):
        (self.root / "scripts" / "requirements.txt").write_text("# nothing\n")
        made = self.root / ".lab" / "python"
        venv.create(made, symlinks=True)  # of another time; activated, it is the python that runs the scripts
        (self.root / "other").mkdir()
        (self.root / "other" / "pip.py").write_text("raise SystemExit('the pip of another Python')")
        self.env |= {"PIP_USER": "1", "PYTHONPATH": str(self.root / "other"), "PIP_NO_INDEX": "1"}
        run = self.lab("setup", python=str(made / "bin" / "python"))
        self.assertIn("done: JupyterLab", run.stdout, run.stderr)

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

    def test_cleaning_keeps_a_persons_results(self):
        for home in (self.root, self.root.parent / "mine"):
            (home / "out").mkdir(parents=True)
            (home / "out" / "leaderboard.html").touch()
            self.env["GLASSLAB_HOME"] = str(home)
            self.assertIn(f"keeping {home / 'out'}: your results", self.lab("clean").stdout)
            self.assertTrue((home / "out" / "leaderboard.html").exists())

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

    def test_a_choice_of_set_up_that_fits_no_longer_is_told_with_how_to_take_it_back(self):
        self.make("2.11.0")
        choice = self.folder / "libtorch.path"
        choice.write_text(f"{self.folder}\n")
        with mock.patch.object(libtorch, "CHOICE", choice), mock.patch.dict(os.environ, {"LIBTORCH": ""}):
            with self.assertRaisesRegex(Problem, f"chosen at set-up.*remove {choice} and run `scripts/lab setup`"):
                libtorch.find()
            shutil.rmtree(self.folder / "lib")
            with self.assertRaisesRegex(Problem, f"No libtorch at.*remove {choice}"):
                libtorch.find()

    def test_a_version_that_no_tch_is_made_for_is_told(self):
        self.make("1.13.1")
        with self.assertRaisesRegex(Problem, "use torch 2.13"):
            self.find()

    def test_half_a_libtorch_is_told(self):
        with self.assertRaisesRegex(Problem, "No libtorch at"):
            self.find()

    def test_a_python_without_torch_is_told(self):
        with self.assertRaisesRegex(Problem, "has no torch"):
            libtorch.find(torch_from="false")


class SideBySide(unittest.TestCase):
    """The programs are built while the binding, which the last of them is linked with, is being compiled."""

    def build(self, statuses, was_there):
        binding, self.calls = mock.Mock(), []
        binding.done.return_value = was_there

        def cargo(*_, **__):
            self.calls.append("cargo")
            return subprocess.CompletedProcess([], statuses[len(self.calls) - 1])

        with mock.patch.object(kernel.subprocess, "run", cargo), redirect_stdout(io.StringIO()):
            kernel.build_programs(binding)
        binding.result.assert_called_once_with()

    def test_a_command_that_came_before_the_binding_is_linked_again(self):
        self.build([1, 0], was_there=False)
        self.assertEqual(len(self.calls), 2)

    def test_what_fails_with_the_binding_there_is_told_at_once(self):
        with self.assertRaisesRegex(Problem, "could not build the kernel"):
            self.build([1, 0], was_there=True)
        self.assertEqual(len(self.calls), 1)

    def test_in_a_hurry_trainings_are_cut_for_notebooks_only_when_asked(self):
        seen = []
        with (mock.patch.object(main, "is_set_up", return_value=True), mock.patch.object(main, "refresh"),
              mock.patch.object(main, "_execute", lambda *_, **__: seen.append(os.environ.get("GLASSLAB_TRAINING_SECONDS")) or 0),
              mock.patch.dict(os.environ)):
            os.environ.pop("GLASSLAB_TRAINING_SECONDS", None)
            main.run([], html=False, stock=False)
            main.run([], html=False, stock=False, brief=True)
        self.assertEqual(seen, [None, main.BRIEF_SECONDS])


class Places(unittest.TestCase):
    """Where the results of notebooks go."""

    def run_them(self, *names):
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).touch()
            with (mock.patch.object(main, "is_set_up", return_value=True), mock.patch.object(main, "refresh"),
                  mock.patch.object(main, "OUT", Path(folder) / "out"), mock.patch.object(main, "_execute", return_value=0) as execute):
                main.run([str(Path(folder) / name) for name in names], html=False, stock=False)
            return execute.called

    def test_results_that_would_be_written_over_each_other_or_over_the_notebook_are_told_before_anything_runs(self):
        with self.assertRaisesRegex(Problem, "ada/lab/02.ipynb and .*bob/lab/02.ipynb would both go to .*out/02.ipynb"):
            self.run_them("ada/lab/02.ipynb", "bob/lab/02.ipynb")
        with self.assertRaisesRegex(Problem, "out/02.ipynb is where results are written"):
            self.run_them("out/02.ipynb")
        with self.assertRaisesRegex(Problem, "out/solutions/02.ipynb is where results are written"):
            self.run_them("out/solutions/02.ipynb")
        self.assertTrue(self.run_them("notebooks/02.ipynb", "notebooks/solutions/02.ipynb", "notebooks/03.ipynb"))


class Sentences(unittest.TestCase):
    def test_a_program_that_fails_has_the_last_word(self):
        with self.assertRaisesRegex(Problem, "Mend it.(.|\n)*the reason"):
            tools.run([sys.executable, "-c", "import sys; sys.exit('the reason')"], "Mend it.")
        with self.assertRaisesRegex(Problem, "Mend it. /nowhere/tool could not be started: No such file"):
            tools.run(["/nowhere/tool"], "Mend it.")

    def test_the_command_that_a_bench_runs_has_it_too(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "glasslab").write_text("#!/bin/sh\necho 'no room left' >&2\nexit 3\n")
            (Path(folder) / "glasslab").chmod(0o755)
            with mock.patch.object(data.kernel, "program", lambda name: Path(folder) / name):
                with self.assertRaisesRegex(Problem, "glasslab fetch ended with 3(.|\n)*no room left"):
                    data.glasslab(["fetch"], Path(folder))

    def test_an_old_python_is_told(self):
        with mock.patch.object(sys, "version_info", (3, 9)), self.assertRaisesRegex(SystemExit, "needs Python 3.10 or newer"):
            runpy.run_path(str(ROOT / "scripts" / "labkit" / "__init__.py"))

    def test_nothing_is_imported_that_the_oldest_python_does_not_have(self):
        newer = {"tomllib", "annotationlib", "compression"}  # of 3.11 and later
        for path in [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                self.assertFalse(newer & {name.split(".")[0] for name in names}, path)

    def test_the_scripts_run_in_the_oldest_python(self):
        oldest = shutil.which("python3.10")
        if not oldest or subprocess.run([oldest, "--version"], capture_output=True).returncode != 0:
            self.skipTest("needs Python 3.10")
        for name in ("lab", "test", "bench"):
            tools.run([oldest, "-B", ROOT / "scripts" / name, "--help"], f"scripts/{name} does not run in Python 3.10.")

    def test_a_path_that_no_linker_takes_is_told(self):
        for path in ("/home/me/a:b/.lab", "/home/me/a,b/.lab"):
            with mock.patch.object(doctor, "CACHE", Path(path)):
                self.assertTrue(any("divides" in (finding.advice or "") for finding in doctor.before()), path)

    def test_a_full_disk(self):
        self.assertIn("disk is full", explain(OSError(errno.ENOSPC, "No space left on device", "/x")))

    def test_a_folder_one_may_not_write_to(self):
        self.assertIn("Not allowed to write at /x", explain(OSError(errno.EROFS, "Read-only file system", "/x")))

    def test_a_small_disk_stops_set_up_before_it_begins(self):
        usage = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
        with mock.patch.object(doctor.shutil, "disk_usage", return_value=usage), mock.patch.object(doctor.kernel, "PREPARED", Path("/none")):
            with self.assertRaisesRegex(Problem, "free disk"):
                doctor.require_before()


class RustVersion(unittest.TestCase):
    def test_what_cannot_read_it_from_cargo_names_the_same(self):
        wanted = ".".join(map(str, layout.MIN_RUSTC))
        for name, sign in [("README.md", "[Rust](https://rustup.rs) {} or newer"), ("Dockerfile", "FROM rust:{}-")]:
            self.assertIn(sign.format(wanted), (ROOT / name).read_text(), name)


class Image(unittest.TestCase):
    """What the Dockerfile, and those who start its image, say."""

    def test_a_learners_work_outlives_the_container(self):
        dockerfile = (ROOT / "Dockerfile").read_text()
        self.assertRegex(dockerfile, "install -d -o learner -g learner .*/home/learner/mine")
        for text in (dockerfile, (ROOT / "docs" / "machines.md").read_text()):
            for command in re.findall("docker run --rm.*", text):
                self.assertIn("-e GLASSLAB_HOME=/home/learner/mine -v glasslab-mine:/home/learner/mine", command)

    def test_models_that_somebody_trained_do_not_come_along(self):
        self.assertIn("**/models", (ROOT / ".dockerignore").read_text().splitlines())

    def test_it_has_all_documents_of_the_book(self):
        copied = re.findall(r"^COPY --chown=learner (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
        self.assertLessEqual({name.split("/")[0] for name in book.DOCUMENTS}, {name for names in copied for name in names.split()})

    def test_all_that_compose_asks_for_is_set_first(self):
        text = (ROOT / "deploy" / "hub" / "compose.yaml").read_text()
        wanted = re.findall(r"\$\{(\w+):\?", text)
        self.assertTrue(wanted)
        for name in wanted:
            self.assertRegex(text, f"#   export .*{name}=.*\n(#.*\n)*#   docker compose")


class Environment(unittest.TestCase):
    def test_it_is_kept_whatever_python_it_is_asked_by_and_made_anew_where_its_own_is_another(self):
        with tempfile.TemporaryDirectory() as folder:
            made, requirements, stamp = (Path(folder) / name for name in ("venv", "requirements.txt", "stamp"))
            requirements.write_text("# nothing\n")
            venv.create(made, symlinks=True)
            stamp.write_text(python_env._state(made, requirements))
            is_made = lambda: python_env.is_made(made, requirements, stamp)
            with mock.patch.object(sys, "version", "3.14.1 | another's"), mock.patch.dict(os.environ, {"PYTHONHOME": "/nowhere"}):
                self.assertTrue(is_made())
            own = made / "bin" / "python"
            own.unlink()
            for script in ("echo 3 9", "exit 1"):
                own.write_text(f"#!/bin/sh\n{script}\n")
                own.chmod(0o755)
                self.assertFalse(is_made(), script)
            own.unlink()
            own.symlink_to("python3")
            self.assertTrue(is_made())
            requirements.write_text("# something\n")
            self.assertFalse(is_made())


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

    def test_a_person_without_a_home_gets_cargos_folder_too_and_no_folder_of_the_name_of_a_tilde(self):
        environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "CARGO_HOME", "XDG_CACHE_HOME")}
        with (mock.patch.dict(os.environ, environment, clear=True), mock.patch("pwd.getpwuid", side_effect=KeyError),
              tempfile.TemporaryDirectory() as folder):
            with mock.patch.object(tools, "LAB", Path(folder)):
                self.assertEqual(tools.cargo_environment()["CARGO_HOME"], str(Path(folder) / "cargo"))
            with mock.patch.object(layout, "LAB", Path("/home/me/my lab/.lab")):
                self.assertTrue(layout.work_folder().is_absolute())

    def test_programs_are_looked_for_where_cargo_puts_them(self):
        for given, folder in [("", ROOT / "target"), ("built", ROOT / "built"), ("/elsewhere", Path("/elsewhere"))]:
            with mock.patch.dict(os.environ, {"CARGO_TARGET_DIR": given, "CARGO_BUILD_TARGET_DIR": "/all/my/projects"}):
                self.assertEqual(layout.target_folder(), folder)
                self.assertEqual(tools.cargo_environment()["CARGO_TARGET_DIR"], str(folder))

    def test_a_file_may_begin_with_a_tilde(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(python_env, "JUPYTER_HOME", Path(folder)):
            with mock.patch.dict(os.environ, {"GLASSLAB_DATA": "~nobody-of-this-name.txt"}):
                self.assertEqual(Path(python_env.environment()["GLASSLAB_DATA"]).name, "~nobody-of-this-name.txt")

    def test_a_compiler_with_a_wrapper_does_not_hide_the_plain_one(self):
        with mock.patch.dict(os.environ, {"CXX": "no-such-wrapper c++"}), mock.patch.object(tools.shutil, "which", {"c++": "/bin/c++"}.get):
            self.assertEqual(tools.cxx(), "/bin/c++")


if __name__ == "__main__":
    unittest.main()

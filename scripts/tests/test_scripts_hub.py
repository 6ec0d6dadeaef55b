"""A lab that many share: what `scripts/lab install` makes, what its users may do, and the hub's configuration."""

import io
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import hub, install, main, own, pack, python_env, tools
from labkit.say import Problem

DEPLOY = ROOT / "deploy" / "hub"


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def write(self, name, text="text"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


class Notebooks(Folder):
    def test_a_persons_copy_is_never_written_over_and_a_new_notebook_is_added(self):
        shared, mine = self.folder / "shared", self.folder / "home" / "notebooks"
        self.write("shared/00_a.ipynb", "a")
        self.assertEqual(own.copy_new(shared, mine), ["00_a.ipynb"])
        (mine / "00_a.ipynb").write_text("my answers")
        self.write("shared/00_a.ipynb", "a, changed")
        self.write("shared/01_b.ipynb", "b")
        self.write("shared/solutions/00_a.ipynb", "solved")
        self.assertEqual(own.copy_new(shared, mine), ["01_b.ipynb"])
        self.assertEqual((mine / "00_a.ipynb").read_text(), "my answers")
        self.assertEqual(sorted(os.listdir(mine)), ["00_a.ipynb", "01_b.ipynb"])

    def test_results_of_sweeps_that_a_notebook_reads_come_along_and_stay_as_they_are(self):
        shared, mine = self.folder / "shared", self.folder / "home" / "notebooks"
        self.write("shared/laws/runs/one.json", "1")
        self.write("shared/laws/plan.json", "plan")
        for path in (shared / "laws" / "runs" / "one.json", shared / "laws" / "runs", shared / "laws"):
            path.chmod(0o555)
            self.addCleanup(path.chmod, 0o755)
        own.copy_new(shared, mine)
        (mine / "laws" / "runs" / "two.json").write_text("2")
        (mine / "laws" / "runs" / "one.json").write_text("mine")
        own.copy_new(shared, mine)
        self.assertEqual((mine / "laws" / "runs" / "one.json").read_text(), "mine")
        self.assertEqual(os.listdir(mine), ["laws"])

    def test_a_copy_can_be_written_also_if_the_shared_one_can_not(self):
        path = self.write("shared/00_a.ipynb")
        path.chmod(0o444)
        own.copy_new(self.folder / "shared", self.folder / "mine")
        self.assertTrue(stat.S_IMODE((self.folder / "mine" / "00_a.ipynb").stat().st_mode) & 0o200)

    def test_a_notebook_that_comes_meanwhile_stays(self):
        self.write("shared/00_a.ipynb")
        mine = self.write("mine/00_a.ipynb", "theirs")
        with mock.patch.object(own.os.path, "lexists", return_value=False):
            self.assertEqual(own.copy_new(self.folder / "shared", mine.parent), [])
        self.assertEqual((mine.read_text(), os.listdir(mine.parent)), ("theirs", ["00_a.ipynb"]))

    def test_no_room_for_them_is_told(self):
        self.write("home", "a file")
        with self.assertRaisesRegex(Problem, "GLASSLAB_HOME"):
            own.copy_new(self.folder, self.folder / "home" / "notebooks")


class SharedPlace(Folder):
    """The scripts in a place that says it is shared, run by a person who has a home."""

    def setUp(self):
        super().setUp()
        self.place, self.home = self.folder / "opt" / "glasslab-1", self.folder / "home"
        install.copy_project(self.place)
        self.write("opt/glasslab-1/.lab/installed")
        self.home.mkdir()
        self.before = self.everything()

    def everything(self):
        return {path: path.lstat().st_mtime_ns for path in self.place.rglob("*")}

    def lab(self, *arguments):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}
        run = subprocess.run([sys.executable, str(self.place / "scripts" / "lab"), *arguments], env=environment, capture_output=True,
                             **tools.TEXT, timeout=60)
        self.assertNotIn("Traceback", run.stdout + run.stderr)
        self.assertEqual(self.everything(), self.before, "something was written into the shared place")
        return run

    def test_what_would_write_there_is_refused_and_says_what_to_do(self):
        for command in (["clean"], ["nbgrader", "list"]):
            run = self.lab(*command)
            self.assertEqual(run.returncode, 1, command)
            self.assertIn("shared by all users of this machine", run.stderr)
            self.assertIn("clone the project", run.stderr)
        with mock.patch.object(own, "IS_SHARED", True):
            for command in ("setup", "pack", "solve", "release", "book", "install", "clean", "what is new"):
                with self.assertRaises(Problem, msg=command):
                    own.require_allowed(command)
            for command in ("open", "run", "doctor", "hub", "singleuser"):
                own.require_allowed(command)

    def test_it_is_the_same_state_of_the_project_for_an_archive(self):
        program = "from labkit import pack; print(pack.sources())"
        told = subprocess.run([sys.executable, "-B", "-c", program], cwd=self.place / "scripts", env={**os.environ, "PYTHONPATH": "."},
                              capture_output=True, **tools.TEXT)
        self.assertEqual(told.stdout.strip(), pack.sources(), told.stderr)

    def test_the_doctor_speaks_of_the_persons_own_folder(self):
        run = self.lab("doctor")
        self.assertIn(str(self.home / "glasslab"), run.stdout)
        self.assertNotIn("not yet", run.stdout)

    def test_a_first_start_copies_the_notebooks_and_jupyter_writes_into_the_persons_folder(self):
        # In the place of Jupyter stands a program that tells what it was started with.
        jupyter = self.write("opt/glasslab-1/.lab/python/bin/jupyter", "#!/bin/sh\necho \"$@\"; env\n")
        jupyter.chmod(0o755)
        self.before = self.everything()
        run = self.lab()
        mine = self.home / "glasslab" / "notebooks"
        self.assertIn(f"--ServerApp.root_dir={mine}", run.stdout, run.stderr)
        expected = [path.name for path in (ROOT / "notebooks").glob("*.ipynb")] + ["laws", "laws-larger"]  # what notebook 13 reads
        self.assertEqual(sorted(path.name for path in mine.iterdir()), sorted(expected))
        for line in run.stdout.splitlines():
            if line.startswith(("JUPYTER_CONFIG_DIR=", "JUPYTER_DATA_DIR=", "JUPYTER_RUNTIME_DIR=", "IPYTHONDIR=")):
                self.assertIn(str(self.home), line)
        self.assertNotIn("new there", self.lab().stdout)


class Install(Folder):
    def test_what_others_can_not_enter_is_found(self):
        closed = self.folder / "closed"
        (closed / "inner").mkdir(parents=True)
        for part in (self.folder, closed / "inner"):
            part.chmod(0o755)
        closed.chmod(0o700)
        self.assertEqual(install.closed_to_others(closed / "inner"), closed)
        closed.chmod(0o711)
        self.assertIsNone(install.closed_to_others(closed / "inner"))
        file = self.write("closed/inner/file")
        file.chmod(0o600)
        self.assertEqual(install.closed_to_others(file), file)

    def test_a_prefix_that_users_or_compilers_can_not_use_is_told_before_anything_is_written(self):
        self.folder.chmod(0o755)
        with self.assertRaisesRegex(Problem, "choose another PREFIX"):
            install.require(self.folder / "my prefix" / "glasslab-1")
        with self.assertRaisesRegex(Problem, "outside of it"):
            install.require(ROOT / "out" / "glasslab-1")
        (self.folder / "glasslab").mkdir()
        with self.assertRaisesRegex(Problem, f"{self.folder}/glasslab is there already"):
            install.require(self.folder / "glasslab-1")
        (self.folder / "glasslab").rmdir()
        self.assertEqual(os.listdir(self.folder), [])
        self.folder.chmod(0o700)
        with self.assertRaisesRegex(Problem, f"PREFIX.*{self.folder} is closed"):
            install.require(self.folder / "glasslab-1")

    def test_somebodys_own_work_is_not_installed_for_all(self):
        self.write("notebooks/01.ipynb")
        self.write("notebooks/models/mine.safetensors")
        self.write(".gitignore", "models/\n")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
        with mock.patch.object(install, "ROOT", self.folder), mock.patch.object(install, "NOTEBOOKS", self.folder / "notebooks"):
            self.write("notebooks/02.ipynb", "in no clone, nobody knows")
            install.require_nobodys_work()
            (self.folder / "notebooks/02.ipynb").unlink()
            for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
                subprocess.run([*git, *command], cwd=self.folder, check=True)
            install.require_nobodys_work()
            self.write("notebooks/01.ipynb", "my answers")
            self.write("notebooks/my own é.ipynb")
            with mock.patch.object(install, "name", return_value="glasslab-1"), mock.patch.object(install, "require"), \
                    mock.patch.object(install, "copy_project") as copied, \
                    self.assertRaisesRegex(Problem, "^notebooks/01.ipynb, notebooks/my own é.ipynb: not as committed"):
                install.install(str(self.folder / "opt"), False)
            copied.assert_not_called()

    def test_what_a_hub_needs_can_be_added_to_a_place_that_is_finished(self):
        with (mock.patch.object(main, "IS_SHARED", True), mock.patch.object(own, "IS_SHARED", True), mock.patch.object(main, "setup") as setup,
              mock.patch.object(install, "finish") as finish, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO())):
            self.assertEqual(main.main(["setup", "--for-all", "--hub"]), 0)
            self.assertEqual(finish.call_args[0][0], True)
            self.assertEqual(main.main(["setup", "--hub"]), 1)
        setup.assert_not_called()

    def test_everybody_may_read_what_is_installed_and_nobody_else_may_write(self):
        program, text = self.write("place/bin/program"), self.write("place/text")
        program.chmod(0o700)
        text.chmod(0o666)
        (self.folder / "place" / "link").symlink_to("/nowhere")
        (self.folder / "place" / "bin").chmod(0o777)
        install.open_to_all(self.folder / "place")
        modes = [oct(stat.S_IMODE(path.stat().st_mode)) for path in (program, text, program.parent)]
        self.assertEqual(modes, ["0o755", "0o644", "0o755"])

    def test_two_versions_stand_side_by_side_and_the_link_leads_to_the_last(self):
        for name in ("glasslab-1", "glasslab-2"):
            self.write(f"{name}/version", name)
            install.link(self.folder, name)
        self.assertEqual((self.folder / "glasslab" / "version").read_text(), "glasslab-2")
        self.assertEqual((self.folder / "glasslab-1" / "version").read_text(), "glasslab-1")
        self.assertEqual(len(os.listdir(self.folder)), 3)

    def test_a_version_is_named_by_what_is_installed_and_not_by_what_learners_made(self):
        copy = self.folder / "copy"
        install.copy_project(copy)
        with mock.patch.object(install, "ROOT", copy):
            name = install.name()
            self.write("copy/notebooks/models/mine.safetensors")
            self.write("copy/scripts/labkit/__pycache__/main.pyc")
            self.assertEqual(install.name(), name)
            self.write("copy/notebooks/02_mlp_language_model.ipynb", "another")
            self.assertNotEqual(install.name(), name)


class Configuration(Folder):
    def yaml(self, name):
        """A file of the folder, read by the YAML that comes with JupyterLab."""
        program = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)"
        return json.loads(tools.run([python_env.python(), "-c", program, DEPLOY / name], f"{name} is no YAML."))

    @unittest.skipUnless(python_env.is_ready(), "needs the lab's Python (scripts/lab setup)")
    def test_the_image_of_compose_and_helm_is_the_projects_and_starts_learners_servers_by_the_same_command(self):
        compose, values = self.yaml("compose.yaml"), self.yaml("helm-values.yaml")
        build = compose["services"]["lab"]["build"]
        self.assertTrue((DEPLOY / build["context"] / build.get("dockerfile", "Dockerfile")).resolve().is_file())
        self.assertEqual(compose["services"]["lab"]["image"].split(":")[0], "glasslab")
        self.assertEqual(values["singleuser"]["cmd"][-2:], ["/home/learner/glasslab/scripts/lab", "singleuser"])
        self.assertIn("scripts/lab setup $HUB", (ROOT / "Dockerfile").read_text())
        self.assertEqual(compose["services"]["lab"]["build"]["args"], {"HUB": "--hub"})
        for name in ("limit", "guarantee"):
            self.assertIn(name, values["singleuser"]["memory"])

    @unittest.skipUnless((hub.VENV / "bin" / "jupyterhub").exists(), "needs JupyterHub (scripts/lab setup --hub)")
    def test_jupyterhub_takes_the_configuration_and_a_class_can_change_it(self):
        self.write("settings.py", "c.Spawner.mem_limit = '3G'\n")
        run = tools.run([hub.VENV / "bin" / "jupyterhub", "-f", DEPLOY / "jupyterhub_config.py", "--show-config-json"],
                        "JupyterHub does not take the configuration.", env={**os.environ, "GLASSLAB_CLASS": str(self.folder)}, cwd=self.folder)
        config = json.loads(run[run.index("{"):])
        self.assertEqual(config["Spawner"]["mem_limit"], "3G")
        self.assertEqual(config["SystemdSpawner"]["unit_extra_properties"]["TasksMax"], "512")
        self.assertTrue(config["JupyterHub"]["bind_url"].startswith("http://127.0.0.1:"))

    @unittest.skipUnless(os.getuid() == 0 and hub.is_there() and Path("/run/systemd/system").exists(),
                         "needs root, systemd and a hub (scripts/lab setup --hub)")
    def test_a_learner_logs_in_and_runs_a_notebook(self):
        run = subprocess.run([hub.VENV / "bin" / "python", "-B", DEPLOY / "measure.py", "learners", "1"], capture_output=True, **tools.TEXT)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("| 1 | ", run.stdout)


class Pins(unittest.TestCase):
    def test_every_package_of_the_proxy_has_a_hash_and_names_no_place(self):
        lock = json.loads((DEPLOY / "package-lock.json").read_text())
        wanted = json.loads((DEPLOY / "package.json").read_text())["dependencies"]
        packages = {name: package for name, package in lock["packages"].items() if name}
        self.assertEqual(packages["node_modules/configurable-http-proxy"]["version"], wanted["configurable-http-proxy"])
        for name, package in packages.items():
            self.assertTrue(package["integrity"].startswith("sha512-"), name)
            self.assertNotIn("resolved", package)

    def test_a_hub_shows_the_jupyterlab_of_the_lab(self):
        def pins(name):
            return [line for line in (ROOT / "scripts" / name).read_text().splitlines() if line.startswith(("jupyterlab==", "jupyter-server=="))]

        self.assertEqual(pins("requirements-hub.txt"), pins("requirements.txt"))

    def test_without_node_the_proxy_is_left_out_and_it_is_said(self):
        with mock.patch.object(hub.python_env, "ensure_own"), mock.patch.object(hub.tools, "node", return_value=None), \
                mock.patch.object(hub, "PROXY_PROGRAM", Path("/nowhere")), mock.patch.object(hub, "line") as said:
            hub.ensure()
        self.assertIn("no node", said.call_args[0][0])
        with mock.patch.object(hub, "is_there", return_value=False), mock.patch.object(hub, "IS_SHARED", True):
            with self.assertRaisesRegex(Problem, "--hub"):
                hub.start([])


if __name__ == "__main__":
    unittest.main()

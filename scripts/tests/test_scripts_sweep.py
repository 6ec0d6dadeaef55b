"""Sweeps on more than one machine: what a worker does with a run, and a scheduler with two workers that train for real."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from labkit import dask, kernel, python_env, say, tools
from labkit.layout import ROOT, STAMPS

sys.path.insert(0, str(ROOT / "scripts" / "dask"))
import glasslab_task

PROGRAM = kernel.program("glasslab")
CONFIG = 'model = "mlp"\nsteps = 3\nbatch_size = 4\ncontext_len = 8\nseed = 1\n'
TEXT = "Once upon a time, there was a cat. The cat sat on the mat and saw a rat. " * 20
# A run that lasts seconds, and a grid of short ones.
SWEEP = """data = "mine.txt"
seeds = [0, 1]
[settings]
model = "mlp"
batch_size = 4
context_len = 8
[grid]
steps = [5, 10, STEPS]
"""


def is_made() -> bool:
    return python_env.is_made(dask.VENV, dask.REQUIREMENTS, STAMPS / "dask")


class InFolder(unittest.TestCase):
    """With a folder of its own, and a text in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.text = self.folder / "mine.txt"
        self.text.write_text(TEXT)


class TestTask(InFolder):
    """One run, without Dask."""

    def named(self, **changes):
        return {"path": str(self.text), "sha256": glasslab_task.checksum(self.text), **changes}

    def test_a_text_is_found_by_its_path_or_in_the_folder_of_texts_and_must_be_the_same(self):
        named = self.named()
        self.assertEqual(glasslab_task.find_text(named), self.text)
        elsewhere = {**named, "path": "/no/such/folder/mine.txt"}
        with self.assertRaisesRegex(RuntimeError, "GLASSLAB_TEXTS"):
            glasslab_task.find_text(elsewhere)
        with mock.patch.dict(os.environ, GLASSLAB_TEXTS=str(self.folder)):
            self.assertEqual(glasslab_task.find_text(elsewhere), self.text)
            self.text.write_text(TEXT + "And a bat.")
            with self.assertRaisesRegex(RuntimeError, "another text"):
                glasslab_task.find_text(elsewhere)

    def test_a_checksum_is_that_of_the_file_as_it_is_now(self):
        first = glasslab_task.checksum(self.text)
        self.text.write_text("another one")
        self.assertNotEqual(glasslab_task.checksum(self.text), first)

    def test_a_machine_without_the_program_says_so(self):
        with mock.patch.dict(os.environ, GLASSLAB_PROGRAM=str(self.folder / "none")):
            with self.assertRaisesRegex(RuntimeError, "scripts/lab dask worker"):
                glasslab_task.find_program()

    @unittest.skipUnless(PROGRAM.exists(), "needs the command glasslab: scripts/lab setup")
    def test_a_run_gives_back_the_command_s_answer_and_a_failed_one_its_words(self):
        task = {"config": CONFIG, "texts": {"--data": self.named()}, "threads": 1, "not_inherited": ["GLASSLAB_TRAINING_SECONDS"]}
        with mock.patch.dict(os.environ, GLASSLAB_PROGRAM=str(PROGRAM), GLASSLAB_TRAINING_SECONDS="0.001"):
            answer = glasslab_task.run(task)
            failed = glasslab_task.run({**task, "config": CONFIG + "colour = 3\n"})
        result = json.loads(answer["stdout"])
        self.assertEqual((answer["status"], result["steps"], result["setup"]["chars"]), (0, 3, 96))
        self.assertEqual(failed["status"], 1)
        self.assertIn("colour", failed["stderr"])

    def test_a_worker_has_a_process_for_each_processor_unless_it_is_told_otherwise(self):
        with mock.patch.object(dask, "processors", lambda: 6):
            self.assertIn("--nworkers 6 --nthreads 1", " ".join(dask.worker("tcp://a:1", [])))
            self.assertIn("--nthreads 1 --nworkers=2", " ".join(dask.worker("tcp://a:1", ["--nworkers=2"])))

    def test_what_the_command_does_not_know_is_told(self):
        for wrong in ([], ["dance"], ["worker"], ["worker", "--nworkers"]):
            with self.assertRaisesRegex(say.Problem, "scripts/lab dask scheduler"):
                dask.dask(wrong)


@unittest.skipUnless(is_made() and PROGRAM.exists(), "needs Dask: `scripts/lab dask scheduler` fetches it on first use")
class TestDask(InFolder):
    """A scheduler and two workers on this machine."""

    def setUp(self):
        super().setUp()
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.environment = {**dask.environment(), "TMPDIR": str(self.folder)}
        self.begin(self.scheduler())
        # Python's memory and processes are the cost of a worker: two are the fewest that tell anything.
        self.begin(dask.worker(self.address, ["--nworkers", "2", "--host", "127.0.0.1"]))

    def scheduler(self):
        host, port = self.address.removeprefix("tcp://").split(":")
        return [str(dask.VENV / "bin" / "dask"), "scheduler", "--host", host, "--port", port, "--no-dashboard"]

    def begin(self, command):
        process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def sweep(self, steps, *options):
        (self.folder / "mine.toml").write_text(SWEEP.replace("STEPS", str(steps)))
        command = [PROGRAM, "sweep", "mine.toml", *options]
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                **tools.TEXT)

    def losses(self, name):
        results = sorted((self.folder / name / "runs").glob("*.json"))
        return {path.name: json.loads(path.read_text())["loss"] for path in results}

    def test_workers_give_what_this_machine_gives_also_if_one_is_killed_under_way(self):
        local = self.sweep(1_000, "--out", "local")
        self.assertEqual(local.wait(), 0, local.stdout.read())
        away = self.sweep(1_000, "--out", "away", "--engine", self.address)
        # One of the long runs is under way when its worker dies.
        while len(self.losses("away")) < 4:
            self.assertIsNone(away.poll())
            time.sleep(0.05)
        os.kill(self.a_worker(), signal.SIGKILL)
        self.assertEqual(away.wait(), 0, away.stdout.read())
        self.assertEqual(self.losses("away"), self.losses("local"))
        self.assertEqual(len(self.losses("local")), 6)
        hosts = {json.loads(path.read_text())["host"] for path in (self.folder / "away" / "runs").glob("*.json")}
        self.assertTrue(all("tcp://127.0.0.1" in host for host in hosts), hosts)
        for process in (local, away):
            process.stdout.close()

    def a_worker(self) -> int:
        """A worker whose training is under way."""
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (path / "cmdline").read_bytes().split(b"\0")
                if command[0] == str(PROGRAM).encode() and b"train" in command and str(self.folder) in os.readlink(path / "cwd"):
                    return int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
        self.fail("no run is under way")


if __name__ == "__main__":
    unittest.main()

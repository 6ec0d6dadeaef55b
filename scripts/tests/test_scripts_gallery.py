"""scripts/lab gallery: which commands it runs, and that it trains only when there is nothing to draw."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import gallery, main
from labkit.say import Problem


class Gallery(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.ran, self.status = [], 0

    def run_program(self, command, **_):
        self.ran.append(command[1:])
        return subprocess.CompletedProcess(command, self.status)

    def make(self, *arguments):
        options = main.parse(["gallery", "--out", str(self.folder / "page.html"), *arguments])
        with mock.patch.object(gallery.subprocess, "run", self.run_program):
            return gallery.make(options.model, options.seconds, options.out, options.show)

    def test_a_model_is_trained_once_and_drawn_each_time(self):
        self.assertEqual(self.make("--seconds", "7"), 0)
        model = str(self.folder / "page.safetensors")
        self.assertEqual([command[0] for command in self.ran], ["train", "gallery"])
        self.assertEqual(self.ran[0], ["train", "--preset", "small", "--seconds", "7", "--out", model])
        Path(model).touch()
        self.make()
        self.assertEqual([command[0] for command in self.ran], ["train", "gallery", "gallery"])

    def test_a_persons_own_model_is_drawn_as_it_is(self):
        self.make("--model", "mine.safetensors")
        self.assertEqual(self.ran, [["gallery", "mine.safetensors", "--out", str(self.folder / "page.html")]])

    def test_a_training_that_fails_is_told(self):
        self.status = 1
        with self.assertRaisesRegex(Problem, "could not be trained"):
            self.make()


if __name__ == "__main__":
    unittest.main()

"""Tests of scripts/lab leaderboard: which models have a place, and a page that shows what strangers have named as text.
With two tiny models, trained here, through the real command."""

import contextlib
import io
import json
import struct
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import kernel, leaderboard
from labkit.say import Problem

TRAINED = {"text": None, "stories": 10, "tokens": 1000, "steps": 50, "seconds": 20.0, "earlier_seconds": 0.0, "nats_per_char": 2.0}
TOLD = {"nats_per_char": 2.0, "bits_per_char": 2.9, "perplexity": 7.4, "chars": 100, "dropped": 0, "nats_per_byte": 2.0,
        "parameters": 1234}


def entry(name, loss=2.0, budget=60, **changed):
    return leaderboard.judged(name, {**TOLD, "nats_per_char": loss, "trained": {**TRAINED, **changed}}, None, budget)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


class PlaceTest(unittest.TestCase):
    def test_the_lowest_loss_is_first_and_who_has_learnt_too_long_has_no_place(self):
        entries = [entry("b", 2.0), entry("a", 1.5), entry("long", 1.0, seconds=64.0), entry("just", 1.7, seconds=61.0)]
        placed, others = leaderboard.ranked(entries)
        self.assertEqual([one.name for one in placed], ["a", "just", "b"])
        self.assertEqual([(one.name, one.why) for one in others], [("long", "it has learnt for 64 s, and 60 s are allowed")])

    def test_what_a_vocabulary_leaves_out_counts(self):
        half = leaderboard.judged("half", {**TOLD, "nats_per_char": 1.0, "chars": 60, "dropped": 40, "trained": TRAINED}, None, 60)
        self.assertAlmostEqual(half.loss, (60 * 1.0 + 40 * 13.924) / 100, 3)
        self.assertEqual([one.name for one in leaderboard.ranked([half, entry("all", 2.0)])[0]], ["all", "half"])

    def test_the_trainings_before_count(self):
        self.assertIn("80 s", entry("more", seconds=40.0, earlier_seconds=40.0).why)
        self.assertIsNone(entry("more", seconds=20.0, earlier_seconds=20.0).why)

    def test_a_claim_that_is_none_has_no_place(self):
        for changed in ({"seconds": 0.0}, {"seconds": -1.0}, {"steps": 0}, {"tokens": 0}, {"stories": 0}, {"earlier_seconds": -30.0}):
            self.assertIn("no training", entry("a", **changed).why, changed)
        self.assertIn("no history", leaderboard.judged("a", {**TOLD, "trained": None}, None, 60).why)
        self.assertIn("no number", leaderboard.judged("a", {**TOLD, "nats_per_char": None, "trained": TRAINED}, None, 60).why)

    def test_a_name_is_text_on_the_page_and_in_the_terminal(self):
        name = "<script>alert(1)</script>\u202e\x1b[31m\"'.safetensors"
        entries = [entry(name), leaderboard.judged(name, {}, "why <b>not</b>", 60)]
        page = Tags()
        page.feed(leaderboard.as_page(entries, ["about <i>"]))
        self.assertFalse({"script", "b", "img"} & {tag for tag, _ in page.tags})
        self.assertIn("<script>alert(1)</script>", page.text)
        self.assertFalse(any(name.startswith("on") for _, attributes in page.tags for name in attributes))
        for shown in (page.text, leaderboard.as_text(entries, [])):
            self.assertFalse({"\u202e", "\x1b"} & set(shown))


class WithoutASandboxTest(unittest.TestCase):
    def test_it_is_said(self):
        with (tempfile.TemporaryDirectory() as folder, mock.patch.object(leaderboard.sandbox, "bubblewrap", return_value=None),
              mock.patch.object(leaderboard, "measured", return_value=({}, "it is a link")), contextlib.redirect_stdout(io.StringIO()) as said):
            (Path(folder) / "mine.safetensors").touch()
            leaderboard.make(folder, None, 60, str(Path(folder) / "page.html"))
        self.assertIn("no sandbox: the models are opened as you, unconfined", said.getvalue())


class MeasuredTest(unittest.TestCase):
    """Models of the real command."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.text = cls.folder / "text.txt"
        cls.text.write_text("Once upon a time there was a cat. It sat on a mat and was glad of it.\n" * 60)
        cls.models = cls.folder / "models"
        for learner, steps in (("ada", 60), ("bob", 2)):
            (cls.models / learner).mkdir(parents=True)
            command = [kernel.program("glasslab"), "train", "--model", "mlp", "--steps", steps, "--data", cls.text, "--lr", "0.01",
                       "--out", cls.models / learner / "mine.safetensors"]
            subprocess.run([str(word) for word in command], check=True, capture_output=True)

    def make(self, *, budget=60):
        page = self.folder / "page.html"
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(leaderboard.make(str(self.models), str(self.text), budget, str(page)), 0)
        return said.getvalue(), page.read_text()

    def test_two_models_are_measured_and_all_else_is_told_with_its_reason(self):
        good = (self.models / "ada" / "mine.safetensors").read_bytes()
        for name, raw in {"cut": good[:len(good) // 2], "empty": b"", "else": b"hello" * 100, "huge": struct.pack("<Q", 2**62) + b"{}"}.items():
            (self.models / f"{name}.safetensors").write_bytes(raw)
        (self.models / "link.safetensors").symlink_to(self.models / "ada" / "mine.safetensors")
        length = struct.unpack("<Q", good[:8])[0]
        head = json.loads(good[8:8 + length])
        about = json.loads(head["__metadata__"]["glasslab"])
        for name, change in {"silent": {"trained": None}, "long": {"trained": {**about["trained"], "seconds": 1e6}}}.items():
            head["__metadata__"]["glasslab"] = json.dumps({**about, **change})
            text = json.dumps(head).encode()
            (self.models / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + good[8 + length:])
        with mock.patch.object(leaderboard, "LARGEST", len(good) - 1):
            self.assertIn("bytes, more than", leaderboard.measured(self.models / "ada" / "mine.safetensors", self.text)[1])
        said, page = self.make()
        rows = [line.split() for line in said.splitlines()]
        self.assertEqual([row[1] for row in rows if row and row[0] in ("1.", "2.")], ["ada/mine", "bob/mine"])
        for name, why in [("cut", "no whole safetensors"), ("empty", "no model that glasslab knows"),
                          ("else", "no model that glasslab knows"), ("huge", "no model that glasslab knows"), ("link", "it is a link"), ("silent", "no history"), ("long", "1000000 s")]:
            self.assertRegex(said, f"no place: {name}: .*{why}")
            self.assertIn(why, page)
        self.assertNotIn(str(self.folder), page)

    def test_a_folder_without_models_says_what_was_expected(self):
        (self.folder / "nothing").mkdir()
        with self.assertRaisesRegex(Problem, "end in .safetensors"):
            leaderboard.make(str(self.folder / "nothing"), None, 60, None)
        with self.assertRaisesRegex(Problem, "no folder"):
            leaderboard.make(str(self.folder / "nowhere"), None, 60, None)


if __name__ == "__main__":
    unittest.main()

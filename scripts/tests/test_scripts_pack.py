"""Archives of scripts/lab pack: which are taken, and what is written over in them. A whole one is tried in test_kernel_pack."""

import contextlib
import io
import json
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import kernel, main, pack, tools
from labkit.layout import TORCH_VERSION
from labkit.libtorch import Libtorch
from labkit.say import Problem

RUSTC = "rustc 1.95.0 (abc 2026-04-14)\nhost: x86_64-unknown-linux-gnu\n"
FOLDERS = {"binding": "/a/lab/cache/libtch-1", "torch": "/a/lab/cache/torch/lib", "work": "/a/lab/kernel", "project": "/a"}


class Archives(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, value in [("rustc_version", lambda: RUSTC), ("host_triple", lambda: "x86_64-unknown-linux-gnu")]:
            patch = mock.patch.object(tools, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def manifest(self, **changes):
        return {"rustc": RUSTC, "torch": TORCH_VERSION, "sources": pack.sources(), "glibc": [2, 17], "folders": FOLDERS, **changes}

    def archive(self, manifest, members=()):
        path = self.folder / "pack.tar.xz"
        with tarfile.open(path, "w:xz") as archive:
            for name, data in [("manifest.json", json.dumps(manifest).encode()), *members]:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path

    def test_one_of_this_rustc_and_these_sources_is_taken(self):
        self.assertEqual(pack.check(self.archive(self.manifest())), self.manifest())

    def test_what_does_not_fit_is_told_with_both_ways_out(self):
        for changes, sign in [({"rustc": "rustc 1.96.0 (x)\n"}, "made with rustc 1.96.0.*here is rustc 1.95.0.*rustup default 1.96.0"),
                              ({"sources": "other"}, "another state"), ({"torch": "2.11.0"}, "another state"),
                              ({"glibc": [99, 1]}, "C library 99.1")]:
            with self.assertRaisesRegex(Problem, f"{sign}.*from source"):
                pack.check(self.archive(self.manifest(**changes)))

    def test_any_other_file_is_told(self):
        (self.folder / "note.txt").write_text("no archive")
        with self.assertRaisesRegex(Problem, "not an archive of"):
            pack.check(self.folder / "note.txt")

    def test_without_its_sha256_or_with_another_nothing_is_used(self):
        path = self.archive(self.manifest())
        with self.assertRaisesRegex(Problem, "No SHA-256 is known"):
            pack.fetch(str(path))
        with self.assertRaisesRegex(Problem, "does not have the SHA-256"):
            pack.fetch(f"{path}#sha256={'0' * 64}")
        (self.folder / "pack.tar.xz.sha256").write_text(f"{pack._sha256(path)}  pack.tar.xz\n")
        self.assertEqual(pack.fetch(str(path)), path)
        with self.assertRaisesRegex(Problem, "no archive"):
            pack.fetch(str(self.folder / "nowhere"))
        with self.assertRaisesRegex(Problem, "no archive .*~nobody-of-this-name"):
            pack.fetch("~nobody-of-this-name.tar.xz")
        (self.folder / "pack.tar.xz.sha256").write_text("")
        with self.assertRaisesRegex(Problem, "No SHA-256 is known"):
            pack.fetch(str(path))

    def test_this_machines_folders_are_written_over_the_archives(self):
        new = {"target_folder": self.folder / "target"}
        text = json.dumps({"manifest": 'path = "/a/crates/glasslab"', "words": ["native=/a/lab/cache/libtch-1", "native=\1PROJECT\1/lab/cache/libtch-1"]}).encode()
        code = b"\x7fELF" + kernel.padded("/a/lab/cache/libtch-1/libtch.so").encode() + b"\0" + kernel.padded("/a/lab/cache/torch/lib").encode()
        path = self.archive(self.manifest(), [("programs/glasslab", code), ("work/template/recipe.json", text),
                                              ("work/../../outside", b"x"), ("elsewhere/x", b"x")])
        # The new folders lie in one that has the old one's name in it.
        work, cache = self.folder / "a" / "lab" / "kernel", self.folder / "a" / "cache"
        torch = Libtorch(cache / "torch", TORCH_VERSION, "")
        (self.folder / "prepared").touch()
        with (mock.patch.object(kernel, "target_folder", lambda: new["target_folder"]), mock.patch.object(pack, "work_folder", lambda: work),
              mock.patch.object(pack, "CACHE", cache), mock.patch.object(pack, "STAMP", self.folder / "stamp"),
              mock.patch.object(pack, "ROOT", self.folder / "a"), mock.patch.object(kernel, "PREPARED", self.folder / "prepared"), mock.patch.object(kernel, "configure"),
              mock.patch.object(kernel, "say_prepared"), contextlib.redirect_stdout(io.StringIO())):
            pack.unpack(path, self.manifest(), torch)
            binding = pack._folders(next(cache.glob("libtch-*"), cache / "none"), torch)
        self.assertFalse((self.folder / "prepared").exists(), "an old stamp does not outlive what it was of")
        program = new["target_folder"] / "release" / "glasslab"
        moved = program.read_bytes()
        self.assertEqual(len(moved), len(code))
        self.assertIn(kernel.padded(cache / "torch" / "lib").encode(), moved)
        self.assertNotIn(b"/a/lab/cache/libtch-1/", moved.replace(str(self.folder).encode(), b""))
        self.assertTrue(program.stat().st_mode & 0o400)
        recipe = json.loads((work / "template" / "recipe.json").read_text())
        self.assertEqual(recipe["manifest"], f'path = "{self.folder}/a/crates/glasslab"')
        self.assertEqual(len(recipe["words"]), 2)
        for word in recipe["words"]:
            self.assertRegex(word, f"^native={cache}/libtch-[0-9a-f]+-pack$")
        self.assertFalse(list(self.folder.rglob("outside")) + list(self.folder.rglob("elsewhere")), binding)

    def test_the_option_is_taken_by_the_lab_and_by_its_set_up(self):
        self.assertEqual(main.parse(["--from", "x", "--port=1"]).archive, "x")
        self.assertEqual(main.parse(["--from", "x", "--port=1"]).rest, ["--port=1"])
        self.assertEqual(main.parse(["setup", "--from", "x"]).archive, "x")


if __name__ == "__main__":
    unittest.main()

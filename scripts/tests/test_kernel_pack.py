"""An archive of scripts/lab pack in another clone: set up without a C++ compiler, without building, and offline."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import libtorch, pack, tools
from labkit.layout import CACHE, LAB, ROOT, STAMPS

# Not what a clone has, or what set-up makes in it.
ELSEWHERE = shutil.ignore_patterns(".git", ".lab", ".cargo", "target", "out", "__pycache__", "shared", ".ipynb_checkpoints")


@unittest.skipUnless(sys.platform.startswith("linux"), "packs are made on Linux only")
@unittest.skipUnless(libtorch.find().folder == libtorch.cached_folder("cpu"), "packs go with the libtorch that set-up fetches")
class PackTest(unittest.TestCase):
    def test_another_clone_runs_a_notebook_out_of_an_archive(self):
        with tempfile.TemporaryDirectory() as folder:
            archive, clone = Path(folder) / "pack.tar.xz", Path(folder) / "elsewhere" / "glasslab"
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(pack.pack(str(archive), preset=0), 0)
            shutil.copytree(ROOT, clone, ignore=ELSEWHERE, symlinks=True)  # as git does
            # The Python environment comes from the network; here it is this clone's, by links, and so is its libtorch.
            shutil.copytree(LAB / "python", clone / ".lab" / "python", copy_function=os.link, symlinks=True)
            (clone / ".lab" / "stamps").mkdir()
            shutil.copy(STAMPS / "python", clone / ".lab" / "stamps")
            environment = {name: value for name, value in os.environ.items() if name not in ("CARGO_TARGET_DIR", "GLASSLAB_DATA")}
            cache = Path(folder) / "cache"
            cache.mkdir()
            (cache / libtorch.cached_folder("cpu").name).symlink_to(libtorch.cached_folder("cpu"))
            # All that a cell needs to be compiled, and no C++ compiler.
            programs = Path(folder) / "bin"
            programs.mkdir()
            (Path(folder) / "cargo").mkdir()
            for name in ("cargo", "rustc", "rustup", "cc", "ld", "as", "sh", "env"):
                if found := shutil.which(name):
                    (programs / name).symlink_to(found)
            environment |= {"GLASSLAB_CACHE": str(cache), "CXX": "", "PATH": str(programs), "CARGO_NET_OFFLINE": "true",
                            "CARGO_HOME": str(Path(folder) / "cargo")}  # empty: no crate is at hand

            def lab(*arguments):
                run = subprocess.run([sys.executable, str(clone / "scripts" / "lab"), *arguments], env=environment,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
                self.assertEqual(run.returncode, 0, run.stdout)
                return run.stdout

            said = lab("setup", "--from", str(archive))
            self.assertIn("C++ compiler      not found", said)
            self.assertNotIn("Compiling", said)
            self.assertIn("5 of 5 cells", lab("run", str(clone / "notebooks" / "00_setup_and_data.ipynb")))
            self.assertIn("computes on", tools.run([clone / "target" / "release" / "glasslab", "doctor"], "The command does not run."))
            # Nothing in it reaches back into the clone that it was made in.
            for compiled in [*(clone / "target").rglob("glasslab*"), *(clone / ".lab" / "kernel").rglob("*.so")]:
                self.assertNotIn(str(CACHE).encode(), compiled.read_bytes(), compiled)


if __name__ == "__main__":
    unittest.main()

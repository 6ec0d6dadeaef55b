"""The kernel where the working folder is shared (`scripts/lab install`): a person's sessions are elsewhere, and nothing there changes."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from labkit.layout import work_folder
from test_kernel_sessions import Kernel


def state(folder: Path) -> dict[str, tuple]:
    """All files below a folder but sessions' own: when they were changed, and their sizes."""
    found = {}
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "sessions"]
        for name in names:
            data = os.lstat(os.path.join(path, name))
            found[os.path.join(path, name)] = (data.st_mtime_ns, data.st_size, data.st_ino)
    return found


class SharedTest(unittest.TestCase):
    def test_cells_and_a_crate_of_a_persons_own_are_built_beside_a_shared_folder_that_does_not_change(self):
        with tempfile.TemporaryDirectory() as folder:
            own, crate = Path(folder) / "own", Path(folder) / "mine"
            (crate / "src").mkdir(parents=True)
            (crate / "Cargo.toml").write_text('[package]\nname = "mine"\nversion = "1.0.0"\nedition = "2024"\n')
            (crate / "src" / "lib.rs").write_text("pub fn twice(x: f64) -> f64 { 2.0 * x }\n")
            with mock.patch.dict(os.environ, {"GLASSLAB_OWN": str(own)}):
                kernel = Kernel()
                self.addCleanup(kernel.stop)
                # Kernels of other tests may write here, too: this is before and after what this one does.
                before = state(work_folder() / "template")
                session = kernel.folder()
                self.assertEqual(session.parent, own / "sessions")
                self.assertEqual(kernel.run("let t = Tensor::from_slice(&[1.0, 2.0]) * 3.0;")[2], "")
                self.assertEqual(kernel.run("t.sum(Kind::Double).double_value(&[])")[1]["text/plain"], "9.0")
                # cargo builds the crate alone: the library counts as fresh through its links, or the dependency would be refused.
                _, data, errors = kernel.run(f":dep mine = {{ path = {str(crate)!r} }}".replace("'", '"') + "\nmine::twice(t.double_value(&[1]))")
                self.assertEqual((data.get("text/plain"), errors), ("12.0", ""))
                libraries = list(session.rglob("libglasslab*.so"))
                self.assertTrue(libraries and all(path.is_symlink() for path in libraries), libraries)
                self.assertEqual(state(work_folder() / "template"), before)


if __name__ == "__main__":
    unittest.main()

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
    def test_cells_are_built_in_a_persons_folder_beside_a_shared_one_that_does_not_change(self):
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / "own"
            with mock.patch.dict(os.environ, {"GLASSLAB_OWN": str(own)}):
                before = state(work_folder() / "template")
                kernel = Kernel()
                self.addCleanup(kernel.stop)
                session = kernel.folder()
                self.assertEqual(session.parent, own / "sessions")
                self.assertEqual(kernel.run("let t = Tensor::from_slice(&[1.0, 2.0]) * 3.0;")[2], "")
                self.assertEqual(kernel.run("t.sum(Kind::Double).double_value(&[])")[1]["text/plain"], "9.0")
                # The library itself is the shared one: in memory once for all.
                libraries = list(session.rglob("libglasslab*.so"))
                self.assertTrue(libraries and all(path.is_symlink() for path in libraries), libraries)
                self.assertEqual(state(work_folder() / "template"), before)


if __name__ == "__main__":
    unittest.main()

"""What is live in glasslab's kernel still runs on plain evcxr_jupyter: pictures become lines and a last figure."""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import kernel, notebooks

LIVE = [
    'let mut figure = LiveFigure::new(); let mut bar = Progress::new("work");',
    'for n in 0..20 { if should_stop() { break; } bar.update(n as f64 / 19.0, || format!("step {n}")); '
    'figure.show(Picture { svg: "<svg/>".into(), alt: format!("picture {n}") }); }\nbar.finish("all");',
    'figure.finish();',
    'Interact::new().slider("temperature", 0.0..=2.0, 1.0).show(|values| format!("at {:.1}", values.number("temperature")));',
    '6 * 7',
]


@unittest.skipUnless(kernel.has_stock(), "plain evcxr_jupyter is not built: `scripts/bench kernel` builds it")
class StockTest(unittest.TestCase):
    def test_live_cells_run_on_the_stock_kernel(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "live.ipynb"
            nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in LIVE]), path)
            # What set-up has fetched is enough.
            offline = mock.patch.dict(os.environ, {"CARGO_NET_OFFLINE": "true"})
            with offline, contextlib.redirect_stdout(io.StringIO()) as said:
                well = notebooks.run(path, Path(folder) / "out", "glasslab-stock", str(kernel.LIBRARY), html=False)
            self.assertTrue(well, said.getvalue())
            cells = nbformat.read(Path(folder) / "out" / "live.ipynb", as_version=4).cells[1:]
        shown = ["".join(output.get("text", "") + str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs) for cell in cells]
        self.assertIn("work: 11 % · step 2\n", shown[1])
        self.assertIn("picture 19", shown[2])
        self.assertIn("at 1.0", shown[3])
        self.assertIn("42", shown[4])


if __name__ == "__main__":
    unittest.main()

"""What one sees of a model in a notebook: each view as the last expression of a cell, through the real kernel."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from labkit.layout import NOTEBOOKS
from test_kernel_sessions import Kernel

SWEEP = f"Sweep::open({json.dumps(str(NOTEBOOKS / 'laws'))})?"
# A cell, and what its block of HTML must hold.
VIEWS = [
    ('model.trace("Once")?', "max_abs_error 0"),
    ("trace.open(\"block.0.attn.scores\")?", "<svg"),
    ("trace.by_hand(\"block.0.attn.scores\", &[0, 0, 2, 1])?", "in the trace"),
    ("trace.compare(\"block.0.attn.scores\", \"block.0.attn.masked\")?", "6 of 16 numbers differ"),
    ("trace.attention()?.grid()?", "<image"),
    ("trace.explore()?", "glasslab-explorer"),
    ("trace.next_characters(5)?.draw()?", "next character after"),
    ('Surprise::new(&model, "Once <b>")?', "&lt;"),
    ('Lens::new(&model, "Once")?', "Logit lens"),
    ('HeadPatterns::find(&model, "Once upon a time")?', "looking everywhere alike"),
    ('model.ablate(Cut::Mask, "Once")?', "with the mask cut"),
    ('model.patch("Once", &trace, "embedded", Some(1))?', "put in"),
    ('EmbeddingMap::characters(&model.embedding, "abc")?.projection()?', "<svg"),
    ('{ let mut film = Film::new("Once"); film.take(&model, 0)?; film }', "glasslab-explorer"),
    (SWEEP, "chars 250000, emb_dim 16"),
    (f"Law::fit_jointly(&{SWEEP}.scaled())?", "L(N, D) = "),
]


class ViewTest(unittest.TestCase):
    def test_every_view_shows_itself_below_its_cell(self):
        kernel = Kernel()
        self.addCleanup(kernel.stop)
        _, _, errors = kernel.run("let model = TransformerLm::new(TransformerConfig::original(), Device::Cpu)?;\n"
                                  "let trace = model.trace(\"Once\")?;")
        self.assertEqual(errors, "")
        for cell, expected in VIEWS:
            _, data, errors = kernel.run(cell)
            self.assertEqual(errors, "", cell)
            self.assertIn(expected, data.get("text/html", ""), cell)
            self.assertTrue(data["text/plain"], cell)


if __name__ == "__main__":
    unittest.main()

"""A picture of a cell where scripts run, where they don't, and where there is no HTML.

The pages need Chromium or Chrome on the PATH (or CHROMIUM=path); without one those tests are skipped and say so.
"""

import json
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import browser
import nbformat
from nbconvert import LatexExporter, MarkdownExporter
from test_kernel_sessions import Kernel
from traitlets.config import Config

# Signs that would end an attribute, an address or a document, were they not escaped.
TITLE = "50 % of <b> & \"x\" #1 '日'"
CELL = f"Heatmap::new(&Tensor::eye(3, (Kind::Float, Device::Cpu)))?.title({json.dumps(TITLE, ensure_ascii=False)}).draw()?"


class PicturesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        kernel = Kernel()
        cls.addClassCleanup(kernel.stop)
        _, cls.data, errors = kernel.run(CELL)
        assert errors == "", errors
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)

    def page(self, html, dark=False):
        file = self.folder / "page.html"
        file.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body style="color:rgb(1, 2, 3)">{html}</body>', encoding="utf-8")
        page = browser.Page(file.as_uri(), dark=dark)
        self.addCleanup(page.close)
        return page

    def test_a_picture_has_three_forms_of_which_one_is_a_whole_document(self):
        self.assertEqual(set(self.data), {"text/html", "image/svg+xml", "text/plain"})
        root = xml.etree.ElementTree.fromstring(self.data["image/svg+xml"])
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        self.assertIn(TITLE, [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")])
        self.assertIn(TITLE, self.data["text/plain"])

    @unittest.skipUnless(browser.find(), "no browser: install chromium (apt install chromium), or set CHROMIUM to one")
    def test_where_scripts_run_it_is_part_of_the_page_and_has_its_ink(self):
        page = self.page(self.data["text/html"])
        self.assertEqual(page.problems, [])
        self.assertEqual(page.run("[document.images.length, document.querySelectorAll('[role=img] > svg').length]"), [0, 1])
        self.assertIn(TITLE, page.run("document.querySelector('[role=img]').getAttribute('aria-label')"))
        self.assertEqual(page.run("document.querySelector('text').textContent"), TITLE)
        self.assertEqual(page.run("getComputedStyle(document.querySelector('text')).fill"), "rgb(1, 2, 3)")
        self.assertEqual(page.run("getComputedStyle(document.querySelector('svg')).backgroundColor"), "rgba(0, 0, 0, 0)")

    @unittest.skipUnless(browser.find(), "no browser: install chromium (apt install chromium), or set CHROMIUM to one")
    def test_where_scripts_are_cleaned_away_it_is_an_image(self):
        page = self.page(re.sub("<script>.*?</script>", "", self.data["text/html"]))
        self.assertEqual(page.run("document.querySelectorAll('svg').length"), 0)
        page.wait("document.images[0].complete")
        wide, high = re.search(r"width='(\d+)' height='(\d+)'", self.data["image/svg+xml"]).groups()
        self.assertEqual(page.run("[document.images[0].naturalWidth, document.images[0].naturalHeight]"), [int(wide), int(high)])
        self.assertIn(TITLE, page.run("document.images[0].alt"))

    @unittest.skipUnless(browser.find(), "no browser: install chromium (apt install chromium), or set CHROMIUM to one")
    def test_alone_it_has_paper_and_ink_for_light_and_dark_screens(self):
        file = self.folder / "alone.svg"
        file.write_text(self.data["image/svg+xml"], encoding="utf-8")
        for dark in (False, True):
            page = browser.Page(file.as_uri(), dark=dark)
            self.addCleanup(page.close)
            ink = page.run("getComputedStyle(document.querySelector('text')).fill")
            paper = page.run("getComputedStyle(document.documentElement).backgroundColor")
            ink, paper = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper))
            self.assertGreater(ink - paper if dark else paper - ink, 400)

    def test_nbconvert_keeps_it(self):
        output = nbformat.v4.new_output("display_data", data=self.data)
        cell = nbformat.v4.new_code_cell("", outputs=[output])
        markdown, _ = MarkdownExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
        self.assertIn('src="data:image/svg+xml,<svg ', markdown)
        self.assertNotIn("\n\n", re.search("<div><img.*</div>", markdown, re.S).group(0), "a blank line would end the HTML")
        # What makes PDF of SVG is a program of its own (Inkscape); here it is enough that it is given a whole document.
        command = [sys.executable, "-c", "import sys, xml.etree.ElementTree as e; e.parse(sys.argv[1]);"
                   "open(sys.argv[2], 'w').write('%PDF')", "{from_filename}", "{to_filename}"]
        latex = LatexExporter(config=Config(SVG2PDFPreprocessor={"command": command}))
        body, resources = latex.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
        (name,) = [name for name in resources["outputs"] if name.endswith(".pdf")]
        self.assertRegex(body, rf"\\(adjustimage|includegraphics).*{re.escape(name)}")


if __name__ == "__main__":
    unittest.main()

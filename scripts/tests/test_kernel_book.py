"""Sliders without a kernel, and the book of `scripts/lab book`, in a real browser: what a reader does with mouse and keyboard.

It needs Chromium or Chrome on the PATH (or CHROMIUM=path); without one the tests are skipped and say so.
"""

import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import browser
from labkit.layout import OUT
from test_kernel_live import Kernel

BOOK = OUT / "book"
NO_BROWSER = "no browser: install chromium (apt install chromium), or set CHROMIUM to one"
STATES = "document.querySelector('.glasslab-states')"
CELL = r'''
Interact::new().whole("layers", 0..=2, 1).menu("prompt", &["Once", "</script><b>A"])
    .show(|values| format!("<{}> with {}", values.text("prompt"), values.whole("layers")));
'''


@unittest.skipUnless(browser.find(), NO_BROWSER)
class StatesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with mock.patch.dict(os.environ, {"GLASSLAB_STATES": "10"}):
            kernel = Kernel()
        try:
            reply, outputs = kernel.run(CELL)
        finally:
            kernel.client.stop_channels()
            kernel.manager.shutdown_kernel(now=True)
        assert reply["status"] == "ok", reply
        [(_, shown)] = [output for output in outputs if output[0] == "display_data"]
        cls.data = shown["data"]
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.file = Path(folder.name) / "page.html"
        cls.file.write_text(f"<!doctype html><meta charset=utf-8><body>{cls.data['text/html']}", encoding="utf-8")

    def setUp(self):
        self.page = browser.Page(self.file.as_uri())
        self.addCleanup(self.page.close)

    def tearDown(self):
        self.assertEqual(self.page.problems, [])

    def shown(self):
        return self.page.run(f"{STATES}.querySelector('.g-picture').innerText.trim()")

    def told(self):
        return self.page.run(f"{STATES}.querySelector('.g-told').innerText")

    def choose(self, place):
        self.page.run(f"(() => {{ const menu = {STATES}.querySelector('select'); menu.value = {place};"
                      "menu.dispatchEvent(new Event('change')); })()")

    def test_what_stands_in_the_notebook_needs_no_widgets(self):
        self.assertEqual(sorted(self.data), ["text/html", "text/plain"])
        self.assertIn("layers: 1", self.data["text/plain"])

    def test_a_slider_moved_by_the_keyboard_shows_what_was_computed_there(self):
        self.assertEqual(self.shown(), "<Once> with 1")
        self.page.run(f"{STATES}.querySelector('input').focus()")
        self.page.key("ArrowRight")
        self.assertEqual(self.shown(), "<Once> with 2")
        self.assertEqual(self.page.run(f"{STATES}.querySelector('input').getAttribute('aria-valuetext')"), "2")
        self.assertEqual(self.told(), "")

    def test_a_combination_that_was_not_computed_says_so_and_shows_the_nearest(self):
        self.page.run(f"{STATES}.querySelector('input').focus()")
        self.page.key("ArrowLeft")
        self.choose(1)
        self.assertIn("not computed", self.told())
        self.assertEqual(self.shown(), "<</script><b>A> with 1")
        self.page.click(f"{STATES}.querySelector('.g-told button')")
        self.assertEqual(self.told(), "")
        self.assertEqual(self.page.run(f"{STATES}.querySelector('input').value"), "1")
        self.assertEqual(self.page.run("document.querySelectorAll('.glasslab-states b').length"), 1, "the option stayed text")


@unittest.skipUnless(browser.find(), NO_BROWSER)
@unittest.skipUnless((BOOK / "index.html").exists(), "there is no book: scripts/lab book")
class BookTest(unittest.TestCase):
    """The book from the disk."""

    def open(self, address, **more):
        page = browser.Page((BOOK / "index.html").as_uri().removesuffix("index.html") + address, **more)
        self.addCleanup(page.close)
        # As if the window were the one in front: focus comes with its events.
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.addCleanup(lambda: self.assertEqual(page.problems, []))
        return page

    def test_the_first_page_writes_and_gives_its_frame_the_height_that_it_needs(self):
        page = self.open("index.html", height=1000)
        page.wait("document.querySelector('iframe.live').style.height !== ''")
        box = page.run("(() => { const box = document.querySelector('iframe.live').getBoundingClientRect(); return [box.top, box.height]; })()")
        self.assertLess(box[0], 250)
        self.assertGreater(box[1], 200)

    def test_a_word_explains_itself_by_the_keyboard_and_escape_ends_it(self):
        page = self.open("notebooks/02_mlp_language_model.html")
        shown = "getComputedStyle(document.querySelector('.word .word-told')).display"
        self.assertEqual(page.run(shown), "none")
        page.run("document.querySelector('.word a').focus()")
        self.assertEqual(page.run(shown), "block")
        page.key("Escape")
        self.assertEqual(page.run(shown), "none")
        page.point("document.querySelector('.word a')")
        self.assertEqual(page.run(shown), "block")

    def test_a_word_stays_on_a_phone(self):
        page = self.open("notebooks/02_mlp_language_model.html", width=390)
        for number in range(12):
            page.run(f"document.querySelectorAll('.word a')[{number}].focus()")
            left, right = page.run("(() => { const box = document.querySelector('.word.open .word-told').getBoundingClientRect();"
                                   "return [box.left, box.right]; })()")
            self.assertGreaterEqual(left, 0)
            self.assertLessEqual(right, 390)
        self.assertLessEqual(page.run("document.documentElement.scrollWidth"), 390)

    def test_a_solution_is_folded_until_one_opens_it(self):
        page = self.open("notebooks/02_mlp_language_model.html")
        seen = "document.querySelector('details.solution .highlight').checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true })"
        self.assertFalse(page.run(seen))
        page.run("document.querySelector('details.solution summary').click()")
        page.wait(seen)

    def test_search_finds_and_shows_where_from_the_disk(self):
        page = self.open("search.html?q=softmax")
        page.wait("document.querySelectorAll('#search-results li').length > 5 && document.querySelector('#search-results li .context') !== null")
        self.assertIn("softmax", page.run("document.querySelector('#search-results').innerText").lower())

    def test_pictures_and_explorers_are_alive(self):
        page = self.open("notebooks/08_tracing_the_transformer.html")
        self.assertEqual(page.run("document.querySelectorAll('.glasslab-explorer:not([data-alive])').length"), 0)
        self.assertGreater(page.run("document.querySelectorAll('.glasslab-explorer canvas').length"), 10)
        page = self.open("notebooks/10_experiments.html")
        self.assertEqual(page.run("document.querySelectorAll('.glasslab-states[data-alive]').length"), 1)
        self.assertGreater(page.run("document.querySelectorAll('article .output svg').length"), 2)
        self.assertEqual(page.run("document.querySelectorAll('article img.glasslab-picture').length"), 0, "each picture is part of the page")

    def test_the_ink_follows_when_somebody_chooses_dark(self):
        page = self.open("notebooks/08_tracing_the_transformer.html")
        ink = "getComputedStyle(document.querySelector('.glasslab-explorer')).color"
        light = page.run(ink)
        page.run("document.body.dataset.theme = 'dark'")
        page.wait("document.documentElement.style.colorScheme === 'dark'")
        self.assertNotEqual(page.run(ink), light)


if __name__ == "__main__":
    unittest.main()

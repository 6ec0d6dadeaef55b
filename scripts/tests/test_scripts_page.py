"""A page with a model in it, opened as a file in a real browser without a network: what a person does there, and sees.

It needs Chromium or Chrome on the PATH (or CHROMIUM=path); without one the test is skipped and says so. With AXE=path of
axe.min.js (npm's axe-core) it also looks for what a person with a disability could not use.
"""

import json
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import browser
from labkit import kernel, python_env, tools

HOSTILE = "</script><img src=x onerror=\"window.hacked = 1\"> & mine"
PROMPT = "Once upon a time, <b>Lily</b> saw"
PARTS = ["write", "look", "cut", "walk", "difference", "film", "about"]
READY = "document.documentElement.dataset.ready"
# Everything that can be opened, opened.
OPEN = """(() => {
  for (const more of document.querySelectorAll('details')) more.open = true;
  for (const part of ['#write .pieces [data-place="3"]', '#cut .machine .head', '#walk .gradient input', '#walk .stations li:nth-child(8) button'])
    document.querySelector(part)?.click();
})()"""


def make_page(folder):
    """A page of two models that have learnt for a few steps, with a film."""
    glasslab = str(kernel.program("glasslab"))
    run = lambda *arguments: tools.run([glasslab, *arguments], "The page could not be made.", cwd=folder, env=python_env.environment())
    run("train", "--preset", "small", "--steps", "30", "--batch-size", "8", "--film", "film.json", "--out", "m.safetensors")
    run("train", "--model", "mlp", "--steps", "100", "--out", "mlp.safetensors")
    run("page", "m.safetensors", "--beside", "mlp.safetensors", "--film", "film.json", "--title", HOSTILE, "--prompt", PROMPT, "--out", "page.html")
    return folder / "page.html"


@unittest.skipUnless(browser.find(), "no browser: install chromium (apt install chromium), or set CHROMIUM to one")
class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.page = make_page(Path(folder.name))
        cls.browser = browser.Page("about:blank", width=1200, offline=True)
        cls.addClassCleanup(cls.browser.close)

    def tearDown(self):
        self.assertEqual(self.browser.problems, [], "the page's scripts ran without an error")
        elsewhere = [url for url in self.browser.requests if not url.startswith(("file:", "data:", "about:"))]
        self.assertEqual(elsewhere, [], "the page asked for nothing")

    def show(self, address=""):
        self.browser.open("about:blank")
        self.browser.open(self.page.as_uri() + address)
        self.browser.wait(READY)

    def run_js(self, script):
        return self.browser.run(script)

    def text(self, selector):
        return self.run_js(f"document.querySelector({json.dumps(selector)}).textContent")

    def texts(self, selector):
        return self.run_js(f"[...document.querySelectorAll({json.dumps(selector)})].map((it) => it.textContent)")

    def click(self, selector):
        self.browser.click(f"document.querySelector({json.dumps(selector)})")

    def press(self, part, words):
        self.browser.click(f"[...document.querySelectorAll('#{part} button')].find((it) => it.textContent.startsWith({json.dumps(words)}))")

    def test_it_writes_by_itself_and_anew_when_the_beginning_changes(self):
        begun = time.monotonic()
        self.browser.open("about:blank")
        self.browser.open(self.page.as_uri())
        self.browser.wait("document.querySelectorAll('#write .pieces bdi').length > 0")
        print(f"page: first text after {1000 * (time.monotonic() - begun):.0f} ms", file=sys.stderr)
        self.assertEqual(self.text("#write .prompt"), PROMPT)
        self.browser.wait("document.querySelectorAll('#write .pieces bdi').length > 40")
        self.press("write", "Pause")
        self.click("#write .prompt")
        self.run_js("getSelection().selectAllChildren(document.querySelector('#write .prompt'))")
        self.browser.type("The dog <i>")
        self.assertEqual(self.run_js("document.querySelectorAll('#write .prompt *').length"), 0, "what is typed is text")
        self.browser.wait("document.querySelectorAll('#write .pieces bdi').length > 5")
        self.assertEqual(self.text("#write .prompt"), "The dog <i>")

    def test_the_same_seed_writes_the_same_and_another_another(self):
        written = []
        for seed in (3, 3, 4):
            self.show(f"#only=write&prompt=Once&temperature=1&chars=60&seed={seed}")
            self.press("write", "All at once")
            self.browser.wait("document.querySelectorAll('#write .pieces bdi').length === 60")
            written.append(self.text("#write .pieces"))
        self.assertEqual(written[0], written[1])
        self.assertNotEqual(written[0], written[2])

    def test_a_written_character_tells_why_and_another_can_stand_in_its_place(self):
        self.show("#only=write&chars=80")
        self.press("write", "All at once")
        self.browser.wait("document.querySelectorAll('#write .pieces bdi').length === 80")
        before = self.texts("#write .pieces bdi")
        self.click("#write .pieces [data-place='20']")
        self.assertIn("Most at", self.text("#write .why"))
        self.assertGreater(len(self.texts("#write .why .bars li")), 4)
        self.browser.key("ArrowRight")
        self.assertEqual(self.run_js("document.querySelector('#write .pieces [aria-selected=true]').dataset.place"), "21")
        other = "#write .why .bars li:not(.chosen) button"
        label = self.text(other)
        self.click(other)
        self.browser.wait("document.querySelectorAll('#write .pieces bdi').length > 25")
        after = self.texts("#write .pieces bdi")
        self.assertEqual(after[:21], before[:21])
        self.assertEqual(after[21].replace(" ", "␣"), label)

    def test_each_key_is_answered_by_all_of_the_look(self):
        self.show("#only=look&prompt=Once")
        labels = lambda: "".join(self.texts("#look .tokens bdi"))
        self.assertEqual(labels(), "Once")
        self.click("#look textarea")
        self.run_js("(() => { const it = document.querySelector('#look textarea'); it.setSelectionRange(4, 4); })()")
        shown = lambda: [self.texts("#look .bars li"), self.texts("#look .lens td"), self.text("#look .figure-line")]
        before = shown()
        for count, letter in enumerate(" upon", 5):
            self.browser.type(letter)
            self.browser.wait(f"document.querySelectorAll('#look .tokens bdi').length === {count}")
        self.assertEqual(labels(), "Once␣upon")
        self.assertEqual(self.texts("#look .g-text bdi"), list("Once␣upon"), "the explorer is alive")
        self.assertEqual(len(self.texts("#look .lens thead th")), 10)
        for old, new in zip(before, shown()):
            self.assertNotEqual(old, new)
        self.assertEqual(self.texts("#look .textbox-behind span"), list("Once upon"))
        self.click("#look .tokens [data-place='3']")
        self.assertIn("after “Once”", self.text("#look"))
        self.assertIn("There came “␣”", self.text("#look"))

    def test_more_than_the_model_sees_or_knows_is_told(self):
        self.show("#only=look&prompt=" + "a" * 100)
        self.assertIn("sees the last 64 characters", self.text("#look .notice"))
        self.assertEqual(len(self.texts("#look .tokens bdi")), 64)
        self.show("#only=look&prompt=%E2%82%AC")
        self.assertIn("does not know €", self.text("#look .notice"))

    def test_a_cut_changes_loss_text_and_attention_and_can_be_taken_back(self):
        self.show("#only=cut")
        losses = lambda: self.texts("#cut .big")
        maps = lambda: self.run_js("[...document.querySelectorAll('#cut .is-cut canvas')].map((it) => it.toDataURL()).join()")
        whole, map_before = losses(), maps()
        self.assertEqual(whole[0], whole[1])
        for part in ("mask", "the whole block 1", "head 0 of layer 0"):
            self.click(f"#cut .machine button[aria-label^='{part}'], #cut .machine button[aria-label^='the {part}']")
            self.browser.wait(f"document.querySelectorAll('#cut .big')[1].textContent !== {json.dumps(whole[1])}")
            self.assertEqual(losses()[0], whole[0])
            self.assertNotEqual(maps(), map_before, part)
            self.press("cut", "Make it whole")
            self.browser.wait(f"document.querySelectorAll('#cut .big')[1].textContent === {json.dumps(whole[1])}")
            self.assertEqual(self.run_js("document.querySelectorAll('#cut [aria-pressed=true]').length"), 0)
        wrote = lambda: self.texts("#cut .wrote")
        self.press("cut", "every head")
        self.browser.wait("[...document.querySelectorAll('#cut .wrote')].every((it) => it.textContent.length >= 200)")
        self.assertNotEqual(*wrote())

    def test_every_step_of_the_walk_has_its_arithmetic_forward_and_its_gradient_backward(self):
        self.show("#only=walk&prompt=Once upon")
        count = len(self.texts("#walk .stations button"))
        self.assertGreater(count, 50)
        self.run_js("document.querySelector('#walk .gradient input').click()")
        for number in range(1, count):
            name = self.text("#walk .station .caption")
            if number > 1:
                self.assertIn("by hand", self.text("#walk .by-hand pre"), name)
                self.assertIn("the loss", self.text("#walk .gradient"), name)
            self.press("walk", "Next step")
            self.assertIn(f"step {number + 1} of {count}", self.text("#walk .station"))
        self.assertTrue(self.run_js("[...document.querySelectorAll('#walk .station button')].find((it) => it.textContent.startsWith('Next')).disabled"))

    def test_of_two_models_one_notices_what_was_changed_long_ago(self):
        self.show("#only=difference&prompt=Once upon a time")
        told = self.texts("#difference .moved .caption")
        self.assertIn("Behind it nothing moves", told[1])
        self.assertNotIn("nothing moves", told[0])
        self.browser.wait("[...document.querySelectorAll('#difference .wrote')].every((it) => it.textContent.length > 200)")
        self.assertNotEqual(*self.texts("#difference .wrote"))
        self.run_js("document.querySelector('#difference .letter').select()")
        self.browser.type("z")
        self.assertEqual(self.texts("#difference .moved bdi")[2], "z")

    def test_the_film_shows_each_moment(self):
        self.show("#only=film")
        wrote = lambda: self.text("#film .wrote")
        last = wrote()
        self.run_js("document.querySelector('#film input[type=range]').focus()")
        self.browser.key("Home")
        self.assertIn("step 0", self.text("#film .film-bar"))
        self.assertNotEqual(wrote(), last)

    def test_one_part_alone_begins_as_its_address_says_and_tells_its_height(self):
        for part in PARTS:
            self.show(f"#only={part}&prompt=Once")
            self.assertEqual(self.run_js("[...document.querySelectorAll('main section.part')].map((it) => it.id)"), [part])
            self.assertEqual(self.run_js("getComputedStyle(document.querySelector('header')).display"), "none")
        frame = self.page.with_name("frame.html")
        frame.write_text("<script>addEventListener('message', ({ data }) => { if (data.glasslab === 'height') document.title = data.height; })</script>"
                         f"<iframe src=\"{self.page.name}#only=write&chars=10\" width=700></iframe>")
        self.browser.open(frame.as_uri())
        self.browser.wait("Number(document.title) > 200")
        self.show("#only=dance")
        self.assertIn("no part “dance”", self.text("[role=alert]"))

    def test_a_hostile_title_and_prompt_are_text_and_nothing_may_be_fetched(self):
        self.show()
        self.assertEqual(self.texts("section.part h2")[0], "It writes")
        self.assertIn(HOSTILE, self.text(".brand"))
        self.assertEqual(self.run_js("typeof window.hacked"), "undefined")
        self.assertEqual(self.run_js("document.querySelectorAll('img, #look b:not(li b)').length"), 0)
        self.assertTrue(self.run_js("fetch('https://example.org').then(() => false, () => true)"))
        self.browser.problems = [said for said in self.browser.problems if "Content Security Policy" not in said and "Fetch API" not in said]
        self.browser.requests.clear()

    def test_light_and_dark_can_be_chosen_and_nothing_is_wider_than_a_phone(self):
        self.show()
        paper = lambda: self.run_js("getComputedStyle(document.body).backgroundColor")
        before = paper()
        self.click(".theme")
        self.assertNotEqual(paper(), before)
        self.browser.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
        self.addCleanup(lambda: self.browser.call("Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False))
        self.run_js(OPEN)
        self.assertEqual(self.run_js("document.documentElement.scrollWidth"), 390)

    def test_without_scripts_pictures_and_words_are_left(self):
        self.browser.call("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(lambda: self.browser.call("Emulation.setScriptExecutionDisabled", value=False))
        self.browser.open("about:blank")
        self.browser.call("Page.navigate", url=self.page.as_uri())
        time.sleep(2)
        tree = self.browser.call("Accessibility.getFullAXTree")["nodes"]
        words = " ".join(str(node.get("name", {}).get("value", "")) for node in tree if not node.get("ignored"))
        self.assertIn("What the transformer writes", words)

    @unittest.skipUnless(os.environ.get("AXE"), "set AXE to the path of axe.min.js (npm install axe-core)")
    def test_axe_finds_nothing(self):
        axe = Path(os.environ["AXE"]).read_text()
        for dark in (False, True):
            for width in (1200, 390):
                with browser.Page(self.page.as_uri(), width=width, dark=dark) as page:
                    page.wait(READY)
                    page.run(OPEN)
                    time.sleep(1)
                    page.run(axe)
                    found = page.run("axe.run(document).then(({ violations }) => violations.map((it) => it.id + ': ' + it.nodes[0].html))")
                    self.assertEqual(found, [], f"dark: {dark}, width: {width}")


if __name__ == "__main__":
    unittest.main()

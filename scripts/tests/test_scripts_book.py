"""scripts/lab book: what becomes of notebooks, words and links; that every reference is checked; and the book itself, where Sphinx is there."""

import copy
import html
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts" / "book")]

import reach
from labkit import book, book_links, exercises, glossary, main, tools
from labkit.book_pages import Links, document, exercise, live, notebook_page, one_title, split_task
from labkit.layout import NOTEBOOKS, ROOT, SOLUTIONS
from labkit.say import Problem

GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
TERMS = glossary.read(GLOSSARY)
HOSTILE = "</code></details></section>```\n<script>alert(1)</script>\n```` & \"q\""


def temporary(test) -> Path:
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return Path(folder.name)


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def cell(kind, source, name, **more):
    made = {"cell_type": kind, "source": source.splitlines(keepends=True), "id": name, "metadata": {}, **more}
    return made if kind == "markdown" else {"execution_count": 1, "outputs": [], **made}


SOLVED = "// exercise: double\nfn my_double(x: i64) -> i64 {\n    // BEGIN SOLUTION\n    2 * x\n    // END SOLUTION\n}"
GIVEN = exercises.without_solution(SOLVED)


class Words(unittest.TestCase):
    def test_every_link_to_the_glossary_names_a_word_of_it(self):
        terms = glossary.read(GLOSSARY)
        self.assertGreater(len(terms), 100)
        links = [(path.name, words) for path in SOLUTIONS.glob("*.ipynb") for one in exercises.read(path)["cells"]
                 if one["cell_type"] == "markdown" for words in re.findall(r"\[([^\]]+)\]\(\.\./\.\./docs/glossary\.md\)", exercises.source(one))]
        self.assertGreater(len(links), 90)
        for name, words in links:
            if words != "glossary":
                self.assertIsNotNone(glossary.find(terms, words), f"{name} links “{words}” to the glossary: add it there, or to labkit/glossary.py's ALIASES")

    def test_a_word_is_met_where_the_glossary_says(self):
        books = {}  # in their order: which words each links or emphasises, and all that can be read in it
        for path in sorted(SOLUTIONS.glob("*.ipynb"), key=lambda path: path.name.split("_")[0]):
            cells = exercises.read(path)["cells"]
            told = "\n".join(exercises.source(one) for one in cells if one["cell_type"] == "markdown")
            marked = re.findall(r"\[([^\]]+)\]\([./]+docs/glossary\.md\)", told) + re.findall(r"(?<!\*)\*{1,2}([^*\n]+?)\*{1,2}(?!\*)", told)
            outputs = [output for one in cells for output in one.get("outputs", [])]
            shown = ["".join(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs]
            read = "\n".join([exercises.source(one) for one in cells] + shown).lower().replace("ngram", "n-gram")
            books[path.name] = ([glossary.find(TERMS, words) for words in marked], read)
        entries = [glossary.ENTRY.match(line) for line in GLOSSARY.splitlines()]
        for entry, term in zip(filter(None, entries), TERMS, strict=True):
            said = re.search(r"\(\.\./notebooks/(.+?)\)", entry["where"] or "")
            first = next((name for name, (marked, _) in books.items() if term in marked), None)
            if first:
                self.assertEqual(said and said[1], first, f"{term.head}: the glossary names another notebook than the first that marks the word")
            elif said:
                self.assertTrue(any(name.lower()[:5] in books[said[1]][1] for name in term.names), f"{term.head}: {said[1]} doesn't have the word")

    def test_each_word_has_a_place_of_its_own_and_its_meaning_in_plain_text(self):
        terms = glossary.read(GLOSSARY)
        self.assertEqual(len({term.anchor for term in terms}), len(terms))
        marked = glossary.with_anchors(GLOSSARY)
        self.assertEqual(glossary.read(marked), terms)
        for term in terms:
            self.assertEqual(marked.count(f'id="{term.anchor}"'), 1, term)
            self.assertNotRegex(term.told, r"\]\(|[*`]", term)

    def test_names_that_the_code_lists_are_words_of_the_glossary(self):
        heads = {term.head for term in glossary.read(GLOSSARY)}
        self.assertLessEqual(glossary.EVERYDAY | set(glossary.ALIASES.values()), heads)

    def test_running_text_is_searched_for_whole_words_that_mean_nothing_else(self):
        pattern, names = glossary.pattern(glossary.read(GLOSSARY))
        found = [glossary.entry_of(names, hit.group(0)).head for hit in pattern.finditer(
            "The value of a key: a Learning\nrate, residual streams, RMS norms, softmaxed, self-attention, causal masks and emb_dim.")]
        self.assertEqual(found, ["Learning rate", "Residual stream", "RMS norm", "Self-attention", "Causal mask", "emb_dim, C"])


class Pages(unittest.TestCase):
    def page(self, *cells, given=GIVEN):
        solved = notebook(*cells)
        before = copy.deepcopy(solved)
        learners = copy.deepcopy(solved)
        for one in learners["cells"]:
            if exercises.exercise_name(one):
                one["source"] = given.splitlines(keepends=True)
        made = notebook_page(solved, learners, "01.ipynb")
        self.assertEqual(solved, before, "what is read is left as it is")
        names = [one["id"] for one in made["cells"]]
        self.assertEqual(len(set(names)), len(names))
        return made["cells"]

    def test_an_exercise_shows_the_task_and_the_stub_and_folds_the_solution(self):
        cells = self.page(cell("markdown", "# One", "a"), cell("markdown", "Some words.\n\n**Your turn:** double it.\n\nMind the sign.", "b"),
                          cell("code", SOLVED, "c"), cell("code", "check::double(my_double).require()?;", "d"))
        told, shown, test = cells[-3:]
        self.assertEqual(exercises.source(told), "Some words.")
        text = exercises.source(shown)
        open_part, folded = text.split('<details class="solution">')
        self.assertIn("**Your turn:** double it.\n\nMind the sign.", open_part)
        self.assertIn('todo!("your turn")', open_part)
        self.assertNotIn("2 * x", open_part)
        self.assertIn("2 * x", folded)
        self.assertNotIn("SOLUTION", text)
        self.assertIn("check::double", exercises.source(test))

    def test_a_task_without_the_usual_words_is_what_follows_the_last_heading(self):
        self.assertEqual(split_task("Before.\n\n## Now\n\nWrite it.\n\nSo."), ("Before.\n\n## Now", "Write it.\n\nSo."))
        self.assertEqual(split_task("Write it."), ("", "Write it."))

    def test_every_exercise_of_the_lab_is_shown_so(self):
        for path in sorted(SOLUTIONS.glob("*.ipynb")):
            solved, given = exercises.read(path), exercises.read(NOTEBOOKS / path.name)
            cells = notebook_page(solved, given, path.name)["cells"]
            text = "\n\n".join(exercises.source(one) for one in cells if one["cell_type"] == "markdown")
            names = [one.name for one in exercises.find(solved, path.name)]
            self.assertEqual(re.findall(r'id="exercise-(\w+)"', text), names)
            self.assertEqual(text.count('<details class="solution">'), len(names))
            self.assertEqual(text.count("\n# "), 0, f"{path.name} has one title")

    def test_code_stays_code_whatever_stands_in_it(self):
        text = exercise("Do it.", HOSTILE, HOSTILE, "one")
        blocks = re.findall(r"^(`{3,})rust\n(.*?)\n\1$", text, re.M | re.S)
        self.assertEqual([code for _, code in blocks], [HOSTILE, HOSTILE])

    def test_sliders_of_a_model_that_writes_become_a_part_of_the_live_page(self):
        sliders = cell("code", "Interact::new()", "s", outputs=[{"output_type": "stream", "name": "stdout", "text": "old"}])
        sliders["metadata"] = {"glasslab": {"live": 'write&temperature=0.5&prompt=Once "upon'}}
        code, frame = self.page(cell("markdown", "# One", "a"), sliders)[-2:]
        self.assertEqual(code["outputs"], [])
        source = html.unescape(re.search(r'src="([^"]*)"', exercises.source(frame))[1])
        self.assertEqual(source, "../live.html#only=write&temperature=0.5&prompt=Once+%22upon")
        with self.assertRaisesRegex(ValueError, "no part 'wrote'"):
            live("wrote", "")

    def test_the_mark_of_sliders_that_live_is_kept_for_learners(self):
        marked = [(path.name, one["id"]) for folder in (SOLUTIONS, NOTEBOOKS) for path in sorted(folder.glob("*.ipynb"))
                  for one in exercises.read(path)["cells"] if "live" in one["metadata"].get("glasslab", {})]
        self.assertIn(("07_transformer_language_model.ipynb", "c05-024"), marked)
        half = len(marked) // 2
        self.assertEqual(marked[:half], marked[half:])

    def test_all_sliders_of_the_lab_live_without_a_kernel(self):
        for path in sorted(SOLUTIONS.glob("*.ipynb")):
            for one in exercises.read(path)["cells"]:
                if one["cell_type"] == "code" and "Interact::new()" in exercises.source(one):
                    shown = "".join("".join(output.get("data", {}).get("text/html", "")) for output in one["outputs"])
                    self.assertIn('class="glasslab-states"', shown, f"{path.name}: scripts/lab solve keeps the states of its sliders")

    def test_a_page_has_one_title(self):
        self.assertEqual(one_title("# Two\n\n```sh\n# a comment\n```\n\n# Three"), "## Two\n\n```sh\n# a comment\n```\n\n## Three")

    def test_every_document_has_its_place_in_the_contents(self):
        contents = (book.BOOK / "index.md").read_text(encoding="utf-8")
        listed = {line for part in re.findall(r"```{toctree}\n(.*?)```", contents, re.S) for line in part.splitlines()}
        documents = [*book.DOCUMENTS, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
        self.assertEqual([name for name in documents if name.removesuffix(".md") not in listed], [])


class Leads(unittest.TestCase):
    """Where links lead in the book."""

    def setUp(self):
        self.links = Links(ROOT, {"docs/data.md", "notebooks/01.ipynb", "docs/live.png", "CHANGELOG.md"}, {"crates/glasslab": "glasslab"})

    def test_links_of_the_project_become_links_of_the_book_or_words(self):
        for page, text, wanted in [
                ("notebooks/solutions/01.ipynb", "[a](../../docs/data.md#one) [b](01.ipynb)", "[a](../docs/data.md#one) [b](../notebooks/01.ipynb)"),
                ("docs/lab.md", "![a](live.png) [b](https://example.org) [c](#here)", "![a](../docs/live.png) [b](https://example.org) [c](#here)"),
                ("docs/lab.md", "[`own`](../crates/glasslab/src/model/own.rs)",
                 '<a class="api" href="../api/src/glasslab/model/own.rs.html">`own`</a>'),
                ("CHANGELOG.md", "[`a`](crates/glasslab/src/a.rs) and `b` and [`c` d](docs/data.md)",
                 '<a class="api" href="api/src/glasslab/a.rs.html">`a`</a> and `b` and [`c` d](docs/data.md)'),
                ("docs/lab.md", "[the file](../Dockerfile), [all](../notebooks/solutions), [home](../README.md)",
                 "the file, [all](../index.md), [home](../index.md)")]:
            self.assertEqual(self.links.mend(text, page), wanted)

    def test_code_is_no_link(self):
        for text in ("`[a](b.md)`", "```text\n[a](b.md)\n```", "````\n```\n[a](b.md)\n```\n````"):
            self.assertEqual(self.links.mend(text, "docs/lab.md"), text)

    def test_a_document_can_hold_a_part_of_the_live_page(self):
        self.assertIn('src="live.html#only=look"', document("<!-- live: look -->", self.links, "index.md"))
        self.assertIn('src="../live.html#only=look&amp;layer=1"', document("<!-- live: look&layer=1 -->", self.links, "docs/x.md"))


class References(unittest.TestCase):
    """What a page refers to is there."""

    def found(self, pages, programs=()):
        folder = temporary(self)
        for name, text in pages.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return book_links.problems(folder, programs)

    def test_what_is_there_is_no_problem(self):
        self.assertEqual(self.found({
            "a.html": '<h1 id="x y">A</h1><a href="b/c.html#in">c</a><a href="#x%20y">x</a><a href="https://example.org">out</a><a href="b/moved.html#in">m</a>'
                      '<img src="data:image/png;base64,"><a href="mailto:a@example.org">m</a><link rel="next" href="b/c.html"><img src="b/%C3%A9.png?1">',
            "b/c.html": '<p id="in"></p><link rel="stylesheet" href="../s.css">', "b/é.png": "",
            "b/moved.html": '<meta http-equiv="refresh" content="0; url=c.html">', "s.css": "a{background:url(a.html)}"}), [])

    def test_each_kind_of_fault_is_told_with_its_page(self):
        for text, told in [('<a href="gone.html">', "refers to gone.html, which is not there"), ('<a href="#gone">', "a place that the page does not have"),
                           ('<a href="b.html#gone">', "a place that the page does not have"), ('<script src="https://cdn.example.org/x.js">', "from the network"),
                           ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "from the network"), ("<style>@import 'https://example.org/f.css'</style>", "from the network"),
                           ('<p style="background:url(https://example.org/f.png)">', "from the network"), ('<a href="/b.html">', "only at the root of a site"),
                           ('<a href="../">', "outside of the book|a folder"), ('<a href="javascript:alert(1)">', "a link to a script"), ('<iframe src="x.html#y">', "not there")]:
            found = self.found({"a.html": text, "b.html": ""})
            self.assertEqual(len(found), 1, (text, found))
            self.assertRegex(found[0], f"^a.html: .*({told})")

    def test_pages_that_make_their_places_themselves_must_only_be_there(self):
        self.assertEqual(self.found({"a.html": '<iframe src="live.html#only=write">', "live.html": ""}, ("live.html",)), [])
        self.assertEqual(len(self.found({"a.html": '<iframe src="live.html#only=write">'}, ("live.html",))), 1)

    def test_links_of_rustdoc_that_only_other_crates_could_follow_become_words(self):
        folder = temporary(self)
        (folder / "one").mkdir()
        (folder / "one/a.html").write_text('<a href="dispatcher#x">the <b>default</b></a><a href="#k">k</a><a href="../index.html">i</a><p id="k">'
                                           '<script src="../there.js"></script><script src="../gone.js" async></script>', encoding="utf-8")
        (folder / "there.js").touch()
        book.mend_code_documentation(folder)
        self.assertEqual((folder / "one/a.html").read_text(encoding="utf-8"),
                         'the <b>default</b><a href="#k">k</a><a href="../index.html">i</a><p id="k"><script src="../there.js"></script>')


class Reach(unittest.TestCase):
    def test_an_empty_head_of_a_table_is_a_cell(self):
        self.assertEqual(reach.without_empty_heads('<th scope="col" style="x"></th><th>a</th><th class="head"><p></p></th>'),
                         '<td style="x"></td><th>a</th><td class="head"><p></p></td>')

    def test_ink_is_read_well_on_its_colour(self):
        self.assertEqual([reach.ink_on(colour) for colour in ("ffffff", "2fb17d", "7b7975", "440154")], ["#000", "#000", "#000", "#fff"])


class Making(unittest.TestCase):
    """Which programs it runs, and what it says where one fails."""

    def setUp(self):
        self.folder = temporary(self)
        self.ran, self.failing = [], None
        for name, value in [("OUT", self.folder), ("WORK", self.folder / "work")]:
            patch = mock.patch.object(book, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def run_program(self, command, **_):
        self.ran.append([str(word) for word in command[1:]])
        if command[1] == "train":
            Path(command[command.index("--out") + 1]).touch()
        return subprocess.CompletedProcess(command, 1 if command[1] == self.failing else 0)

    def live_page(self, *arguments):
        options = main.parse(["book", *arguments])
        with mock.patch.object(book.subprocess, "run", self.run_program), mock.patch("builtins.print"):
            return book.live_page(book.Wish(options.page, options.model, options.seconds))

    def test_models_are_trained_once_and_the_page_is_made_each_time(self):
        self.live_page("--seconds", "7")
        self.assertEqual([words[0] for words in self.ran], ["train", "train", "page"])
        self.assertEqual(self.ran[0][:5], ["train", "--preset", "small", "--film", str(self.folder / "book.film")])
        self.assertEqual(self.ran[0][5:7], ["--seconds", "7"])
        self.live_page()
        self.assertEqual([words[0] for words in self.ran[3:]], ["page"])

    def test_a_persons_own_model_writes_with_an_mlp_beside_it(self):
        self.live_page("--model", "mine.safetensors")
        self.assertEqual([words[:3] for words in self.ran], [["train", "--model", "mlp"], ["page", "mine.safetensors", "--beside"]])

    def test_a_page_that_is_there_is_taken_and_one_that_is_not_is_told(self):
        (self.folder / "mine.html").touch()
        self.assertEqual(self.live_page("--page", str(self.folder / "mine.html")), self.folder / "mine.html")
        self.assertEqual(self.ran, [])
        with self.assertRaisesRegex(Problem, "There is no page nowhere.html: make one with `glasslab page"):
            self.live_page("--page", "nowhere.html")

    def test_what_fails_is_told(self):
        for self.failing, told in [("train", "could not be trained"), ("page", "live page could not be made")]:
            with self.assertRaisesRegex(Problem, told):
                self.live_page()

    def test_without_cargo_or_with_code_that_it_can_t_document_it_is_told(self):
        with mock.patch.object(book, "target_folder", lambda: self.folder), mock.patch("builtins.print"):
            with mock.patch.object(book.subprocess, "run", side_effect=FileNotFoundError), self.assertRaisesRegex(Problem, "rustup"):
                book.code_documentation()
            with mock.patch.object(book.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 101)), \
                    self.assertRaisesRegex(Problem, "could not document the code"):
                book.code_documentation()

    def test_no_two_targets_are_documented_into_one_folder(self):
        told = subprocess.run(["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"], cwd=ROOT,
                              env=tools.cargo_environment(), check=True, stdout=subprocess.PIPE).stdout
        targets = [target for package in json.loads(told)["packages"] for target in package["targets"] if target["doc"]]
        names = [target["name"].replace("-", "_") for target in targets]
        self.assertIn("glasslab", names)
        self.assertEqual(len(names), len(set(names)), f"cargo doc writes two of them into one folder, at the same time: {names}")

    def test_what_others_documented_there_does_not_come_along(self):
        (self.folder / "doc/other").mkdir(parents=True)
        with mock.patch.object(book, "target_folder", lambda: self.folder), mock.patch("builtins.print"), \
                mock.patch.object(book.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0)):
            self.assertFalse((book.code_documentation() / "other").exists())

    def test_a_folder_that_holds_no_book_is_left_as_it_is(self):
        (self.folder / "thesis.txt").touch()
        with mock.patch.object(book, "ensure"), self.assertRaisesRegex(Problem, "something else than a book"):
            book.make(book.Wish(None, None, 1), str(self.folder), False)
        self.assertTrue((self.folder / "thesis.txt").exists())

    def test_a_book_takes_the_place_of_a_book_and_of_nothing_that_somebody_has_put_there(self):
        target, made = self.folder / "site", []

        def build(_, site):
            made.append(len(made))
            (site / "docs").mkdir(parents=True)
            (site / "docs" / f"{made[-1]}.html").touch()
            return site

        (self.folder / "live.html").touch()
        (self.folder / "api").mkdir()
        with (mock.patch.object(book, "ensure"), mock.patch.object(book, "live_page", return_value=self.folder / "live.html"),
              mock.patch.object(book, "code_documentation", return_value=self.folder / "api"), mock.patch.object(book, "write_sources"),
              mock.patch.object(book, "build", build), mock.patch.object(book, "check"), mock.patch("builtins.print")):
            make = lambda: book.make(book.Wish(None, None, 1), str(target), False)
            make()
            make()
            self.assertEqual(sorted(path.name for path in target.rglob("*.html")), ["1.html", "index.html", "live.html"])
            for name in (".git/HEAD", "CNAME", "docs/mine.html"):
                (target / name).parent.mkdir(exist_ok=True)
                (target / name).touch()
                with self.assertRaisesRegex(Problem, f"something else than a book, {name}"):
                    make()
                self.assertTrue((target / name).exists())
                (target / name).unlink()
        self.assertEqual(made, [0, 1])
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["api", "live.html", "site", "work"])

    def test_references_that_lead_nowhere_are_an_error(self):
        (self.folder / "a.html").write_text('<a href="gone.html">')
        with self.assertRaisesRegex(Problem, "a.html: it refers to gone.html"):
            book.check(self.folder)

    def test_every_file_that_has_documentation_is_of_a_crate(self):
        self.assertEqual(set(book.crates()), {"crates/glasslab", "crates/glasslab-data", "crates/glasslab-kernel", "crates/glasslab-wire"})


@unittest.skipUnless(book.is_there(), "the book's environment is not there: scripts/lab book")
class Site(unittest.TestCase):
    """The book as Sphinx makes it, of the notebooks as they are and of one that is hostile."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        folder = Path(folder.name)
        with mock.patch.object(book, "OUT", folder), mock.patch.object(book, "WORK", folder):
            sources = book.write_sources(folder / "sources")
            page = folder / "sources/notebooks/00_setup_and_data.ipynb"
            made = json.loads(page.read_text(encoding="utf-8"))
            made["cells"] += [cell("code", HOSTILE, "h1", outputs=[
                {"output_type": "stream", "name": "stdout", "text": HOSTILE},
                {"output_type": "display_data", "metadata": {}, "data": {"text/plain": HOSTILE}}])]
            page.write_text(json.dumps(made), encoding="utf-8")
            cls.site = book.build(sources, folder / "site")
        (cls.site / "live.html").touch()
        # The documentation of the code is cargo's; here a page for each that the book refers to, if there is such a source.
        cls.code = set()
        for path in cls.site.rglob("*.html"):
            for address, _ in book_links.read(path).references:
                if "api/" in address:
                    target = (path.parent / address).resolve()
                    cls.code.add(target.relative_to(cls.site.resolve() / "api").as_posix())
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.touch()

    def text(self, page):
        return (self.site / page).read_text(encoding="utf-8")

    def test_every_reference_leads_somewhere_and_nothing_comes_from_the_network(self):
        book.check(self.site)
        for path in self.site.rglob("*.html"):
            self.assertNotRegex(path.read_text(encoding="utf-8"), r"require(?:\.min)?\.js|[Mm]ath[Jj]ax|plotly", path.name)

    def test_links_to_the_code_name_files_that_are_there(self):
        sources = {name.removeprefix("src/").removesuffix(".html") for name in self.code if name.startswith("src/")}
        self.assertGreater(len(sources), 5)
        for source in sources:
            crate, _, path = source.partition("/")
            self.assertTrue((ROOT / "crates" / crate.replace("_", "-") / "src" / path).exists(), source)

    def test_hostile_text_stays_text(self):
        page = self.text("notebooks/00_setup_and_data.html")
        self.assertNotIn("<script>alert(1)", page)
        self.assertGreaterEqual(page.count("alert"), 3)

    def test_the_first_page_lets_a_visitor_write_before_anything_else(self):
        page = self.text("index.html")
        article = page[page.index("<article"):]
        self.assertLess(article.index("#only=write"), article.index("</section>"))
        before = re.sub(r"<[^>]*>", "", article[:article.index("<iframe")])
        self.assertLess(len(before.split()), 40)

    def test_words_explain_themselves_once_a_page_and_lead_to_the_glossary(self):
        page = self.text("notebooks/02_mlp_language_model.html")
        words = re.findall(r'<span class="word"><a href="([^"]+)" aria-describedby="(word-\d+)">', page)
        self.assertGreater(len(words), 25)
        for address, name in words:
            self.assertIn("glossary.html#term-", address)
            self.assertEqual(page.count(f'role="tooltip" id="{name}"'), 1)
        self.assertIn("max(0, x): negative numbers become 0", page)
        # Not linked there by hand, and explained once.
        other = self.text("notebooks/04_how_it_learns.html")
        self.assertEqual(len(re.findall(r'glossary.html#term-tensor"', other)), 1)

    def test_one_sees_where_one_is(self):
        page = self.text("notebooks/05_self_attention.html")
        self.assertEqual(page.count('aria-current="page"'), 1)
        self.assertIn("Self-attention</a>", page[page.index('aria-current="page"'):][:200])

    def test_search_has_the_words_of_every_page(self):
        script = self.text("_static/texts.js")
        texts = json.loads(script.removeprefix("const pageTexts = ").rstrip(";\n"))
        self.assertEqual(set(texts), {path.relative_to(self.site).with_suffix("").as_posix() for path in self.site.rglob("*.html")
                                      if "api" not in path.relative_to(self.site).parts and path not in (self.site / "live.html", self.site / "search.html")})
        self.assertIn("softmax", texts["notebooks/05_self_attention"])
        self.assertNotIn("<script", script)


if __name__ == "__main__":
    unittest.main()

"""What becomes of the project's notebooks and documents in the book: exercises with their solution folded, sliders that live, links
that lead somewhere.

Pages keep their places (notebooks/…, docs/…), so what they link to each other by stays right.
"""

import html
import re
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, urlencode

from . import exercises, glossary

TASK = "**Your turn"
SOLVED = "notebooks/solutions/"
LINK = r"(?P<mark>!?)\[(?P<words>(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*)\]\((?P<address>[^)\s]+)\)"
# Blocks of code, links, and code in a line: what comes first holds what stands inside of it.
PARTS_OF_TEXT = re.compile(rf"^(?P<ticks>`{{3,}}|~{{3,}}).*?^(?P=ticks)[`~]*$|{LINK}|`[^`\n]+`", re.M | re.S)
# What a reader gets to see of the page that computes (`glasslab page`), by the name of its part.
PARTS = {"write": "A language model that writes", "look": "A language model at work: tokens, attention, what comes next",
         "cut": "A language model with a part cut out", "walk": "Every number of one step of a language model",
         "difference": "An MLP and a transformer beside each other", "film": "A training, filmed", "about": "About this model"}


def fence(code: str, language: str) -> str:
    """A block of code in Markdown, whatever stands in the code."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
    return f"{ticks}{language}\n{code}\n{ticks}"


def live(address: str, place: str, label: str = "") -> str:
    """A frame with a part of the live page: `write&temperature=0.5`. `place` is what leads from the page to the book's root."""
    part, _, parameters = address.partition("&")
    if part not in PARTS:
        raise ValueError(f"the live page has no part {part!r}; it has {', '.join(PARTS)}")
    query = "&" + urlencode(parse_qsl(parameters), safe="") if parameters else ""
    source = html.escape(f"{place}live.html#only={part}{query}")
    return f'<iframe class="live" data-part="{part}" src="{source}" title="{html.escape(label or PARTS[part])}"></iframe>'


def markdown(text: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def split_task(text: str) -> tuple[str, str]:
    """A cell above an exercise: what it tells, and the task, from `**Your turn:**` on, or all that follows the last heading."""
    parts = text.split("\n\n")
    tasks = [place for place, part in enumerate(parts) if TASK in part]
    heads = [place + 1 for place, part in enumerate(parts) if re.match(r"#+ ", part)]
    begin = tasks[-1] if tasks else (heads[-1] if heads else 0)
    return "\n\n".join(parts[:begin]), "\n\n".join(parts[begin:])


def one_title(text: str) -> str:
    """Text below the first cell's: a page has one title, so a second one is a heading of it."""
    parts = re.split(r"(^(?:`{3,}|~{3,}).*?^(?:`{3,}|~{3,})$)", text, flags=re.M | re.S)
    return "".join(re.sub(r"^# ", "## ", part, flags=re.M) if place % 2 == 0 else part for place, part in enumerate(parts))


def exercise(task: str, given: str, solved: str, name: str) -> str:
    """An exercise as a learner meets it, with the solution folded."""
    return "\n\n".join([
        f'<section class="exercise" aria-labelledby="exercise-{name}">',
        f'<p class="exercise-title" id="exercise-{name}">Exercise <code>{name}</code></p>',
        *([task] if task else []),
        fence(given, "rust"),
        '<details class="solution"><summary>A solution</summary>',
        fence(solved, "rust"),
        "</details>\n</section>"])


def notebook_page(solved: dict, given: dict, name: str) -> dict:
    """A solved notebook as a page; `given` is the one that learners get, cell by cell the same."""
    given_by_id = {cell["id"]: cell for cell in given["cells"]}
    cells, number = [], 0
    for cell in solved["cells"]:
        source = exercises.source(cell)
        is_exercise = exercises.exercise_name(cell)
        if is_exercise:
            task = ""
            if cells and cells[-1]["cell_type"] == "markdown":
                told, task = split_task(exercises.source(cells[-1]))
                cells[-1:] = [markdown(told)] if told else []
            as_given = exercises.source(given_by_id[cell["id"]])
            without = "\n".join(line for line in source.split("\n") if not re.match(rf"\s*// ({exercises.BEGIN}|{exercises.END})", line))
            cells.append(markdown(exercise(task, as_given, without, is_exercise)))
            if cell.get("outputs"):
                cells.append({**cell, "id": f"{cell['id']}-told", "source": [], "metadata": {"tags": ["remove-input"]}})
        elif (part := cell["metadata"].get("glasslab", {}).get("live")) is not None:
            cells.append({**cell, "outputs": []})
            cells.append(markdown(live(part, "../") + '\n\n<p class="live-told">Here the sliders belong to a model that runs in this page. '
                                  "In the lab they call your Rust.</p>"))
        else:
            cells.append(markdown(one_title(source)) if cell["cell_type"] == "markdown" and number else cell)
        number += 1
        if number == 1:
            cells.append(markdown(f'<p class="lab-told">A solved notebook. In the lab it is yours to solve: <code>scripts/lab</code>, then '
                                  f"<code>{html.escape(name)}</code>.</p>"))
    # What was made here has no name yet.
    return {**solved, "cells": [{"id": f"book-{number}", **cell} for number, cell in enumerate(cells)]}


class Links:
    """What the links of the project's files become in the book."""

    def __init__(self, root: Path, pages: set[str], crates: dict[str, str]):
        """`pages`: the book's files, from its root on; `crates`: from a crate's folder to its name in the documentation of the code."""
        self.root, self.pages, self.crates = root, pages, crates

    def mend(self, text: str, page: str) -> str:
        """The Markdown of a page, code left alone, with links that lead to other pages of the book, to the code's documentation, or,
        where the book has nothing of the kind, nowhere."""
        return PARTS_OF_TEXT.sub(lambda part: self._link(part, page) if part["address"] else part.group(0), text)

    def _link(self, link: re.Match, page: str) -> str:
        mark, words, address = link["mark"], link["words"], link["address"]
        if re.match(r"[a-z]+:|#", address):
            return link.group(0)
        path, _, anchor = address.partition("#")
        target = _normal(PurePosixPath(page).parent / path)
        # The book has the solved notebooks in the learners' place.
        up = "../" * (len(PurePosixPath(page.replace(SOLVED, "notebooks/")).parts) - 1)
        target = target.replace(SOLVED, "notebooks/")
        if target in self.pages:
            end = f"#{anchor}" if anchor else ""
            return f"{mark}[{words}]({up}{target}{end})"
        if target in ("README.md", "notebooks", "notebooks/solutions"):
            return f"[{words}]({up}index.md)"
        source = self._source(target)
        if source is None:
            return words
        return f'<a class="api" href="{up}{source}">{words}</a>'

    def _source(self, target: str) -> str | None:
        """Where a file of Rust stands in the documentation of the code."""
        for folder, crate in self.crates.items():
            if target.startswith(f"{folder}/src/") and target.endswith(".rs"):
                return f"api/src/{crate}/{target.removeprefix(f'{folder}/src/')}.html"
        return None


def _normal(path: PurePosixPath) -> str:
    parts = []
    for part in path.parts:
        if part == "..":
            parts[-1:] = []
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def mend_notebook(notebook: dict, links: Links, page: str) -> dict:
    """A notebook with the links of its text mended."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = links.mend(exercises.source(cell), page).splitlines(keepends=True)
    return notebook


def document(text: str, links: Links, page: str) -> str:
    """A document as a page of the book."""
    if page == "docs/glossary.md":
        text = glossary.with_anchors(text)
    # A diagram would need a program of its own; its source can be read.
    text = text.replace("```mermaid\n", "```text\n")
    text = re.sub(r"<!-- live: (\S+) -->", lambda found: live(found.group(1), "../" if "/" in page else ""), text)
    return links.mend(text, page)

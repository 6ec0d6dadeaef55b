"""A Sphinx extension: the words of the glossary explain themselves where they are used.

A link to the glossary leads to its word's entry and shows it when it is pointed at or reached by the keyboard; and so does the first
use of a word on a page that does not link it.
"""

from pathlib import PurePosixPath

from docutils import nodes
from labkit import glossary

GLOSSARY = "docs/glossary"
# Running text in these is left as it is.
LEFT_ALONE = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.raw, nodes.target, nodes.caption,
              nodes.doctest_block, nodes.image)


class word(nodes.Inline, nodes.TextElement):
    """A word with what the glossary says of it."""


def explain(app, doctree, docname) -> None:
    if docname == GLOSSARY or docname not in app.env.found_docs:
        return
    terms = _terms(app)
    count = [0]
    linked = set()
    page = app.builder.get_relative_uri(docname, GLOSSARY)

    def made(term, *children):
        count[0] += 1
        return word("", "", *children, told=term.told, head=term.head, uri=f"{page}#{term.anchor}", number=count[0])

    for reference in list(doctree.findall(nodes.reference)):
        if reference.get("refuri", "").split("#")[0] == page and (term := glossary.find(terms, reference.astext())):
            linked.add(term.head)
            reference.replace_self(made(term, *_inner(reference)))
    # The first page tells a story, and the tables of the documents are short of room.
    if not docname.startswith(("notebooks/", "docs/")):
        return
    pattern, names = glossary.pattern([term for term in terms if term.head not in linked])
    for text in list(doctree.findall(nodes.Text)):
        if any(isinstance(parent, (*LEFT_ALONE, word)) for parent in _parents(text)):
            continue
        if not any(isinstance(parent, (nodes.paragraph, nodes.list_item)) for parent in _parents(text)):
            continue
        parts, at = [], 0
        for found in pattern.finditer(text):
            term = glossary.entry_of(names, found.group(0))
            if term.head in linked:
                continue
            linked.add(term.head)
            parts += [nodes.Text(text[at:found.start()]), made(term, nodes.Text(found.group(0)))]
            at = found.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[at:])])


def _terms(app):
    source = PurePosixPath(app.srcdir) / f"{GLOSSARY}.md"
    with open(source, encoding="utf-8") as file:
        return glossary.read(file.read())


def _inner(reference):
    """What stands in a reference, without the `inline` that a resolved one is wrapped in."""
    inner = reference.children
    while len(inner) == 1 and isinstance(inner[0], nodes.inline):
        inner = inner[0].children
    return [child.deepcopy() for child in inner]


def _parents(node):
    while node.parent is not None:
        node = node.parent
        yield node


def enter(self, node) -> None:
    self.body.append(f'<span class="word"><a href="{self.attval(node["uri"])}" aria-describedby="word-{node["number"]}">')


def leave(self, node) -> None:
    self.body.append(f'</a><span class="word-told" role="tooltip" id="word-{node["number"]}"><b>{self.encode(node["head"])}</b> '
                     f'{self.encode(node["told"])}</span></span>')


def setup(app):
    app.add_node(word, html=(enter, leave))
    app.connect("doctree-resolved", explain)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""A Sphinx extension: the texts of all pages in one script, so that search shows where it found something also from `file://`, where a
page can't be fetched."""

import html
import json
import re
from pathlib import Path

from docutils import nodes

TEXTS = {}


def gather(app, doctree, docname) -> None:
    TEXTS[docname] = _text(doctree)


def _text(node) -> str:
    """A page's words by sections, as HTML: what Sphinx's search makes its excerpts of."""
    if isinstance(node, nodes.Text):
        return html.escape(node, quote=False)
    if isinstance(node, (nodes.raw, nodes.comment, nodes.system_message)):
        return ""
    inner = "".join(_text(child) for child in node.children)
    if isinstance(node, nodes.section):
        return f"<section id={node['ids'][0]}>{inner}</section>"
    return inner + ("\n" if isinstance(node, (nodes.Body, nodes.title, nodes.paragraph)) else "")


def write(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        texts = {name: re.sub(r"\s+", " ", text) for name, text in sorted(TEXTS.items())}
        script = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        Path(app.outdir, "_static", "texts.js").write_text(f"const pageTexts = {script};\n", encoding="utf-8")


def setup(app):
    app.connect("doctree-resolved", gather)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}

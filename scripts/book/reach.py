"""A Sphinx extension: what the theme, and results that were kept by older versions of the lab, leave to say to those who don't see the page."""

import re

COLOURS = re.compile(r"background:#([0-9a-f]{6});color:#[0-9a-f]{3,6}")
NAMES = {'<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
         '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer'}


def mend(app, pagename, templatename, context, doctree) -> None:
    if tree := context.get("furo_navigation_tree"):
        # The page that one is on, and the headings' level.
        tree = re.sub(r'(<li class="[^"]*current-page[^"]*"><a )', r'\1aria-current="page" ', tree)
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    if body := context.get("body"):
        context["body"] = COLOURS.sub(_readable, without_empty_heads(body))
    context["name_landmarks"] = name_landmarks


def without_empty_heads(body: str) -> str:
    """The corner of a table is a cell, no head of anything."""
    def cell(head: re.Match) -> str:
        return head[0].replace("<th", "<td", 1).replace(' scope="col"', "").removesuffix("th>") + "td>"

    return re.sub(r"<th(?: [^>]*)?>(?:<p></p>)?</th>", cell, body)


def _readable(colours: re.Match) -> str:
    return f"background:#{colours[1]};color:{ink_on(colours[1])}"


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on a colour (as the library's `ink_on`)."""
    parts = [int(colour[place:place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#fff"


def name_landmarks(page: str) -> str:
    """A page of the theme, whose two bars at the sides have no name."""
    for bare, named in NAMES.items():
        page = page.replace(bare, named)
    return page


def setup(app):
    app.connect("html-page-context", mend, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

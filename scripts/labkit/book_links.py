"""Whether all that the pages of a folder refer to is there: no link leads nowhere, and nothing comes from the network to be read."""

import html.parser
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What is loaded by itself when a page is opened, by tag and attribute; a link is only followed when somebody follows it.
LOADED = {("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("audio", "src"), ("embed", "src"),
          ("object", "data"), ("link", "href"), ("image", "href"), ("use", "href"), ("img", "srcset")}
# `<link rel=…>` of these kinds loads nothing.
NAMED = {"author", "copyright", "index", "search", "next", "prev", "canonical", "license"}


@dataclass
class Page(html.parser.HTMLParser):
    """What one page refers to, and the places in it that others may refer to."""

    references: list = field(default_factory=list)  # (address, whether it is loaded)
    places: set = field(default_factory=set)
    leads_to: str | None = None  # a page that only leads on to another

    def __post_init__(self):
        super().__init__()
        self._style = False

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.places |= {value for name in ("id", "name") if (value := values.get(name))}
        self._style = tag == "style"
        if tag == "meta" and (values.get("http-equiv") or "").lower() == "refresh":
            self.leads_to = re.sub(r"^.*?url=", "", values.get("content") or "", flags=re.I)
        for name in ("href", "src", "data", "srcset"):
            value = values.get(name)
            if value is None or (tag == "link" and set((values.get("rel") or "").split()) & NAMED):
                continue
            if (tag, name) in LOADED:
                self.references.append((value, True))
            elif (tag, name) == ("a", "href"):
                self.references.append((value, False))
        if style := values.get("style"):
            self.references += [(address, True) for address in in_style(style)]

    def handle_data(self, data):
        if self._style:
            self.references += [(address, True) for address in in_style(data)]
            self._style = False


def in_style(text: str) -> list[str]:
    """The addresses that a style loads."""
    return re.findall(r"url\(\s*[\"']?([^\"')]+)", text) + re.findall(r"@import\s+[\"']([^\"']+)", text)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8", errors="replace"))
    page.close()
    return page


def problems(folder: Path, programs: tuple = ()) -> list[str]:
    """A sentence for each reference that leads nowhere, or that would be loaded from elsewhere. Of `programs`, pages that make their
    own places with a script (folders, or pages), only the file must be there."""
    folder = folder.resolve()
    pages = {path: read(path) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        found += [f"{path.relative_to(folder)}: {told}" for address, loaded in page.references
                  if (told := _problem(address, loaded, path, folder, pages, programs))]
    for path in sorted(folder.rglob("*.css")):
        for address in in_style(path.read_text(encoding="utf-8", errors="replace")):
            if told := _problem(address, True, path, folder, pages, programs):
                found.append(f"{path.relative_to(folder)}: {told}")
    return found


def _problem(address: str, loaded: bool, page: Path, folder: Path, pages: dict, programs: tuple) -> str | None:
    parts = urlsplit(address.strip())
    if parts.scheme in ("data", "javascript", "mailto"):
        return f"it has a link to a script, {address}" if parts.scheme == "javascript" and parts.path != "void(0)" else None
    if parts.scheme or parts.netloc:
        return f"it loads {address} from the network" if loaded else None
    if parts.path.startswith("/"):
        return f"{address} is right only at the root of a site"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        return f"{address} is a folder, which shows a page only on some hosts"
    if not target.exists():
        return f"it refers to {address}, which is not there"
    if folder not in target.resolve().parents:
        return f"it refers to {address}, outside of the book"
    place = parts.fragment
    where = target.relative_to(folder).as_posix() if target != page else page.relative_to(folder).as_posix()
    if place and target.suffix == ".html" and not any(where == one or where.startswith(f"{one}/") for one in programs):
        known = pages.get(folder / where)
        if known is not None and known.leads_to:
            known = pages.get((target.parent / known.leads_to).resolve())
        if known is not None and not {place, unquote(place)} & known.places:
            return f"it refers to {address}, a place that the page does not have"
    return None

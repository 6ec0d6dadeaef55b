"""scripts/lab book: the lab as a site in out/book/, to be read without a lab: the solved notebooks, the documents, the documentation of
the code, and a model that writes in the page."""

import re
import shutil
import subprocess
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from . import book_links, exercises, kernel, python_env, tools
from .book_pages import Links, document, mend_notebook, notebook_page
from .layout import LAB, NOTEBOOKS, OUT, ROOT, SOLUTIONS, STAMPS, target_folder
from .say import Problem, line

VENV = LAB / "book"
REQUIREMENTS = ROOT / "scripts" / "requirements-book.txt"
BOOK = ROOT / "scripts" / "book"
# Where it is put together.
WORK = OUT / "book-work"
# The book's pages that are files of the project as they are.
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")
# How long the models of the first page learn. An MLP has learnt in seconds all that it ever will.
SECONDS, MLP_SECONDS = 60, 5
# Bytes: what a host of files takes without asking, and a phone in a train.
LARGEST = 60_000_000
# In the book: the names of all its files.
WRITTEN = ".written"


@dataclass
class Wish:
    """What the live page is made of: a page that is there, or a model, or seconds for a new one."""

    page: str | None = None
    model: str | None = None
    seconds: int = SECONDS


def is_there() -> bool:
    """Whether the book's environment is made."""
    return python_env.is_made(VENV, REQUIREMENTS, STAMPS / "book")


def ensure() -> None:
    """Sphinx and its theme in an environment of their own: nothing that a learner needs."""
    python_env.ensure_own(VENV, REQUIREMENTS, STAMPS / "book", "Sphinx", "About half a minute, 60 MB to download")


def make(wish: Wish, out: str | None, show: bool) -> int:
    """Makes the whole book anew, and says what it found. An older one stays until the new one is whole."""
    started = time.monotonic()
    ensure()
    target = Path(out).resolve() if out else OUT / "book"
    require_own(target)
    page = live_page(wish)
    api = code_documentation()
    line("Putting the pages together.")
    write_sources(WORK / "sources")
    site = build(WORK / "sources", WORK / "site")
    shutil.copy(page, site / "live.html")
    shutil.copytree(api, site / "api")
    mend_code_documentation(site / "api")
    check(site)
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    if size > LARGEST:
        raise Problem(f"The book has {size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}: give it a smaller model, or draw less in the notebooks.")
    pages = sum(1 for path in site.rglob("*.html") if "api" not in path.parts)
    (site / WRITTEN).write_text("\n".join(files(site)), encoding="utf-8")
    replace(target, site)
    line(f"{pages} pages and the documentation of the code, {size / 1e6:.1f} MB, every link checked, {time.monotonic() - started:.0f} s.")
    line(f"{target / 'index.html'}: open it in a browser, or put the folder on any host of files")
    if show:
        webbrowser.open((target / "index.html").as_uri())
    return 0


def files(folder: Path) -> list[str]:
    """All that a folder holds but folders, by its path in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def require_own(target: Path) -> None:
    """Stops before anything is made if there is something in the book's place that no book before it has written."""
    if not target.exists():
        return
    written = (target / WRITTEN).read_text(encoding="utf-8").split("\n") if (target / WRITTEN).exists() else []
    if not target.is_dir() or (others := sorted({*files(target)} - {*written, WRITTEN})):
        what = f", {others[0]}" if target.is_dir() else ""
        raise Problem(f"{target} holds something else than a book{what}: name a new folder, or move what is yours out of this one. "
                      "(If it is a book of an earlier version, remove it.)")


def replace(target: Path, site: Path) -> None:
    """Puts the new book in the place of the old one, which is removed only then."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(old)
    shutil.move(site, target)
    shutil.rmtree(old, ignore_errors=True)


def live_page(wish: Wish) -> Path:
    """The page that computes: `glasslab page` of a transformer, with an MLP beside it. Models that it trains are kept and used again."""
    if wish.page:
        if not Path(wish.page).is_file():
            raise Problem(f"There is no page {wish.page}: make one with `glasslab page MODEL --out {wish.page}`, or leave `--page` away.")
        return Path(wish.page)
    program, environment = str(kernel.program("glasslab")), python_env.environment()
    OUT.mkdir(exist_ok=True)
    page = OUT / "book-live.html"
    model, mlp, more = wish.model, str(OUT / "book-mlp.safetensors"), []
    if model is None:
        model, film = str(OUT / "book.safetensors"), str(OUT / "book.film")
        _train(program, environment, model, "a small transformer", wish.seconds, "--preset", "small", "--film", film)
        more = ["--film", film] if Path(film).exists() else []
    _train(program, environment, mlp, "an MLP, to stand beside it", MLP_SECONDS, "--model", "mlp")
    command = [program, "page", model, "--beside", mlp, "--title", "A model of the lab", "--out", str(page), *more]
    if subprocess.run(command, env=environment).returncode != 0:
        raise Problem("The live page could not be made (the message stands above).")
    return page


def _train(program: str, environment: dict, model: str, what: str, seconds: int, *options: str) -> None:
    if Path(model).exists():
        line(f"The model of the last time, {model}, writes in the book; remove it to train another.")
        return
    line(f"Training {what} for {seconds} s, to write in the book.")
    if subprocess.run([program, "train", *options, "--seconds", str(seconds), "--out", model], env=environment).returncode != 0:
        raise Problem("The model could not be trained (the message stands above).")


def crates() -> dict[str, str]:
    """The project's crates that have documentation: from the folder of each to its name there. The command's crate has none, because
    its program has the library's name; docs/command.md is about it."""
    names = {}
    for path in sorted(ROOT.glob("crates/*/Cargo.toml")):
        # Python 3.10 reads no TOML: a manifest's first name is the package's, the others are its programs'.
        name, *programs = re.findall(r'^name = "(.+)"$', path.read_text(encoding="utf-8"), re.M)
        if (path.parent / "src" / "lib.rs").exists() or name in programs:
            names[path.parent.relative_to(ROOT).as_posix()] = name.replace("-", "_")
    return names


def code_documentation() -> Path:
    """What `cargo doc` makes of the project's crates, and of no other."""
    line("Documenting the code (cargo doc; a few minutes the first time).")
    folder = target_folder() / "doc"
    # What somebody has documented there before would come along.
    shutil.rmtree(folder, ignore_errors=True)
    command = ["cargo", "doc", "--locked", "--no-deps", "--workspace", "--quiet"]
    try:
        status = subprocess.run(command, cwd=ROOT, env=tools.cargo_environment()).returncode
    except FileNotFoundError:
        raise Problem(f"cargo was not found. {tools.ADVICE['cargo']}") from None
    if status != 0:
        raise Problem("cargo could not document the code (its message stands above). Without the network, a first `scripts/lab setup` "
                      "must have fetched the crates.")
    return folder


def write_sources(folder: Path) -> Path:
    """The book's pages as Sphinx reads them, in a folder of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    solved = sorted(SOLUTIONS.glob("*.ipynb"))
    documents = [*DOCUMENTS, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    pictures = sorted(path.relative_to(ROOT).as_posix() for kind in ("png", "svg") for path in (ROOT / "docs").rglob(f"*.{kind}"))
    pages = {*documents, *(f"notebooks/{path.name}" for path in solved), *pictures}
    links = Links(ROOT, pages, crates())
    titles = []
    for path in solved:
        page = f"notebooks/{path.name}"
        notebook = notebook_page(exercises.read(path), exercises.read(NOTEBOOKS / path.name), path.name)
        # Its links are those of a file in notebooks/solutions.
        _write(folder / page, exercises.text(mend_notebook(notebook, links, f"notebooks/solutions/{path.name}")))
        titles.append((path.stem, _title(notebook)))
    for page in documents:
        text = (ROOT / page).read_text(encoding="utf-8")
        _write(folder / page, document(text.replace("<!-- live page -->", WHOLE), links, page))
    for picture in pictures:
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / picture, folder / picture)
    first = (BOOK / "index.md").read_text(encoding="utf-8")
    first = first.replace("<!-- notebooks -->", "\n".join(_rows(titles)))
    first = first.replace("<!-- toctree: notebooks -->", "\n".join(f"notebooks/{stem}" for stem, _ in titles))
    _write(folder / "index.md", document(first, links, "index.md"))
    _write(folder / "code.md", (BOOK / "code.md").read_text(encoding="utf-8").replace("<!-- crates -->", "\n".join(_crates())))
    return folder


# The live page as a whole, on a page of the book.
WHOLE = ('<iframe class="whole" src="../live.html" title="The live page: a language model in one file"></iframe>\n\n'
         '<p class="small-told"><a href="../live.html">By itself</a>: one file, which you can keep.</p>')


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _title(notebook: dict) -> str:
    return next(found.group(1) for cell in notebook["cells"] if (found := re.match(r"# (.+)", exercises.source(cell))))


def _rows(titles: list[tuple[str, str]]) -> list[str]:
    """The README's table of the notebooks, with links that lead to their pages."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| \[[^\]]*\]\(notebooks/(\w+)\.ipynb\) \| (.+) \|$", readme, re.M))
    return [f"| [{title}](notebooks/{stem}.ipynb) | {told.get(stem, '')} |" for stem, title in titles]


def _crates() -> list[str]:
    told = []
    for folder, name in crates().items():
        manifest = (ROOT / folder / "Cargo.toml").read_text(encoding="utf-8")
        package, about = (re.search(rf'^{key} = "(.+)"$', manifest, re.M)[1] for key in ("name", "description"))
        told.append(f'- <a class="api" href="api/{name}/index.html">{package}</a>: {about}')
    return told


def build(sources: Path, site: Path) -> Path:
    """Runs Sphinx; a warning is an error."""
    shutil.rmtree(site, ignore_errors=True)
    command = [VENV / "bin" / "python", "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-E", "-c", BOOK, "-d", WORK / "state",
               sources, site]
    tools.run(command, "Sphinx could not make the book.", env={**python_env.own(), "PYTHONDONTWRITEBYTECODE": "1"})
    # What it leaves for itself.
    (site / ".buildinfo").unlink(missing_ok=True)
    (site / "objects.inv").unlink(missing_ok=True)
    (site / ".nojekyll").touch()
    return site


# What other crates' documentation has in pages of ours: links that only their own pages can follow.
FOREIGN_LINK = re.compile(r'<a href="[a-z_]+(?:#[^"]*)?">(.*?)</a>', re.S)
FRONT = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The code</title>' \
        '<meta http-equiv="refresh" content="0; url=../code.html"></head><body><a href="../code.html">The code, documented</a></body></html>\n'


def mend_code_documentation(folder: Path) -> None:
    """Takes away the links of rustdoc that lead nowhere, and gives the folder a first page."""
    for path in folder.rglob("*.html"):
        if folder / "src" in path.parents:
            continue
        text = path.read_text(encoding="utf-8")
        mended = FOREIGN_LINK.sub(r"\1", text)
        # A list of what implements a trait, which is not written where nothing else does.
        mended = re.sub(r'<script src="([^"]+)"[^>]*></script>',
                        lambda script, here=path.parent: script[0] if (here / script[1]).exists() else "", mended)
        if mended != text:
            path.write_text(mended, encoding="utf-8")
    (folder / "index.html").write_text(FRONT, encoding="utf-8")


def check(target: Path) -> None:
    """Every reference of every page leads somewhere, and nothing is loaded from elsewhere."""
    # rustdoc's pages of source make their line numbers' places by a script, and the live page its parts.
    found = book_links.problems(target, programs=("api/src", "live.html"))
    if found:
        more = f"\n… and {len(found) - 20} more" if len(found) > 20 else ""
        raise Problem("The book has references that lead nowhere:\n" + "\n".join(found[:20]) + more)

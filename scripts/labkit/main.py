"""The commands of scripts/lab."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import book, dask, doctor, gallery, hub, install, kernel, leaderboard, libtorch, own, pack, python_env, release, tools
from .grading import command as grading
from .layout import CARGO_CONFIG, IS_SHARED, KERNEL_NAME, LAB, LEARNERS, OUT, ROOT, SOLUTIONS, STOCK_KERNEL_NAME, work_folder
from .outputs import executed
from .say import Problem, explain, line, step


def setup(torch_from: str | None = None, archive: str | None = None) -> None:
    """Everything the lab needs, from nothing, or with the programs of an archive; what is there already is kept."""
    started = time.monotonic()
    doctor.require_before(builds=archive is None, own_torch=torch_from is not None)
    if archive:
        _setup_from(archive)
    else:
        _setup_from_source(torch_from)
    line(f"\nThe doctor's report, after {time.monotonic() - started:.0f} s:")
    if not doctor.report(tools.check(builds=archive is None) + doctor.after()):
        raise Problem("Something is still missing; the lines with an arrow say what to do.")


def _setup_from(archive: str) -> None:
    total = 5
    step(1, total, f"the archive {archive}", "What set-up would compile, compiled on a machine of the same kind.")
    path = pack.fetch(archive)
    manifest = pack.check(path)
    _python_and_sources(2, total)
    step(4, total, "libtorch, the tensor library", LIBTORCH)
    torch = libtorch.ensure()
    step(5, total, "the kernel, the command and the library, out of the archive", "Less than a minute.")
    pack.unpack(path, manifest, torch)
    kernel.install_kernelspec()


LIBTORCH = "All arithmetic of the models runs in it. About 1 minute, 130 MB to download."


def _python_and_sources(number: int, total: int) -> None:
    step(number, total, "JupyterLab in the project's own Python environment",
         "It is where you read and run the notebooks. About 1 minute, 100 MB to download.")
    python_env.ensure()
    step(number + 1, total, "the sources of Rust's standard library (the component rust-src of your Rust)",
         "The kernel reads them to know the types of your variables. Seconds, 3 MB to download.")
    tools.ensure_rust_sources()


def _setup_from_source(torch_from: str | None) -> None:
    total = 6
    # What only waits for the network, or for one processor, is done beside what stands on the screen.
    with ThreadPoolExecutor() as beside:
        crates = beside.submit(tools.fetch_crates)
        _python_and_sources(1, total)
        step(3, total, "libtorch, the tensor library", LIBTORCH)
        torch = libtorch.ensure(torch_from)
        step(4, total, "the notebook kernel, the command `glasslab`, and the C++ binding between Rust and libtorch",
             "The kernel compiles and runs your cells; it carries a whole rust-analyzer. About 5 minutes.")
        crates.result()
        kernel.configure(kernel.binding_folder(torch))
        kernel.build_programs(beside.submit(kernel.build_binding, torch))
    pack.STAMP.unlink(missing_ok=True)
    step(5, total, "the library, built the way a cell uses it",
         "So that your first cell takes seconds instead of minutes. About 1 minute.")
    kernel.prepare()
    step(6, total, "the kernel's entry in JupyterLab", "Only in the project's own JupyterLab. At once.")
    kernel.install_kernelspec()


def is_set_up() -> bool:
    return IS_SHARED or all(finding.advice is None for finding in doctor.after())


def open_lab(rest: list[str], archive: str | None = None) -> int:
    if not is_set_up():
        minutes = "a minute" if archive else "about 7 minutes on two cores"
        line(f"First use: setting the lab up. This needs the network once and takes {minutes}.")
        setup(archive=archive)
    else:
        if archive:
            line(f"Everything is set up: {archive} is not needed (`scripts/lab setup --from` takes it all the same).")
        refresh()
    own.ready()
    first = sorted(LEARNERS.glob("*.ipynb"))[0]
    line(f"\nOpening JupyterLab with {first.name}. Ctrl-C here ends it.")
    command = [str(python_env.VENV / "bin" / "jupyter"), "lab", f"--ServerApp.root_dir={LEARNERS}",
               f"--MultiKernelManager.default_kernel_name={KERNEL_NAME}", str(first), *rest]
    if os.getuid() == 0:
        command.insert(2, "--allow-root")
    os.execve(command[0], command, python_env.environment())


# With `run --brief`, no training takes longer.
BRIEF_SECONDS = "0.5"


def run(paths: list[str], html: bool, stock: bool, solutions: bool = False, brief: bool = False) -> int:
    own.ready()
    notebooks = _ready_for(paths, SOLUTIONS if solutions else LEARNERS)
    if stock:
        kernel.ensure_stock(libtorch.ensure())
    if brief:
        os.environ["GLASSLAB_TRAINING_SECONDS"] = BRIEF_SECONDS
    return _execute(notebooks, *(["--html"] if html else []), kernel_name=STOCK_KERNEL_NAME if stock else KERNEL_NAME)


# Of a cell with sliders, so many of their states are kept in a solved notebook, for those who read it without a kernel.
STATES = "40"


def solve(paths: list[str]) -> int:
    """Executes the solved notebooks, and keeps the results in them."""
    os.environ.setdefault("GLASSLAB_STATES", STATES)
    notebooks = _ready_for(paths, SOLUTIONS)
    for path in notebooks:
        if path.parent != SOLUTIONS:
            raise Problem(f"{path} is not in {SOLUTIONS}: only solved notebooks keep their results.")
    return _execute(notebooks, "--keep")


def _ready_for(paths: list[str], folder: Path) -> list[Path]:
    """Sets up what is missing; the notebooks named, or all of a folder."""
    make_ready()
    notebooks = [Path(path).absolute() for path in paths] or sorted(folder.glob("*.ipynb"))
    for path in notebooks:
        if not path.is_file():
            raise Problem(f"There is no notebook {path}. The lab's notebooks are in {LEARNERS}.")
    _require_places(notebooks)
    return notebooks


def _require_places(notebooks: list[Path]) -> None:
    """Stops before one notebook's results are written over another's, or over the notebook itself."""
    places = {}
    for path in notebooks:
        place = executed(path, OUT)
        if place.resolve() == path.resolve():
            raise Problem(f"{path} is where results are written: move it to another folder, then run it there.")
        if place in places:
            raise Problem(f"The results of {places[place]} and {path} would both go to {place}: rename one of them, or run one and move its "
                          "results before you run the other.")
        places[place] = path


def _execute(notebooks: list[Path], *options: str, kernel_name: str = KERNEL_NAME) -> int:
    return subprocess.run(execution(notebooks, *options, kernel_name=kernel_name), env=python_env.environment()).returncode


def execution(notebooks: list[Path], *options: str, kernel_name: str = KERNEL_NAME) -> list[str]:
    """The command that executes notebooks in the lab's Python."""
    return [str(python_env.python()), str(Path(__file__).parent / "notebooks.py"), "--out", str(OUT), "--kernel", kernel_name,
            "--library", str(kernel.LIBRARY), *options, *map(str, notebooks)]


def make_ready() -> None:
    """Sets up what is missing, or builds what changed since."""
    if not is_set_up():
        setup()
    else:
        refresh()


def refresh() -> None:
    """Builds what changed since set-up, quietly if nothing did."""
    if IS_SHARED or pack.is_current():
        return
    if pack.STAMP.exists():
        line("The sources are no longer those of the archive that was unpacked: building from source.")
        setup()
        return
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "glasslab-kernel", "-p", "glasslab-cli"]
    if subprocess.run(command, cwd=ROOT, env=tools.cargo_environment()).returncode != 0:
        raise Problem("The kernel does not build (cargo's message stands above).")
    if not kernel.is_prepared():
        line("The library changed: preparing it again, about a minute.")
        kernel.prepare()


def clean() -> int:
    """Removes everything that set-up made; not a person's results, nor a target folder elsewhere, which other projects may share."""
    target = kernel.target_folder()
    for folder in (LAB, work_folder(), target):
        if folder == target and ROOT not in target.parents:
            line(f"keeping {target} (CARGO_TARGET_DIR)")
        elif folder.exists():
            line(f"removing {folder}")
            shutil.rmtree(folder)
    if OUT.exists():
        line(f"keeping {OUT}: your results")
    CARGO_CONFIG.unlink(missing_ok=True)
    if CARGO_CONFIG.parent.exists() and not any(CARGO_CONFIG.parent.iterdir()):
        CARGO_CONFIG.parent.rmdir()
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/lab", description="Sets the lab up on first use, then opens it in JupyterLab.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("open", help="open the lab (what `scripts/lab` alone does); `--from ARCHIVE` sets it up "
                        "out of an archive; further options go to jupyter lab")
    setup_ = commands.add_parser("setup", help="set everything up; run it again after an interruption")
    setup_.add_argument("--from", dest="archive", metavar="ARCHIVE",
                        help="take what would be compiled out of an archive of `scripts/lab pack`, a file or an address")
    setup_.add_argument("--hub", action="store_true", help="also what a JupyterHub needs (see deploy/hub)")
    setup_.add_argument("--for-all", action="store_true", help=argparse.SUPPRESS)  # what `install` does in the place that it makes
    setup_.add_argument("--torch-from", metavar="PYTHON", help="use the torch of this Python instead of fetching libtorch")
    run_ = commands.add_parser("run", help="execute notebooks headless, results in out/")
    run_.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="all by default")
    run_.add_argument("--solutions", action="store_true", help="the solved ones (in notebooks/solutions)")
    run_.add_argument("--html", action="store_true", help="also write readable pages")
    run_.add_argument("--brief", action="store_true", help="no training takes longer than a few seconds")
    run_.add_argument("--stock", action="store_true", help="through plain evcxr_jupyter, for comparison (minutes)")
    gallery_ = commands.add_parser("gallery", help="draw every picture there is of a trained model: out/gallery.html")
    gallery_.add_argument("--model", metavar="FILE", help="a transformer of `glasslab train`; by default one is trained")
    gallery_.add_argument("--seconds", type=int, default=gallery.SECONDS, help="how long to train it (%(default)s)")
    gallery_.add_argument("--out", metavar="PAGE", help="another place for the page")
    gallery_.add_argument("--show", action="store_true", help="also open it in a browser")
    book_ = commands.add_parser("book", help="make the lab as a site, with a model that writes on its first page: out/book/")
    book_.add_argument("--model", metavar="FILE", help="the model that writes; by default one is trained")
    book_.add_argument("--seconds", type=int, default=book.SECONDS, help="how long to train it (%(default)s)")
    book_.add_argument("--page", metavar="FILE", help="a page of `glasslab page` that is there already, in place of a model")
    book_.add_argument("--out", metavar="FOLDER", help="another place for the site")
    book_.add_argument("--show", action="store_true", help="also open it in a browser")
    solve_ = commands.add_parser("solve", help="for teachers: execute solved notebooks and keep the results in them")
    solve_.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="all by default")
    release_ = commands.add_parser("release", help="for teachers: make the learners' notebooks from the solved ones")
    release_.add_argument("--check", action="store_true", help="only say what is out of date")
    commands.add_parser("nbgrader", help="for teachers: nbgrader with the lab's kernel; all that follows is for nbgrader")
    grade_ = commands.add_parser("grade", help="for teachers: run what learners have handed in, each in a sandbox, and give the points")
    grade_.add_argument("folder", metavar="FOLDER", help="a course of nbgrader")
    grade_.add_argument("--assignment", metavar="NAME", help="which one, if there are several")
    grade_.add_argument("--learner", action="append", default=[], metavar="NAME", help="only theirs; may be given more than once")
    grade_.add_argument("--jobs", type=int, metavar="N", help="how many at a time (half of the processors)")
    grade_.add_argument("--again", action="store_true", help="also what is graded already")
    grade_.add_argument("--seconds", type=float, default=600, help="the longest that one notebook may take (%(default)g)")
    grade_.add_argument("--memory", type=float, default=4, metavar="GIB", help="the most memory that it may take (%(default)g)")
    grade_.add_argument("--no-sandbox", dest="sandboxed", action="store_false", help="run the learners' code as you, unconfined")
    board_ = commands.add_parser("leaderboard", help="for teachers: measure the models of a folder on one text: out/leaderboard.html")
    board_.add_argument("folder", metavar="FOLDER", help="models that `glasslab train` or a notebook has kept, or a folder of them for each learner")
    board_.add_argument("--text", metavar="FILE", help="text that the learners don't have; by default the lab's held-out stories, which they have")
    board_.add_argument("--budget", type=float, default=60, metavar="SECONDS", help="the longest training that has a place (%(default)g)")
    board_.add_argument("--out", metavar="PAGE", help="another place for the page")
    commands.add_parser("dask", help="sweeps on more than one machine: scheduler, worker, sweep; the rest is for these")
    commands.add_parser("doctor", help="what is found, what is missing, what to do")
    pack_ = commands.add_parser("pack", help="make one archive of all that was compiled, for others: scripts/lab --from ARCHIVE")
    pack_.add_argument("--out", metavar="ARCHIVE", help="another place for the archive (by default in out/)")
    install_ = commands.add_parser("install", help="the lab in one read-only place for all users of this machine")
    install_.add_argument("prefix", metavar="PREFIX", help="where versions of it stand side by side, for example /opt")
    install_.add_argument("--hub", action="store_true", help="also what a JupyterHub needs (see deploy/hub)")
    commands.add_parser("hub", help="start a JupyterHub with the configuration of deploy/hub; all that follows is for JupyterHub")
    commands.add_parser("clean", help="remove everything that set-up made, but no results (out/)")
    # `singleuser` is what the hub starts.
    if arguments[:1] and arguments[0] in ("nbgrader", "dask", "hub", "singleuser"):
        return argparse.Namespace(command=arguments[0], rest=arguments[1:])
    if not arguments or arguments[0] == "open" or (arguments[0].startswith("--") and arguments[0] not in ("--help",)):
        rest = arguments[1:] if arguments[:1] == ["open"] else arguments
        opened = argparse.ArgumentParser(prog="scripts/lab", add_help=False, allow_abbrev=False)
        opened.add_argument("--from", dest="archive")
        known, rest = opened.parse_known_args(rest)
        return argparse.Namespace(command="open", archive=known.archive, rest=rest)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        # `install` comes back to the place that it has made, for what a hub needs.
        is_installing = options.command == "setup" and options.for_all
        if not is_installing:
            own.require_allowed(options.command)
        match options.command:
            case "open":
                return open_lab(options.rest, options.archive)
            case "setup":
                if not IS_SHARED:
                    setup(options.torch_from, options.archive)
                if options.for_all:
                    install.finish(options.hub, lambda first: run(first, html=False, stock=False, brief=True))
                elif options.hub:
                    hub.ensure()
                line("\nReady. `scripts/lab` opens the lab.")
                return 0
            case "run":
                return run(options.notebooks, options.html, options.stock, options.solutions, options.brief)
            case "pack":
                make_ready()
                return pack.pack(options.out)
            case "solve":
                return solve(options.notebooks)
            case "release":
                return release.release(options.check)
            case "book":
                # With a page that is there, nothing of the lab is run.
                if not options.page:
                    make_ready()
                return book.make(book.Wish(options.page, options.model, options.seconds), options.out, options.show)
            case "gallery":
                make_ready()
                return gallery.make(options.model, options.seconds, options.out, options.show)
            case "install":
                make_ready()
                return install.install(options.prefix, options.hub)
            case "hub":
                return hub.start(options.rest)
            case "singleuser":
                return hub.singleuser(options.rest)
            case "nbgrader":
                return release.nbgrader(options.rest)
            case "dask":
                return dask.dask(options.rest)
            case "grade":
                make_ready()
                return grading.grade(grading.wish(options))
            case "leaderboard":
                make_ready()
                return leaderboard.make(options.folder, options.text, options.budget, options.out)
            case "doctor" if IS_SHARED:
                return 0 if doctor.report(doctor.shared()) else 1
            case "doctor":
                return 0 if doctor.report(doctor.before(not pack.STAMP.exists()) + doctor.after()) else 1
            case _:
                return clean()
    except Problem as problem:
        print(f"\nscripts/lab: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"\nscripts/lab: {explain(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nscripts/lab: interrupted. Run the same command again: it goes on where it stopped.", file=sys.stderr)
        return 130
    return 1

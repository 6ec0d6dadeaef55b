"""What a person has of a lab that is shared: copies of the notebooks in a folder of their own, and some of the commands."""

import os
import shutil
from pathlib import Path

from .layout import IS_SHARED, LEARNERS, NOTEBOOKS, ROOT
from .say import Problem, line

# What a shared lab does for its users; all else changes a project, or is a teacher's.
COMMANDS = ("open", "run", "gallery", "doctor", "hub", "singleuser")


def require_allowed(command: str) -> None:
    """Refuses what would write into a place that is shared."""
    if IS_SHARED and command not in COMMANDS:
        raise Problem(f"{ROOT} is shared by all users of this machine, and `scripts/lab {command}` would write there. For that, clone the "
                      f"project into a folder of your own. Here there are: {', '.join(COMMANDS[:4])}.")


def ready() -> None:
    """Gives the person copies of the notebooks that they don't have yet; one that is there is theirs, whatever stands in it."""
    if LEARNERS == NOTEBOOKS:
        return
    added = copy_new(NOTEBOOKS, LEARNERS)
    if added:
        line(f"Your own copies of the notebooks are in {LEARNERS}; new there: {', '.join(added)}.")


def copy_new(source: Path, target: Path) -> list[str]:
    """Copies the notebooks that the target folder does not have; their names."""
    added = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.glob("*.ipynb")):
            # A link to nothing is theirs, too.
            if not os.path.lexists(target / path.name) and _copy(path, target / path.name):
                added.append(path.name)
        # Results of sweeps that a notebook reads.
        for folder in (plan.parent for plan in sorted(source.glob("*/plan.json"))):
            if not os.path.lexists(target / folder.name):
                _copy_folder(folder, target / folder.name)
    except OSError as error:
        raise Problem(f"Your copies of the notebooks could not be made in {target} ({error.strerror}). Make room in your home, or set "
                      "GLASSLAB_HOME to a folder that you may write to.") from None
    return added


def _copy(path: Path, copy: Path) -> bool:
    """Makes a whole copy at once; false if a file of that name has come meanwhile, which stays."""
    part = copy.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(path, part)
        # Unlike renaming, this never replaces anything.
        os.link(part, copy)
        return True
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)


def _copy_folder(folder: Path, copy: Path) -> None:
    """Makes a whole copy at once, that can be written; a folder of that name that has come meanwhile stays."""
    part = copy.with_name(f".{copy.name}.{os.getpid()}.part")
    try:
        shutil.copytree(folder, part, copy_function=shutil.copyfile)
        for path in (part, *(below for below in part.rglob("*") if below.is_dir())):
            path.chmod(0o755)
        if not os.path.lexists(copy):
            part.rename(copy)
    finally:
        shutil.rmtree(part, ignore_errors=True)

"""scripts/lab leaderboard: the models of a folder by their loss on text that they have not seen, measured by us.

A model's file says how long it has learnt. That is what its owner claims: a file can be written by anybody. What can be
looked at is whether the claim is there, is within the budget, and goes together with the rest of the file.
"""

import html
import json
import math
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from . import kernel, libtorch
from .grading import sandbox
from .grading.table import plain
from .layout import OUT, ROOT
from .say import Problem, line

# The text that comes with the lab: learners have it.
OPEN_TEXT = ROOT / "data" / "stories-valid.txt"
# A training ends a step after its time.
SLACK = 1.05
LARGEST = 2_000_000_000  # bytes
# What a character costs that a model's vocabulary has not: as one guessed among all that Unicode has room for. A model that leaves out
# what is hard would be ahead otherwise.
GUESSED = math.log(0x110000)
LIMITS = sandbox.Limits(seconds=600, memory=6 << 30, disk=10_000_000, processes=100)


@dataclass
class Entry:
    """A model of the folder: what was measured, or why it has no place."""

    name: str
    told: dict
    why: str | None = None

    @property
    def loss(self) -> float:
        chars, dropped = self.told["chars"], self.told["dropped"]
        return (self.told["nats_per_char"] * chars + GUESSED * dropped) / (chars + dropped)

    @property
    def seconds(self) -> float:
        return self.told["trained"]["seconds"] + self.told["trained"].get("earlier_seconds", 0.0)


def make(folder: str, text: str | None, budget: float, page: str | None) -> int:
    """Measures all models, prints the table and writes the page."""
    models = find(Path(folder).absolute())
    if not models:
        raise Problem(f"There is no model in {folder}: expected files that end in .safetensors, there or in a folder for each learner.")
    held_out = Path(text).absolute() if text else OPEN_TEXT
    if not held_out.exists():
        raise Problem(f"There is no text {held_out}.")
    if sandbox.bubblewrap() is None:
        line(f"There is no sandbox: the models are opened as you, unconfined. {sandbox.why_not()}")
    entries = []
    for path in models:
        name = str(path.relative_to(Path(folder).absolute()).with_suffix(""))
        entries.append(judged(name, *measured(path, held_out), budget))
        line(plain(f"  {name}: {entries[-1].why or f'{entries[-1].loss:.4f} nats per character'}"))
    target = Path(page).absolute() if page else OUT / "leaderboard.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    about = [f"Loss on {held_out.name}, measured here; at most {budget:g} seconds of training."]
    if not text:
        about.append("This text comes with the lab, so that every learner has it and may have learnt from it: for a text that they don't have, "
                     "`--text FILE`.")
    if any(entry.why is None and entry.told["dropped"] for entry in entries):
        about.append(f"A character that a model's vocabulary has not counts as one guessed among all of Unicode's: {GUESSED:.1f} nats.")
    target.write_text(as_page(entries, about), encoding="utf-8")
    line("\n" + as_text(entries, about))
    line(f"\n{target}: open it in a browser")
    return 0


def find(folder: Path) -> list[Path]:
    """The models, one below the other: in the folder itself, and in a folder for each learner."""
    if not folder.is_dir():
        raise Problem(f"There is no folder {folder}.")
    return sorted([*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")])


def measured(path: Path, text: Path) -> tuple[dict, str | None]:
    """What `glasslab evaluate` says of a file of a stranger's; or why it says nothing."""
    if path.is_symlink() or path.parent.is_symlink():
        return {}, "it is a link"
    if not path.is_file():
        return {}, "it is no file"
    if path.stat().st_size > LARGEST:
        return {}, f"it has {path.stat().st_size:,} bytes, more than {LARGEST:,}"
    command = [str(kernel.program("glasslab")), "evaluate", str(path), "--json", "--data", str(text)]
    environment = {"PATH": os.environ["PATH"], "HOME": "/learner", "LANG": "C.UTF-8"}
    if bwrap := sandbox.bubblewrap():
        readable = [path, text, kernel.program("glasslab").parent, kernel.configured_binding(), libtorch.find().folder]
        command = [*sandbox.command(bwrap, readable, Path("/learner"), environment, LIMITS), *command]
    try:
        box = sandbox.Sandbox(command, LIMITS, environment)
        said = "".join(box.talk(""))
    except OSError as error:
        return {}, f"it could not be measured: {error}"
    if box.process.returncode != 0:
        # Where it lies is nobody's business who reads the page.
        said = _last(box.errors.decode(errors="replace")).replace(f"{path.parent}/", "")
        return {}, box.why or said.replace(f"{path.name} is no", "it is no", 1) or f"measuring it ended with status {box.process.returncode}"
    return json.loads(said), None


def _last(text: str) -> str:
    """The program's own sentence, without its name and the file's."""
    lines = [row for row in text.strip().splitlines() if row.startswith("glasslab: ")]
    return lines[-1].removeprefix("glasslab: ")[:300] if lines else text.strip()[-300:]


def judged(name: str, told: dict, why: str | None, budget: float) -> Entry:
    """An entry, with the reason if it has no place."""
    if why is None and not math.isfinite(told["nats_per_char"] or math.nan):
        why = "its loss is no number"
    return Entry(name, told, why or claim(told, budget))


def claim(told: dict, budget: float) -> str | None:
    """What is wrong with what a file says of its training."""
    trained = told.get("trained")
    if not trained:
        return "its file does not say how it was trained: no history"
    seconds, earlier = trained["seconds"], trained.get("earlier_seconds", 0.0)
    if not (seconds > 0 and earlier >= 0 and math.isfinite(seconds + earlier)) or min(trained[name] for name in ("steps", "stories", "tokens")) < 1:
        return (f"its file says {trained['steps']} steps in {seconds:g} s, from {trained['stories']} stories of {trained['tokens']} tokens: "
                "that is no training")
    if seconds + earlier > budget * SLACK:
        return f"it has learnt for {seconds + earlier:.0f} s, and {budget:g} s are allowed"
    said = trained.get("nats_per_char")
    if said is not None and not math.isfinite(said):
        return "its file says that its loss is no number"
    return None


def ranked(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Those with a place, the best first; those without."""
    return (sorted((entry for entry in entries if entry.why is None), key=lambda entry: entry.loss),
            [entry for entry in entries if entry.why is not None])


def as_text(entries: list[Entry], about: list[str]) -> str:
    """The table for a terminal."""
    placed, others = ranked(entries)
    rows = [["", "model", "nats/char", "bits/char", "parameters", "seconds", "steps"]]
    rows += [[f"{place}.", *_row(entry)] for place, entry in enumerate(placed, 1)]
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    lines = ["  ".join(word.ljust(width) if column < 2 else word.rjust(width) for column, (word, width) in enumerate(zip(row, widths)))
             for row in rows]
    lines += ["", *(f"no place: {entry.name}: {entry.why}" for entry in others)] if others else []
    return plain("\n".join([*about, "", *lines]))


def _row(entry: Entry) -> list[str]:
    told = entry.told
    return [entry.name, f"{entry.loss:.4f}", f"{entry.loss / math.log(2):.4f}", f"{told['parameters']:,}", f"{entry.seconds:.1f}",
            f"{told['trained']['steps']:,}"]


def as_page(entries: list[Entry], about: list[str]) -> str:
    """One page that needs nothing else; names and reasons are text, whatever they hold."""
    placed, others = ranked(entries)
    worst = max((entry.loss for entry in placed), default=1.0)
    rows = "".join(f"<tr><td>{place}</td>{''.join(f'<td>{_text(word)}</td>' for word in _row(entry))}"
                   f'<td><i style="width:{max(entry.loss, 0) / worst * 100:.1f}%"></i></td></tr>' for place, entry in enumerate(placed, 1))
    heads = "".join(f'<th scope="col">{word}</th>' for word in ("place", "model", "nats per character", "bits per character", "parameters",
                                                               "seconds of training", "steps", "loss: shorter is better"))
    table = f"<div><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>" if placed else "<p>No model has a place.</p>"
    without = "".join(f"<li><code>{_text(entry.name)}</code>: {_text(entry.why)}</li>" for entry in others)
    without = f"<h2>Without a place</h2><ul>{without}</ul>" if others else ""
    style = (ROOT / "crates" / "glasslab-cli" / "src" / "gallery.css").read_text(encoding="utf-8")
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>Leaderboard</title><style>{style}{STYLE}</style><h1>Leaderboard</h1>{''.join(f'<p>{_text(word)}</p>' for word in about)}"
            f"{table}<p>Seconds and steps are what a model’s file says of its training. Whoever writes a file can write that as well; the "
            f"loss is measured. A model that was trained on has the seconds of all its trainings, and the steps of the last.</p>{without}</html>\n")


STYLE = """div{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 16px 4px 0;text-align:right;border-bottom:1px solid rgba(128,128,128,.35)}
th{font-weight:600;vertical-align:bottom}
th:nth-child(2),td:nth-child(2),th:last-child,td:last-child{text-align:left}
td:nth-child(2){overflow-wrap:anywhere;min-width:9em}
td:last-child{min-width:140px}
td i{display:block;height:12px;background:#0072b2}
li{overflow-wrap:anywhere}"""


def _text(word: str) -> str:
    """As text of a page; signs that turn the direction of writing or show nothing stand as what they are."""
    shown = (sign if unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Co") else "�" for sign in str(word))
    return html.escape("".join(shown))

"""The table of a grading: for the terminal, and as CSV."""

import csv
import io
import shutil
import unicodedata
from pathlib import Path

COLUMNS = ["learner", "notebook", "exercise", "points", "of", "said", "seconds", "remarks"]


def points(result: dict) -> tuple[float, float]:
    """The points of a notebook, and how many there are; what nobody knows, as what could not be graded, gives none."""
    got = [(result["metadata"][name].get("points", 0), verdict["right"]) for name, verdict in result["verdicts"].items()]
    return sum(count for count, right in got if right), sum(count for count, _ in got)


def as_csv(results: dict[str, dict[str, dict]]) -> str:
    """A row for each exercise of each learner."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for learner, notebooks in results.items():
        for notebook, result in notebooks.items():
            remarks = "; ".join(result["remarks"])
            for name, verdict in result["verdicts"].items():
                of = result["metadata"][name].get("points", 0)
                got = "" if verdict["right"] is None else of if verdict["right"] else 0
                said = verdict["said"].split("\n")[0]
                rows.writerow([_cell(word) for word in (learner, notebook, verdict["exercise"], got, of, said, result["seconds"], remarks)])
    return text.getvalue()


def _cell(word) -> str:
    """A spreadsheet takes what begins with such a sign for a formula, and a learner may have chosen it."""
    word = str(word)
    return f"'{word}" if word.startswith(tuple("=+-@\t\r")) else word


def as_text(results: dict[str, dict[str, dict]], pages: Path) -> str:
    """A line for each learner, and below it what the teacher should know."""
    names = sorted({notebook for notebooks in results.values() for notebook in notebooks})
    head = ["learner", *names, "points", "seconds"]
    rows, remarks = [], {}
    for learner, notebooks in results.items():
        got = {notebook: points(result) for notebook, result in notebooks.items()}
        total = [sum(count) for count in zip((0, 0), *got.values())]
        seconds = sum(result["seconds"] for result in notebooks.values())
        is_known = {name: all(verdict["right"] is not None for verdict in result["verdicts"].values()) for name, result in notebooks.items()}
        cells = [(_of(got[name]) if is_known[name] else f"?/{got[name][1]:g}") if name in got else "" for name in names]
        rows.append([learner, *cells, _of(total), f"{seconds:.0f}"])
        remarks[learner] = [f"{notebook}: {remark}" for notebook, result in notebooks.items() for remark in result["remarks"]]
    widths = [max(_width(row[column]) for row in [head, *rows]) for column in range(len(head))]
    line = lambda row: "  ".join(word + " " * (width - _width(word)) for word, width in zip(row, widths)).rstrip()
    lines = [line(head), line(["─" * width for width in widths])]
    room = max(shutil.get_terminal_size((140, 24)).columns, 80)
    for row in rows:
        lines.append(line(row))
        lines += [_cut(f"    {remark}", room) for remark in remarks[row[0]]]
    return plain("\n".join([*lines, "", f"A page for each learner: {pages}"]))


def _of(got) -> str:
    return f"{got[0]:g}/{got[1]:g}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[:room - 1] + "…"


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def plain(text: str) -> str:
    """Without the signs by which a text could move a terminal's cursor or change its colours."""
    return "".join(sign if sign == "\n" or sign.isprintable() else "�" for sign in text)

"""What may be said of a measurement: a ratio beside its spread, the machine's own peak, and the table in docs/performance.md."""

import json
import math
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import kernel, tools
from .layout import ROOT

TABLE = ROOT / "docs" / "performance.md"
# The figures of that table, by benches: what one run writes, the others keep.
FIGURES = ROOT / "docs" / "figures.json"
BEGIN, END = "<!-- Written by scripts/bench --write, from docs/figures.json. -->", "<!-- So far. -->"


@dataclass(frozen=True)
class Size:
    """How long a bench takes: 0 for the form of its output only, 1 for minutes, 2 for what is published."""

    level: int

    def of(self, brief, quick, full):
        return (brief, quick, full)[self.level]


BRIEF, QUICK, FULL = Size(0), Size(1), Size(2)


@dataclass(frozen=True)
class Claim:
    """How many times one side is as much as the other, by turns: the median, and between which it lies in half of them (of fewer
    than five turns: in all)."""

    median: float
    low: float
    high: float
    turns: int

    @property
    def is_sure(self) -> bool:
        """Whether it says more than it wavers: its distance from 1 is at least its spread."""
        return self.high - self.low <= abs(self.median - 1)

    def __str__(self) -> str:
        between = f"{self.low:.2f} to {self.high:.2f}"
        if not self.is_sure:
            return f"no ratio ({between}: wider than what it would say)"
        return f"{self.median:.2f} × ({between})"

    def figures(self, name: str) -> dict:
        """For `--json`: no ratio where none is told."""
        return {name: self.median if self.is_sure else None, f"{name}_low": self.low, f"{name}_high": self.high, f"{name}_turns": self.turns}


def claim(ours: list[float], theirs: list[float]) -> Claim:
    """Of each turn's two figures."""
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    quarter = (len(ratios) - 1) // 4 if len(ratios) >= 5 else 0
    return Claim(statistics.median(ratios), ratios[quarter], ratios[-1 - quarter], len(ratios))


class Found:
    """What a bench has found: figures by names for `--json`; and what is published with --write: rows for the table (what, measured,
    goal), and pictures by their files."""

    def __init__(self, **figures):
        self.rows, self.figures, self.pictures = [], figures, {}

    def add(self, name: str, told: Claim, what: str, goal: str = "", least: float = 0, most: float = math.inf) -> None:
        """A claim; bold in the table where it is not at least, or at most, so much."""
        self.figures.update(told.figures(name))
        has_goal = (least, most) != (0, math.inf)
        self.tell(what, str(told), goal, not has_goal or (told.is_sure and least <= told.median <= most))

    def tell(self, what: str, text: str, goal: str = "", is_met: bool = True) -> None:
        """A row of the table; bold where the goal is missed."""
        self.rows.append((what, text if is_met else f"**{text}**", goal))


@dataclass(frozen=True)
class Peak:
    """What the machine does at its best: operations of float32 a second in a product, bytes a second that a copy reads and writes."""

    operations: float
    bytes: float

    def __str__(self) -> str:
        return f"{self.operations / 1e9:,.0f} billion operations/s in products, {self.bytes / 1e9:.1f} GB/s in copies"


def peak() -> Peak:
    """As measured now."""
    figures = json.loads(tools.run([kernel.example("peak")], "The example `peak` failed.").splitlines()[-1])
    return Peak(figures["operations_per_s"], figures["bytes_per_s"])


def of_peak(figure: float, peak: float, what: str) -> str:
    return f"{100 * figure / peak:.0f} % of the machine's {what}"


def write(bench: str, rows: list[tuple[str, str, str]], machine: str) -> None:
    """Keeps a bench's rows (what, measured, goal), and writes the table anew."""
    kept = read()
    kept[bench] = {"machine": machine, "rows": [list(row) for row in rows]}
    _replace(FIGURES, json.dumps(dict(sorted(kept.items())), ensure_ascii=False, indent=1) + "\n")
    _replace(TABLE, with_table(TABLE.read_text(encoding="utf-8"), kept))


def read() -> dict:
    return json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}


def with_table(text: str, figures: dict) -> str:
    """The page with the table of these figures between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    lines = ["", "", "| bench | measured | goal |", "|---|---|---|"]
    for bench, kept in figures.items():
        lines += [f"| `{bench}`: {what} | {measured} | {goal} |" for what, measured, goal in kept["rows"]]
    machines: dict[str, list[str]] = {}
    for bench, kept in figures.items():
        if kept["machine"]:  # of older rows it is not known
            machines.setdefault(kept["machine"], []).append(bench)
    lines += ["", "The machine at its best, in the same run: " + "; ".join(
        f"{machine} ({', '.join(f'`{bench}`' for bench in benches)})" for machine, benches in machines.items()) + ".", "", ""]
    return before + BEGIN + "\n".join(lines) + END + after


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


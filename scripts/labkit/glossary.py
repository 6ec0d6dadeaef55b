"""The glossary (docs/glossary.md) as something to look words up in, and as a page where each word has a place of its own.

The Python of the book's environment reads this file, too.
"""

import re
from dataclasses import dataclass

# `- **Batch, B** ([1](../notebooks/01_tokenization.ipynb)): Several texts …`, and the same after `with_anchors`
ENTRY = re.compile(r"^- (?:<span id=\"[^\"]*\"></span>)?\*\*(?P<head>.+?)\*\*(?P<where> \(.*?\]\(.*?\)\))?: (?P<told>.+)$")
# What a notebook may call a word of the glossary, where it is not its head.
ALIASES = {"write": "Generation", "draw a character": "Sampling", "held out": "Held-out text", "bits": "Bits per character",
           "dead": "Dead ReLU", "head": "Attention head", "several heads": "Multi-head attention", "mask": "Causal mask",
           "rotary": "Rotary position", "√head_dim": "Scale (of attention)"}
# Words that mean something else in everyday language: they are explained only where somebody has linked them to the glossary.
EVERYDAY = {"Activation", "Bias", "Block", "Byte", "Clipping", "Context", "Decode", "Device", "Encode", "Gate", "Generation", "Id",
            "Kernel", "Key", "Layer", "Leak", "Loss", "Merge", "Nudge", "Parameter", "Position", "Probe", "Query", "Sampling",
            "Scale (of attention)", "Schedule", "Score", "Seed", "Shape", "Surprise", "Target", "Time, T", "Trace", "Training", "Value",
            "Weight", "Muon", "Adam", "Batch, B", "Token", "Steering"}


@dataclass(frozen=True)
class Term:
    """A word, and what it means in plain text."""

    head: str
    told: str

    @property
    def anchor(self) -> str:
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.head.replace("²", "2").lower()).strip("-")

    @property
    def names(self) -> list[str]:
        """How it may be written: `Batch, B` is a batch and a B; the letter alone is too short to be found by."""
        parts = [part.strip() for part in re.sub(r" \(.*\)", "", self.head).split(",")]
        return [part for part in parts if len(part) > 1]


def plain(markdown: str) -> str:
    """Words without Markdown's marks."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"[*`]", "", words)


def read(page: str) -> list[Term]:
    """All entries of the glossary's page."""
    found = (ENTRY.match(line) for line in page.splitlines())
    return [Term(entry["head"], plain(entry["told"])) for entry in found if entry]


def with_anchors(page: str) -> str:
    """The glossary's page with a place to jump to at each entry."""
    lines = []
    for line in page.splitlines():
        entry = ENTRY.match(line)
        if entry:
            anchor = Term(entry["head"], "").anchor
            line = f'- <span id="{anchor}"></span>' + line.removeprefix("- ")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _same(word: str) -> str:
    """What is left of a word when its case and its plural don't matter."""
    word = re.sub(r"\s+", " ", plain(word).strip().lower())
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def find(terms: list[Term], words: str) -> Term | None:
    """The entry that is meant by the words of a link to the glossary."""
    head = ALIASES.get(plain(words).strip().lower())
    for term in terms:
        if term.head == head or any(_same(name) == _same(words) for name in term.names):
            return term
    return None


def pattern(terms: list[Term]) -> tuple[re.Pattern, dict[str, Term]]:
    """What finds in running text the words that mean nothing else, longest first; and the entry of each."""
    names = {_same(name): term for term in terms if term.head not in EVERYDAY for name in term.names}
    choices = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{choices})s?(?![\w-])", re.I), names


def entry_of(names: dict[str, Term], found: str) -> Term:
    """The entry of what `pattern` has found."""
    return names[_same(found)]

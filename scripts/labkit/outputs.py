"""What a notebook keeps of its cells' outputs, and where it is written."""

from pathlib import Path


def executed(path: Path, out: Path) -> Path:
    """Where a notebook's results go; a solved one has its learners' one's name."""
    return out / ("solutions" if path.parent.name == "solutions" else "") / path.name


def join_streams(cells) -> None:
    """Pieces of text that follow each other on one stream are one: where they were cut is chance, and each would be an output
    with a head of its own. Text before and after a picture, and on another stream, stays where it was."""
    for cell in cells:
        kept = []
        for output in cell.get("outputs", []):
            before = kept[-1] if kept else {}
            if output["output_type"] == before.get("output_type") == "stream" and output["name"] == before["name"]:
                before["text"] = _join(before["text"], output["text"])
            else:
                kept.append(output)
        if kept:
            cell["outputs"] = kept


def _join(first, second):
    """Text as a whole, or as a file has it, in lines."""
    if isinstance(first, str):
        return first + second
    return "".join([*first, *second]).splitlines(keepends=True)

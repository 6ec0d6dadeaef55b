"""Runs notebooks headless through the real kernel, with a line for each as it goes.

This file is run by the project's own Python, where nbclient is.
"""

import argparse
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit.outputs import executed, join_streams

# A notebook with its results is read on the web, too: bytes.
LARGEST = 1_000_000
STOCK = "glasslab-stock"
STOCK_CELL = ":dep glasslab = {{ path = {library!r} }}\nuse glasslab::prelude::*;"


class Client(NotebookClient):
    """evcxr's own kernel reports a panic and a failed `?` as text on stderr and the cell as well done; and that
    text may come after it said so. The test of an exercise that is not written yet may fail, but in a solved notebook:
    that is its purpose."""

    first: float | None = None
    unwritten = 0
    solved = False

    async def async_execute_cell(self, cell, cell_index, **options):
        if not is_test(cell):
            return await self.execute_one(cell, cell_index, **options)
        try:
            return await self.execute_one(cell, cell_index, **options)
        except (CellExecutionError, CellFailed):
            if self.solved or UNWRITTEN not in told(cell):
                raise
            self.unwritten += 1
            return cell

    async def execute_one(self, cell, cell_index, **options):
        cell = await super().async_execute_cell(cell, cell_index, **options)
        if cell.cell_type != "code":
            return cell
        self.first = self.first or time.monotonic()
        if self.kernel_name == STOCK:
            with contextlib.suppress(queue.Empty):
                while True:
                    message = await self.kc.iopub_channel.get_msg(timeout=0.05)
                    if message["msg_type"] == "stream":
                        self.process_message(message, cell, cell_index)
        failed = "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stderr")
        if failed:
            raise CellFailed(f"The cell\n{cell.source}\nfailed with\n{failed}")
        return cell


# What the check of an exercise says as long as there is `todo!()`.
UNWRITTEN = "not written yet"


def is_test(cell) -> bool:
    """Whether a cell checks an exercise."""
    return cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade", False)


def told(cell) -> str:
    """All that a cell has said, but for pictures."""
    parts = []
    for output in cell.outputs:
        parts += [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
        parts.append(str(output.get("data", {}).get("text/plain", "")))
    return "\n".join(parts)


class CellFailed(RuntimeError):
    """A cell that panicked or returned an error."""


def run(path: Path, out: Path, kernel: str, library: str, html: bool, keep: bool = False) -> bool:
    """Executes one notebook; true if no cell failed."""
    notebook = nbformat.read(path, as_version=4)
    if kernel == STOCK:
        first = nbformat.v4.new_code_cell(STOCK_CELL.format(library=library).replace("'", '"'))
        notebook.cells.insert(0, first)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    client = Client(notebook, kernel_name=kernel, timeout=1800, startup_timeout=600,
                    resources={"metadata": {"path": str(_working_folder(path, out))}}, record_timing=False)
    client.solved = path.parent.name == "solutions"
    started, problem = time.monotonic(), None
    try:
        # The kernel's own remarks are for a developer; what a cell prints is in its outputs.
        client.execute(stdout=subprocess.DEVNULL)
    except (CellExecutionError, DeadKernelError, RuntimeError, TimeoutError) as error:
        problem = error
    seconds = time.monotonic() - started
    join_streams(notebook.cells)
    target = executed(path, out)
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    done = sum(1 for cell in cells if cell.execution_count)
    opening = f", first result after {client.first - started:.1f} s" if client.first else ""
    exercises = f", {client.unwritten} exercises not written yet" if client.unwritten else ""
    print(f"{'ok    ' if problem is None else 'FAILED'} {path.name}: {done} of {len(cells)} cells, "
          f"{seconds:.1f} s{opening}{exercises}, {0 if problem is None else 1} errors → {target}", flush=True)
    if problem is not None:
        print("    " + _plain(problem, cells).replace("\n", "\n    "), flush=True)
    if html:
        write_html(notebook, target.with_suffix(".html"))
    if keep and problem is None:
        return keep_results(notebook, path)
    return problem is None


def _working_folder(path: Path, out: Path) -> Path:
    """Where a notebook's cells write: beside it, unless that is not allowed."""
    if os.access(path.parent, os.W_OK):
        return path.parent
    out.mkdir(parents=True, exist_ok=True)
    return out


def keep_results(notebook, path: Path) -> bool:
    """Writes results into the notebook itself: no time, no path of this machine, counted from 1; false if too large."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    count = 0
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
            # Without their kernel, sliders are only an error message; their values stay as text.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    split = json.loads(nbformat.writes(notebook))  # text as lists of lines
    text = json.dumps(split, indent=1, ensure_ascii=False, sort_keys=True).replace(root, "…") + "\n"
    if len(text.encode()) > LARGEST:
        print(f"FAILED {path.name}: {len(text.encode()):,} bytes with its results, more than {LARGEST:,}; draw less", flush=True)
        return False
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    print(f"       results kept in {path} ({len(text.encode()) / 1e3:.0f} kB)", flush=True)
    return True


def _plain(problem: Exception, cells) -> str:
    """What failed, with the kernel's messages, which nbclient leaves in the cell, and no colour codes."""
    errors = [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    told = "\n".join("\n".join(error.traceback) or error.evalue for error in errors)
    return re.sub(r"\x1b\[[0-9;]*m", "", f"{str(problem).strip()}\n{told}".strip())


def write_html(notebook, target: Path) -> None:
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook)
    target.write_text(page)
    print(f"       page → {target}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--html", action="store_true")
    parser.add_argument("--keep", action="store_true", help="write the results into the notebooks themselves")
    options = parser.parse_args()
    failed = sum(not run(path, options.out, options.kernel, options.library, options.html, options.keep)
                 for path in options.notebooks)
    print(f"{len(options.notebooks) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

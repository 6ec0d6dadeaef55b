"""Runs notebooks headless through the real kernel, with a line for each as it goes.

This file is run by the project's own Python, where nbclient is.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

STOCK_CELL = ":dep glasslab = {{ path = {library!r} }}\nuse glasslab::prelude::*;"


def run(path: Path, out: Path, kernel: str, library: str, html: bool) -> bool:
    """Executes one notebook; true if no cell failed."""
    notebook = nbformat.read(path, as_version=4)
    if kernel == "glasslab-stock":
        first = nbformat.v4.new_code_cell(STOCK_CELL.format(library=library).replace("'", '"'))
        notebook.cells.insert(0, first)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    client = NotebookClient(notebook, kernel_name=kernel, timeout=1800, startup_timeout=600,
                            resources={"metadata": {"path": str(path.parent)}})
    started, problem, first = time.monotonic(), None, []
    client.on_cell_executed = lambda **_: first.append(time.monotonic() - started) if not first else None
    try:
        # The kernel's own remarks are for a developer; what a cell prints is in its outputs.
        client.execute(stdout=subprocess.DEVNULL)
    except (CellExecutionError, DeadKernelError, RuntimeError, TimeoutError) as error:
        problem = error
    seconds = time.monotonic() - started
    out.mkdir(parents=True, exist_ok=True)
    executed = out / path.name
    nbformat.write(notebook, executed)
    done = sum(1 for cell in cells if cell.execution_count)
    opening = f", first result after {first[0]:.1f} s" if first else ""
    print(f"{'ok    ' if problem is None else 'FAILED'} {path.name}: {done} of {len(cells)} cells, "
          f"{seconds:.1f} s{opening}, {0 if problem is None else 1} errors → {executed}", flush=True)
    if problem is not None:
        print("    " + _plain(problem, cells).replace("\n", "\n    "), flush=True)
    if html:
        write_html(notebook, executed.with_suffix(".html"))
    return problem is None


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
    options = parser.parse_args()
    failed = sum(not run(path, options.out, options.kernel, options.library, options.html) for path in options.notebooks)
    print(f"{len(options.notebooks) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

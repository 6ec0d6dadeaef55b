"""Runs a notebook's cells through the lab's kernel, inside of the sandbox, and writes a line of JSON for each as it ends.

This file is run by the project's own Python. On standard input: `{"cells": [[number, code, exercise or null], …], "limits": …, "shown": …, "kernel": …}`.
On standard output, for each cell: `{"cell": number, "outputs": […], "answers": …, "ended": …}`. What it says is believed
of nobody: the learner's code runs beside it, and could write such lines as well.
"""

import json
import os
import queue
import subprocess
import sys
import time
from pathlib import Path

from jupyter_client import KernelManager

# Of a cell: pictures and text beyond this are left out. Bytes.
LARGEST_TEXT, LARGEST_PICTURE = 20_000, 300_000
# How long a kernel may take to begin, and a stopped cell to end. Seconds.
STARTING, STOPPING = 120, 30


class Runner:
    """A kernel, and what its cells give."""

    def __init__(self, answers: Path, shown: list[str], kernel: str):
        self.answers, self.shown = answers, shown
        self.manager = KernelManager(kernel_name=kernel)
        self.manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=STARTING)
        # It answers before it can run cells; what it takes to load is not the learner's.
        self.outputs(self.client.execute("1 + 1"), STARTING)

    def run(self, code: str, exercise: str | None, seconds: float) -> dict:
        """Runs a cell: its outputs, the answers of its check, and why it did not end by itself, if so."""
        file = self.answers / f"{exercise}.json"
        file.unlink(missing_ok=True)
        outputs, ended = self.outputs(self.client.execute(code, store_history=False), seconds)
        answers = file.read_text(encoding="utf-8") if exercise and file.is_file() else None
        return {"outputs": outputs, "answers": answers, "ended": ended}

    def outputs(self, request: str, seconds: float) -> tuple[list, str | None]:
        kept, ended, until = Outputs(self.shown), None, time.monotonic() + seconds
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=0.5)
            except queue.Empty:
                message = None
            if message and message["parent_header"].get("msg_id") == request:
                content = message["content"]
                if message["msg_type"] == "status" and content["execution_state"] == "idle":
                    return kept.list, ended
                kept.add(message["msg_type"], content)
            if not self.manager.is_alive():
                raise Gone(kept.list)
            if time.monotonic() > until:
                if ended:
                    raise Gone(kept.list)
                ended, until = f"stopped after {seconds:.0f} s", time.monotonic() + STOPPING
                self.manager.interrupt_kernel()


class Gone(Exception):
    """The kernel has ended, or answers no more; with the outputs of its last cell."""


class Outputs:
    """The outputs of a cell, as much as is kept of them."""

    def __init__(self, shown: list[str]):
        self.shown, self.list, self.text, self.pictures = shown, [], 0, 0

    def add(self, kind: str, content: dict) -> None:
        if kind == "stream":
            self.write(content["name"], content["text"])
        elif kind in ("display_data", "execute_result"):
            data = {name: value for name, value in content["data"].items() if name in self.shown and isinstance(value, str)}
            self.pictures += len(data.get("image/png", ""))
            if self.pictures > LARGEST_PICTURE:
                data.pop("image/png", None)
            self.text += len(data.get("text/plain", ""))
            if data and self.text < LARGEST_TEXT:
                self.list.append({"output_type": "display_data", "data": data, "metadata": {}})
        elif kind == "error":
            self.write("stdout", "\n".join(content["traceback"]) or f"{content['ename']}: {content['evalue']}")

    def write(self, name: str, text: str) -> None:
        left = LARGEST_TEXT - self.text
        self.text += len(text)
        if left <= 0:
            return
        if len(text) > left:
            text = text[:left] + "\n… and more, which was left out"
        last = self.list[-1] if self.list else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"] += text
        else:
            self.list.append({"output_type": "stream", "name": name, "text": text})


def main() -> None:
    job = json.load(sys.stdin)
    tell = lambda **said: print(json.dumps(said), flush=True)
    answers = Path(os.environ["GLASSLAB_CHECK_ANSWERS"])
    answers.mkdir(parents=True, exist_ok=True)
    try:
        runner = Runner(answers, job["shown"], job["kernel"])
    except RuntimeError as error:
        tell(problem=f"the kernel did not begin: {error}")
        return
    except Gone:
        tell(problem=f"the kernel did not load within {STARTING} s")
        return
    for number, code, exercise in job["cells"]:
        begun = time.monotonic()
        try:
            said = runner.run(code, exercise, job["limits"]["cell_seconds"])
        except Gone as gone:
            tell(cell=number, outputs=gone.args[0], answers=None, ended="the kernel was ended", seconds=time.monotonic() - begun)
            tell(problem=f"the kernel was ended in cell {number}, and what comes after it was not run")
            return
        tell(cell=number, seconds=time.monotonic() - begun, **said)
    tell(done=True)
    runner.manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()

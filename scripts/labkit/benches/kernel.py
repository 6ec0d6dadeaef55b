"""The kernel beside plain evcxr_jupyter: start to first tensor, a small cell, memory.

Both run the same cells, by turns. The stock kernel gets the library by a `:dep` line, as its users do, and builds it;
glasslab's finds it built. A small cell is one of CELLS: from sending it to its last output and `idle`.
"""

import json
import statistics
import subprocess
import sys
import time

CELLS = ["let a = {n};", "a + 1", "println!(\"{{}}\", a * 2);", "let t = Tensor::from_slice(&[1.0, 2.0, {n}.0]);",
         "t.sum(Kind::Double)", "println!(\"{{:?}}\", t.size());"]
FIRST = "let x = Tensor::from_slice(&[1.0, 2.0]); println!(\"{:?}\", x.size());"


def run(brief: bool) -> dict:
    from .. import kernel, python_env
    from ..say import Problem, line

    command = [python_env.python(), __file__, str(kernel.LIBRARY), "brief" if brief else "full"]
    answer = subprocess.run(command, env=python_env.environment(), stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Problem("The kernel could not be measured; its message stands above.")
    figures = json.loads(answer.stdout.splitlines()[-1])
    line(f"{'':34}{'glasslab':>10}{'stock':>10}")
    for title, name, unit in [("kernel_info after start", "ready_s", "s"), ("first tensor after start", "first_cell_s", "s"),
                              ("a small cell, median", "cell_s", "s"), ("memory of the kernel, idle", "rss_mb", "MB"),
                              ("memory of the cells' process", "child_rss_mb", "MB")]:
        line(f"{title:34}{figures[name]:>8.2f} {unit}{figures[name + '_stock']:>8.2f} {unit}")
    line(f"a small cell takes {figures['cell_s'] / figures['cell_s_stock']:.2f} of the stock kernel's time")
    return figures


class Kernel:
    """One kernel that is being measured."""

    def __init__(self, name: str):
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name=name)
        self.started = time.monotonic()
        self.manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=600)
        self.ready = time.monotonic() - self.started

    def run(self, code: str) -> float:
        began = time.monotonic()
        reply = self.client.execute_interactive(code, output_hook=lambda message: None, timeout=900, allow_stdin=False)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{code}: {reply['content']}")
        return time.monotonic() - began

    def memory(self) -> tuple[float, float]:
        """MB of the kernel, and of the process that runs the cells."""
        import psutil

        process = psutil.Process(self.manager.provisioner.pid)
        return process.memory_info().rss / 1e6, sum(child.memory_info().rss for child in process.children()) / 1e6

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def measure(library: str, brief: bool) -> dict:
    starts = []
    for _ in range(1 if brief else 3):
        ours = Kernel("glasslab")
        ours.run(FIRST)
        starts.append((ours.ready, time.monotonic() - ours.started))
        if len(starts) < (1 if brief else 3):
            ours.stop()
    stock = Kernel("glasslab-stock")
    stock.run(f':dep glasslab = {{ path = "{library}" }}\nuse glasslab::prelude::*;\n{FIRST}')
    first_stock = time.monotonic() - stock.started
    times = {"glasslab": [], "stock": []}
    for n in range(1 if brief else 4):
        for cell in CELLS:
            for name, kernel in (("glasslab", ours), ("stock", stock)):
                times[name].append(kernel.run(cell.format(n=n)))
    (rss, child), (rss_stock, child_stock) = ours.memory(), stock.memory()
    figures = {
        "ready_s": statistics.median(ready for ready, _ in starts), "ready_s_stock": stock.ready,
        "first_cell_s": statistics.median(first for _, first in starts), "first_cell_s_stock": first_stock,
        "cell_s": statistics.median(times["glasslab"]), "cell_s_stock": statistics.median(times["stock"]),
        "rss_mb": rss, "rss_mb_stock": rss_stock, "child_rss_mb": child, "child_rss_mb_stock": child_stock,
    }
    ours.stop()
    stock.stop()
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2] == "brief")))

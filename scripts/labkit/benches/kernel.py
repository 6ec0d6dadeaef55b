"""The kernel beside plain evcxr_jupyter: start to first tensor, a small cell, memory; how soon a slider is answered; and a
training in a cell beside the same one by the command.

Both run the same cells, by turns. The stock kernel gets the library by a `:dep` line, as its users do, and builds it;
glasslab's finds it built. A small cell is one of CELLS: from sending it to its last output and `idle`. A slider's answer
is a text of 50 characters by a new `small` transformer, from the slider's message to the text's. Memory is measured idle
after these cells, and in a kernel of its own after all cells of the transformer's notebook; in quick, after its first two.
A training takes its own time, from its first step to its last, of `small`; in a cell the library is compiled as cells
need it. Except in full, glasslab's kernel is measured alone where plain evcxr_jupyter is not built.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CELLS = ["let a = {n};", "a + 1", "println!(\"{{}}\", a * 2);", "let t = Tensor::from_slice(&[1.0, 2.0, {n}.0]);",
         "t.sum(Kind::Double)", "println!(\"{{:?}}\", t.size());"]
FIRST = "let x = Tensor::from_slice(&[1.0, 2.0]); println!(\"{:?}\", x.size());"


def run(size, peak):
    from .. import kernel, libtorch, python_env, tools
    from ..claims import Found, claim
    from ..layout import SOLUTIONS
    from ..say import Problem, line

    beside = size.level == 2 or kernel.has_stock()
    if beside:
        kernel.ensure_stock(libtorch.ensure())
    else:
        line("Plain evcxr_jupyter is not built, so nothing is beside: `scripts/bench kernel` builds it, in minutes.")
    notebook = SOLUTIONS / "07_transformer_language_model.ipynb"
    command = [python_env.python(), __file__, str(kernel.LIBRARY), notebook, size.of("brief", "quick", "full"),
               "beside" if beside else "alone", kernel.program("glasslab")]
    answer = subprocess.run(command, env=python_env.environment(), stdout=subprocess.PIPE, **tools.TEXT)
    if answer.returncode != 0:
        raise Problem("The kernel could not be measured; its message stands above.")
    figures = json.loads(answer.stdout.splitlines()[-1])
    mine, stock = figures.pop("cells_s"), figures.pop("cells_s_stock")
    trained = claim(figures.pop("train_command_s"), figures.pop("train_cell_s"))
    line(f"{'':34}{'glasslab':>10}" + f"{'stock':>10}" * beside)
    for title, name, unit in [("kernel_info after start", "ready_s", "s"), ("first tensor after start", "first_cell_s", "s"),
                              ("a small cell, median", "cell_s", "s"), ("memory of the kernel, idle", "rss_mb", "MB"),
                              ("memory of the cells' process", "child_rss_mb", "MB")]:
        line(f"{title:34}{figures[name]:>8.2f} {unit}" + (f"{figures[name + '_stock']:>8.2f} {unit}" if beside else ""))
    for title, name, unit in [("a slider's answer, median", "callback_s", "s"), ("the kernel after the transformer notebook", "rss_after_mb", "MB"),
                              ("the cells' process after it", "child_rss_after_mb", "MB")]:
        line(f"{title:42}{figures[name]:>8.3f} {unit}")
    # As fast: no claim of a difference, but between what it lies.
    as_fast = f"{trained.low:.2f} to {trained.high:.2f}"
    line(f"training in a cell, speed : that of the command {as_fast}")
    found = Found(**figures, **trained.figures("train"))
    found.tell("training `small` in a cell, speed beside the command's", as_fast, "0.9", trained.median >= 0.9)
    if not beside:
        return found
    told = claim(mine, stock)
    line(f"a small cell's time : that of the stock kernel {told}")
    found.add("cell", told, f"a small cell ({figures['cell_s']:.2f} s), beside evcxr_jupyter", "0.6", most=0.6)
    found.tell("from start to the first tensor", f"{figures['first_cell_s']:.1f} s, beside {figures['first_cell_s_stock']:.0f} s", "6 s",
               figures["first_cell_s"] <= 6)
    found.tell("resident memory, idle and after the transformer notebook (7)",
               f"{figures['rss_mb']:.0f} MB and {figures['rss_after_mb']:.0f} MB, beside {figures['rss_mb_stock']:.0f} MB; the cells' process "
               f"{figures['child_rss_mb']:.0f} and {figures['child_rss_after_mb']:.0f} MB", "700 MB", figures["rss_after_mb"] <= 700)
    found.tell("a slider's answer, 50 characters by `small`", f"{1000 * figures['callback_s']:.0f} ms", "100 ms", figures["callback_s"] <= 0.1)
    return found


class Kernel:
    """One kernel that is being measured."""

    def __init__(self, name: str):
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name=name)
        self.started = time.monotonic()
        self.manager.start_kernel(stdout=subprocess.DEVNULL)  # what it says on stderr is for who reads this run
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=600)
        self.ready = time.monotonic() - self.started

    def run(self, code: str, take=lambda message: None) -> float:
        began = time.monotonic()
        reply = self.client.execute_interactive(code, output_hook=take, timeout=900, allow_stdin=False)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{code}: {reply['content']}")
        return time.monotonic() - began

    def memory(self) -> tuple[float, float]:
        """MB of the kernel, and of the process that runs the cells."""
        import psutil

        process = psutil.Process(self.manager.provisioner.pid)
        return process.memory_info().rss / 1e6, sum(child.memory_info().rss for child in process.children()) / 1e6

    def slide(self, comm: str, value: float) -> float:
        """Seconds from a slider's message to the picture that it changes."""
        message = self.client.session.msg("comm_msg", {"comm_id": comm, "data": {"method": "update", "state": {"value": value}}})
        began = time.monotonic()
        self.client.shell_channel.send(message)
        while self.client.get_iopub_msg(timeout=60)["msg_type"] != "update_display_data":
            pass
        return time.monotonic() - began

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def callback(kernel: Kernel, brief: bool) -> float:
    """The median of a slider's answers."""
    opened = []
    code = """let writer = TransformerLm::new(TransformerConfig::small(), Device::Cpu)?;
Interact::new().slider("temperature", 0.0..=2.0, 1.0).show(move |values| {
    let sampling = Sampling { chars: 50, temperature: values.number("temperature"), ..Sampling::default() };
    generate(&writer, &CharTokenizer::default(), "Once upon a time", &sampling)
});"""
    kernel.run(code, opened.append)
    slider = next(message["content"]["comm_id"] for message in opened if message["msg_type"] == "comm_open"
                  and message["content"]["data"]["state"]["_model_name"] == "FloatSliderModel")
    return statistics.median(kernel.slide(slider, 0.5 + n / 20) for n in range(3 if brief else 15))


def trainings(kernel: Kernel, command: str, steps: int, turns: int) -> dict[str, list[float]]:
    """Seconds of the same training in a cell and by the command."""
    cell = f"""{{
    let (data, tokenizer) = (Dataset::load()?, CharTokenizer::default());
    let texts = [&data.train, &data.held_out].map(|texts| Tokens::encode(texts, &tokenizer));
    let [train_tokens, held_out] = texts.map(|tokens| tokens.unwrap());
    let mut model = TransformerLm::new(TransformerConfig::small(), Device::Cpu)?;
    let config = TrainConfig {{ length: Length::Steps({steps}), ..TrainConfig::default() }};
    let history = train(&mut model, &train_tokens, &held_out, &config)?;
    println!("{{}}", history.points.last().unwrap().seconds);
}}"""
    found = {"train_command_s": [], "train_cell_s": []}
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        words = [command, "train", "--steps", str(steps), "--json", "--out", f"{folder}/model.safetensors"]
        for _ in range(turns):
            told = []
            kernel.run(cell, told.append)
            text = "".join(message["content"]["text"] for message in told if message["msg_type"] == "stream")
            found["train_cell_s"].append(float(text.split()[-1]))
            ran = subprocess.run(words, capture_output=True, text=True, encoding="utf-8")
            if ran.returncode != 0:
                raise RuntimeError(ran.stderr)
            found["train_command_s"].append(json.loads(ran.stdout)["history"][-1]["seconds"])
    return found


def after_notebook(path: str, brief: bool) -> tuple[float, float]:
    """MB of a kernel and of its cells' process after a whole notebook."""
    kernel = Kernel("glasslab")
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        kernel.run(f"std::env::set_current_dir({json.dumps(folder)})?;")
        cells = [cell for cell in json.loads(Path(path).read_text())["cells"] if cell["cell_type"] == "code"]
        for cell in cells[:2] if brief else cells:
            kernel.run("".join(cell["source"]))
        memory = kernel.memory()
        kernel.stop()
    return memory


def measure(library: str, notebook: str, size: str, peer: str, command: str) -> dict:
    brief, starts = size == "brief", []
    for _ in range(3 if size == "full" else 1):
        ours = Kernel("glasslab")
        ours.run(FIRST)
        starts.append((ours.ready, time.monotonic() - ours.started))
        if len(starts) < (3 if size == "full" else 1):
            ours.stop()
    kernels, firsts = {"": ours}, {"": statistics.median(first for _, first in starts)}
    readies = {"": statistics.median(ready for ready, _ in starts)}
    # Its minutes of building are left out where they would be most of the time: then it has no tensors, and is first for a sum.
    short = size != "full"
    if peer == "beside":
        kernels["_stock"] = stock = Kernel("glasslab-stock")
        stock.run("1 + 1" if short else f':dep glasslab = {{ path = "{library}" }}\nuse glasslab::prelude::*;\n{FIRST}')
        readies["_stock"], firsts["_stock"] = stock.ready, time.monotonic() - stock.started
    times = {"": [], "_stock": []}
    for n in range(1 if brief else 5):
        for cell in CELLS[:3] if short else CELLS:
            for name, kernel in kernels.items():
                times[name].append(kernel.run(cell.format(n=n)))
    figures = {}
    for name, kernel in kernels.items():
        rss, child = kernel.memory()
        measured = {"ready_s": readies[name], "first_cell_s": firsts[name], "cell_s": statistics.median(times[name]), "rss_mb": rss,
                    "child_rss_mb": child}
        figures |= {field + name: round(value, 3) for field, value in measured.items()}
        if kernel is not ours:
            kernel.stop()
    figures |= {"cells_s": times[""], "cells_s_stock": times["_stock"]}
    figures["callback_s"] = callback(ours, brief)
    figures |= trainings(ours, command, *{"brief": (2, 1), "quick": (20, 3), "full": (60, 5)}[size])
    ours.stop()
    figures["rss_after_mb"], figures["child_rss_after_mb"] = after_notebook(notebook, size != "full")
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:6])))

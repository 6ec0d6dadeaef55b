"""glasslab's own side of the benches: its command, and the text that both sides learn from."""

import os
import tempfile
from pathlib import Path

from .. import kernel
from ..layout import ROOT
from . import measured

SHARED = ROOT.parent / "shared" / "data"
SMALL = {"preset": "small"}
LARGE = {"preset": "large", "batch_size": 64}
# nanoGPT's recipe for a CPU: 4 layers, 4 heads, width 128, context 64, batch 12, AdamW.
NANOGPT = {"preset": "small", "n_layers": 4, "emb_dim": 128, "n_heads": 4, "batch_size": 12, "optimiser": "adamw", "lr": 0.001}
NANOGPT_CONFIG = {"positions": "learned", "norm": "layer", "activation": "gelu", "qk_norm": "false", "tied": "true"}


def texts() -> tuple[Path, Path]:
    """TinyStories where it lies beside the project, else the project's own stories."""
    if SHARED.exists():
        return SHARED / "tinystories-train.txt", SHARED / "tinystories-valid.txt"
    return ROOT / "data" / "stories-train.txt", ROOT / "data" / "stories-valid.txt"


def command() -> Path:
    """glasslab's command; `GLASSLAB_COMMAND` names one that was built elsewhere."""
    return Path(os.environ.get("GLASSLAB_COMMAND") or kernel.program("glasslab"))


BEFORE = "before"


def sides() -> dict[str, Path]:
    """glasslab's command, and beside it the one that `GLASSLAB_BEFORE` names: what a change has given, in one run."""
    before = os.environ.get("GLASSLAB_BEFORE")
    return {"glasslab": command(), **({BEFORE: Path(before)} if before else {})}


def device() -> str:
    """Where glasslab computes, in PyTorch's words: it takes a GPU where there is one, and so must its peer."""
    return measured([command(), "doctor", "--json"])["device"].partition("(")[0].lower()


def short(folder: Path) -> Path:
    """A held-out text of so few stories that measuring it on the way costs nothing, where speed is what is measured."""
    text = folder / "held-out.txt"
    text.write_text(texts()[1].read_text(encoding="utf-8")[:2000], encoding="utf-8")
    return text


def train(options: dict, model_config: dict | None = None, train_config: dict | None = None,
          program: Path | None = None, speed: bool = False) -> dict:
    """Runs `glasslab train`, or that of another build; options are its flags, the others its config's fields. Of a training for its
    `speed` the loss is one of a few stories only."""
    data, held_out = texts()
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        held_out = short(Path(folder)) if speed else held_out
        config = Path(folder) / "bench.toml"
        quote = lambda value: value if value in ("true", "false") or not isinstance(value, str) else f'"{value}"'
        files = {"data": str(data), "held_out": str(held_out), "out": f"{folder}/m.safetensors"}
        lines = [f"{name} = {quote(value)}" for name, value in {**files, **options}.items()]
        for table, fields in (("model_config", model_config), ("train_config", train_config)):
            lines += [f"[{table}]"] + [f"{name} = {quote(value)}" for name, value in (fields or {}).items()]
        config.write_text("\n".join(lines) + "\n")
        return measured([program or command(), "train", "--config", config, "--json"])

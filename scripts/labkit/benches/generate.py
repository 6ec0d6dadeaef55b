"""Writing with `small`, and `large` where there is a GPU: characters a second for one prompt and for 64, beside PyTorch
without a cache and with one."""

import tempfile
from pathlib import Path

from .. import peers
from ..peers import ours
from ..say import line


def run(brief: bool) -> dict:
    turns = 1 if brief else 3
    device, figures = ours.device(), {}
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        for preset in ("small",) if device == "cpu" else ("small", "large"):
            model = Path(folder) / f"{preset}.safetensors"
            peers.measured([ours.command(), "train", "--preset", preset, "--steps", "1", "--data", ours.texts()[0], "--out", model,
                            "--json"])
            for batch, chars in ((1, 20), (64, 20)) if brief else ((1, 2000), (64, 400)):
                speeds = {"glasslab": [], "no": [], "yes": []}
                for _ in range(turns):
                    mine = peers.measured([ours.command(), "generate", model, "--samples", batch, "--chars", chars, "--json"])
                    speeds["glasslab"].append(batch * chars / mine["seconds"])
                    for cache in ("no", "yes"):
                        theirs = peers.run("generate", model=preset, batch=batch, chars=chars, cache=cache, device=device)
                        speeds[cache].append(theirs["chars_per_s"])
                for cache, name in (("no", "without"), ("yes", "with")):
                    ratios = ours.ratio(speeds["glasslab"], speeds[cache])
                    line(f"{preset}, {batch:>2} prompts, characters/s, glasslab : PyTorch {name} cache {ours.show(ratios)}")
                    figures[f"{preset}_{batch}_prompts_{name}_cache"] = ratios[0]
    return figures

"""Writing with `small`, and `large` where there is a GPU: characters a second for one prompt and for 64, beside PyTorch
without a cache and with one."""

import tempfile
from pathlib import Path

from .. import peers
from ..claims import Found, Peak, Size, claim, of_peak
from ..peers import ours
from ..say import line

GOALS = {(1, "without"): 4, (1, "with"): 2.5, (64, "without"): 4, (64, "with"): 2.2}


def run(size: Size, peak: Peak) -> Found:
    device, found = ours.device(), Found()
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        for preset in ("small",) if device == "cpu" else ("small", "large"):
            # Another build may not know this one's models.
            models = {name: Path(folder) / f"{preset}-{name}.safetensors" for name in ours.sides()}
            made = {name: peers.measured([command, "train", "--preset", preset, "--steps", "1", "--data", ours.texts()[0], "--out",
                                          models[name], "--json"]) for name, command in ours.sides().items()}
            for batch, chars in size.of(((1, 20), (64, 20)), ((1, 100), (64, 50)), ((1, 2000), (64, 400))):
                sides = {"without": [], "with": [], **{name: [] for name in ours.sides()}}
                for _ in range(size.of(1, 2, 5)):
                    for name, command in ours.sides().items():
                        mine = peers.measured([command, "generate", models[name], "--samples", batch, "--chars", chars, "--json"])
                        sides[name].append(batch * chars / mine["seconds"])
                    theirs = peers.run("generate", model=preset, batch=batch, chars=chars, device=device)
                    for name in ("without", "with"):
                        sides[name].append(theirs[name])
                mine, prompts = sides.pop("glasslab"), "one prompt" if batch == 1 else f"{batch} prompts"
                for name, theirs in sides.items():
                    told = claim(mine, theirs)
                    beside = name if name == ours.BEFORE else f"PyTorch {name} a cache"
                    line(f"{preset}, {prompts}: characters/s, glasslab : {beside:<24} {told}")
                    if name != ours.BEFORE:
                        goal = GOALS[batch, name]
                        found.add(f"{preset}_{batch}_prompts_{name}_cache", told, f"{prompts} of {chars:,} characters by `{preset}`, beside {beside}",
                                  str(goal), goal)
                line(f"{preset}, {prompts}: {max(mine):,.0f} characters/s at most, "
                     + of_peak(2 * made["glasslab"]["parameters"] * max(mine), peak.operations, "products"))
    return found

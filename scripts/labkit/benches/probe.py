"""What the empty probe costs a training step, and how long a 128 × 128 heatmap takes.

A step of `small` (32 × 64 characters; forward, loss, gradients) through the model's own forward pass, which calls
a probe some 50 times, beside the same arithmetic written out without a probe (crates/glasslab/examples/probe.rs),
by turns in one process.
"""

import json

from .. import kernel, tools
from ..claims import Found, Peak, Size
from ..say import line


def run(size: Size, peak: Peak) -> Found:
    program = kernel.example("probe")
    answer = tools.run([program, size.of(4, 10, 150)], "The example `probe` failed.")
    figures = json.loads(answer.splitlines()[-1])
    low, middle, high = figures["ratio_quartiles"]
    figures["within_noise"] = low <= 1 <= high
    noise = "within noise" if figures["within_noise"] else "outside noise"
    line(f"logits with and without probe calls differ by at most {figures['max_abs_difference']:g}")
    for name, key in [("with the empty probe", "step_s"), ("without any probe", "step_s_plain")]:
        quartiles = figures[f"{key}_quartiles"]
        line(f"{name:22} {1000 * figures[key]:8.1f} ms a step (quartiles {1000 * quartiles[0]:.1f} to {1000 * quartiles[2]:.1f})")
    line(f"ratio, pair by pair    {middle:8.3f} (quartiles {low:.3f} to {high:.3f}), {figures['pairs']} pairs: {noise}")
    line(f"heatmap 128 × 128      {figures['heatmap_ms']:8.1f} ms, {figures['heatmap_bytes']} bytes (promised: 50 ms, 200,000 bytes)")
    found = Found(**figures)
    found.tell("a training step with the empty probe, beside one without any",
               f"{low:.3f} to {high:.3f} in half of {figures['pairs']} pairs: {noise}", "within noise", figures["within_noise"])
    found.tell("a 128 × 128 heatmap", f"{figures['heatmap_ms']:.1f} ms, {figures['heatmap_bytes'] / 1000:.0f} kB", "50 ms, 200 kB",
               figures["heatmap_ms"] <= 50 and figures["heatmap_bytes"] <= 200_000)
    return found

"""What a trace costs: a text of 64 characters through `small`, untraced, traced, and traced there and back.

By turns in one process (crates/glasslab/examples/trace.rs). Promised: there and back at most 3 times as long as there.
"""

import json

from .. import kernel, tools
from ..claims import Found, Peak, Size
from ..say import line


def run(size: Size, peak: Peak) -> Found:
    program = kernel.example("trace")
    answer = tools.run([program, size.of(4, 20, 150)], "The example `trace` failed.")
    figures = json.loads(answer.splitlines()[-1])
    line(f"forward pass, untraced {figures['pass_ms']:8.1f} ms")
    for name, key in [("model.trace(text)", "trace_ms"), ("model.backward(text)", "backward_ms")]:
        low, middle, high = figures[f"{key}_quartiles"]
        line(f"{name:22} {middle:8.1f} ms (quartiles {low:.1f} to {high:.1f})")
    low, middle, high = figures["ratio_quartiles"]
    line(f"ratio, turn by turn    {middle:8.2f} (quartiles {low:.2f} to {high:.2f}), {figures['turns']} turns")
    found = Found(**figures)
    found.tell("`small` and a text of 64 characters, there and back (`model.backward`) : there (`model.trace`)",
               f"{middle:.2f} × ({low:.2f} to {high:.2f})", "3", middle <= 3)
    return found

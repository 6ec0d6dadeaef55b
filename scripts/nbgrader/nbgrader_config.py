"""What nbgrader has to know of Rust. `scripts/lab nbgrader` makes it read this."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from labkit.exercises import STUB

c = get_config()  # noqa: F821 (traitlets puts it here)
c.ClearSolutions.code_stub = {"rust": STUB}
# The longest cells train a model, a minute on two cores.
c.Execute.timeout = 900
c.Execute.startup_timeout = 300

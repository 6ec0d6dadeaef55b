"""scripts/bench: the form of what each bench prints, never its figures.

Those beside PyTorch run where there is one: after `scripts/bench train`, or with GLASSLAB_TORCH_PYTHON.
"""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import kernel, peers, tools


def bench(name: str) -> dict:
    command = [sys.executable, ROOT / "scripts" / "bench", "--brief", "--json", name]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **tools.TEXT)
    if answer.returncode != 0:
        raise AssertionError(answer.stdout)
    return json.loads(answer.stdout.splitlines()[-1])


class Form(unittest.TestCase):
    def assert_form(self, name: str, fields: set):
        self.assert_fields(bench(name), fields)

    def assert_fields(self, figures: dict, fields: set):
        self.assertLessEqual(fields, set(figures))
        for field in fields:
            self.assertGreater(figures[field], 0, field)

    def test_the_probe(self):
        self.assert_form("probe", {"ratio", "step_s", "step_s_plain", "heatmap_ms", "heatmap_bytes", "pairs"})

    def test_the_trace(self):
        self.assert_form("trace", {"ratio", "pass_ms", "trace_ms", "backward_ms", "turns"})

    @unittest.skipUnless(kernel.has_stock(), "plain evcxr_jupyter is not built: `scripts/bench kernel` builds it")
    def test_the_kernel(self):
        fields = ("ready_s", "first_cell_s", "cell_s", "rss_mb", "child_rss_mb")
        self.assert_form("kernel", {name + end for name in fields for end in ("", "_stock")} | {"callback_s", "rss_after_mb"})

    def test_the_data(self):
        figures = bench("data")
        self.assert_fields(figures["fetched"], {"train", "validation", "seconds", "again_seconds", "opened_ms", "opened_mb"})
        self.assert_fields(figures["large"]["row groups of 1,000"], {"mb_per_s", "pyarrow_mb_per_s", "ratio", "peak_mb"})

    def test_a_busy_machine(self):
        cases, kinds = ("alone", "beside_one", "beside_nice", "two"), ("by_load", "spinning")
        self.assert_form("busy", {f"{case}_{kind}" for case in cases for kind in kinds})

    def test_an_unknown_bench_is_told_which_there_are(self):
        answer = subprocess.run([sys.executable, ROOT / "scripts" / "bench", "nothing"], stderr=subprocess.PIPE, **tools.TEXT)
        self.assertEqual(answer.returncode, 2)
        self.assertIn("there is no bench nothing; there are attention", answer.stderr)

    @unittest.skipUnless("GLASSLAB_TORCH_PYTHON" in os.environ or peers.there(), "there is no PyTorch: `scripts/bench train` fetches it, GLASSLAB_TORCH_PYTHON names one")
    def test_those_beside_pytorch(self):
        self.assert_form("train", {"small_eager", "nanogpt_eager"})
        self.assert_form("lab", {"speed_up", "nats_per_char", "loop_train_nats"})
        self.assert_form("generate", {f"small_{batch}_prompts_{kind}_cache" for batch in (1, 64) for kind in ("with", "without")})
        self.assert_form("attention", {"64", "128"})
        self.assert_form("memory", {"ratio", "glasslab_mb", "pytorch_mb"})
        self.assert_form("quality", {"nanogpt_s", "nats_at_2_s"})


if __name__ == "__main__":
    unittest.main()

"""scripts/bench: the form of what each bench prints, never its figures.

Those beside PyTorch run where there is one: after `scripts/bench train`, or with GLASSLAB_TORCH_PYTHON.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from labkit import claims, kernel, peers, tools


def bench(name: str) -> dict:
    command = [sys.executable, ROOT / "scripts" / "bench", "--brief", "--json", name]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **tools.TEXT)
    if answer.returncode != 0:
        raise AssertionError(answer.stdout)
    return json.loads(answer.stdout.splitlines()[-1])


class Claims(unittest.TestCase):
    def test_a_ratio_that_wavers_more_than_it_says_is_not_told(self):
        sure = claims.claim([2.0, 2.1, 2.2, 2.0, 9.0], [1.0] * 5)
        self.assertEqual((sure.median, sure.low, sure.high), (2.1, 2.0, 2.2))
        self.assertEqual(str(sure), "2.10 × (2.00 to 2.20)")
        for ours in ([0.8, 0.9, 1.2], [1.0, 1.1, 1.3], [0.1, 1.01, 5.0]):
            wavering = claims.claim(ours, [1.0] * 3)
            self.assertIn("no ratio", str(wavering))
            self.assertIsNone(wavering.figures("x")["x"])
            self.assertNotIn(f"{wavering.median:.2f} ×", str(wavering))

    def test_a_goal_that_is_missed_or_not_shown_is_bold(self):
        found = claims.Found()
        for name, ours in (("met", [3.0, 3.1, 3.0]), ("missed", [2.0, 2.1, 2.0]), ("unsure", [2.0, 9.0, 3.0])):
            found.add(name, claims.claim(ours, [1.0] * 3), name, "2.5", 2.5)
        found.add("more than the most", claims.claim([0.7, 0.7, 0.7], [1.0] * 3), "time", "0.6", most=0.6)
        found.add("less", claims.claim([0.5, 0.5, 0.5], [1.0] * 3), "time", "0.6", most=0.6)
        found.tell("seconds", "6.5 s", "6 s", False)
        found.tell("memory", "240 MB", "700 MB", True)
        self.assertEqual([measured.startswith("**") for _, measured, _ in found.rows], [False, True, True, True, False, True, False])

    def test_the_table_is_the_commands_and_not_a_hands(self):
        text = claims.TABLE.read_text(encoding="utf-8")
        self.assertEqual(claims.with_table(text, claims.read()), text, "scripts/bench --write NAME writes the table")

    def test_a_bench_writes_its_own_rows_and_leaves_the_others(self):
        with tempfile.TemporaryDirectory() as folder:
            table, figures = Path(folder, "t.md"), Path(folder, "f.json")
            table.write_text(f"before\n{claims.BEGIN}old{claims.END}\nafter\n", encoding="utf-8")
            with mock.patch.object(claims, "TABLE", table), mock.patch.object(claims, "FIGURES", figures):
                claims.write("b", [("x", "2 ×", "1")], "a machine")
                claims.write("a", [("y", "3 ×", "")], "a machine")
                claims.write("b", [("x", "4 ×", "1")], "another")
            text = table.read_text(encoding="utf-8")
        self.assertIn("| `a`: y | 3 × |  |\n| `b`: x | 4 × | 1 |\n", text)
        self.assertIn("a machine (`a`); another (`b`).", text)
        self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"))
        self.assertNotIn("2 ×", text)


class Form(unittest.TestCase):
    def assert_form(self, name: str, fields: set):
        self.assert_fields(bench(name), fields)

    def assert_fields(self, figures: dict, fields: set):
        self.assertLessEqual(fields, set(figures))
        for field in fields:
            self.assertGreater(figures[field], 0, field)

    def test_the_probe(self):
        self.assert_form("probe", {"ratio", "step_s", "step_s_plain", "heatmap_ms", "heatmap_bytes", "pairs"})

    def test_the_growth(self):
        figures = bench("grow")
        for course in ("context-time: learning", "context-time: writing one more", "size-memory: wider", "data: memory, MB",
                       "notebooks: memory of all, MB"):
            with self.subTest(course=course):
                self.assertEqual(len(figures[course]["sizes"]), len(figures[course]["costs"]))
                self.assertTrue(all(cost > 0 for cost in figures[course]["costs"]), figures[course])

    def test_the_trace(self):
        self.assert_form("trace", {"ratio", "pass_ms", "trace_ms", "backward_ms", "turns"})

    def test_the_kernel(self):
        """Beside plain evcxr_jupyter, where that is built: `scripts/bench kernel` does."""
        fields, ends, beside = ("ready_s", "first_cell_s", "cell_s", "rss_mb", "child_rss_mb"), [""], set()
        if kernel.has_stock():
            ends, beside = ["", "_stock"], {"cell_low", "cell_high"}
        self.assert_form("kernel", {name + end for name in fields for end in ends} | beside |
                         {"callback_s", "rss_after_mb", "train_low", "train_high"})

    def test_the_data(self):
        figures = bench("data")
        self.assert_fields(figures["fetched"], {"train", "validation", "seconds", "again_seconds", "opened_ms", "opened_mb"})
        self.assert_fields(figures["large"]["row groups of 1,000"], {"mb_per_s", "pyarrow_mb_per_s", "ratio_low", "ratio_high", "peak_mb"})

    def test_a_busy_machine(self):
        cases, kinds = ("alone", "beside_one", "beside_nice", "two"), ("by_load", "spinning")
        self.assert_form("busy", {f"{case}_{kind}" for case in cases for kind in kinds})

    def test_an_unknown_bench_is_told_which_there_are(self):
        answer = subprocess.run([sys.executable, ROOT / "scripts" / "bench", "nothing"], stderr=subprocess.PIPE, **tools.TEXT)
        self.assertEqual(answer.returncode, 2)
        self.assertIn("there is no bench nothing; there are attention", answer.stderr)

    def test_what_is_published_is_measured_in_full(self):
        command = [sys.executable, ROOT / "scripts" / "bench", "--write", "--brief", "memory"]
        answer = subprocess.run(command, stderr=subprocess.PIPE, **tools.TEXT)
        self.assertEqual(answer.returncode, 2)
        self.assertIn("measured in full", answer.stderr)

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

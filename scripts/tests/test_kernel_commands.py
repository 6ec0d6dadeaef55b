"""evcxr's commands in the lab's kernel, cells that end in the middle, and more output than a page can hold."""

import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_kernel_live import Kernel, Shared, text, told

TENSOR = "Tensor::from_slice(&[1.0, 2.0]).size()[0]"


class CommandTest(Shared):
    def test_a_command_acts_when_its_cell_is_run_and_not_when_it_is_looked_at(self):
        self.run_well("let kept = 41_i64;\nfn also_kept() -> i64 { 1 }")
        for cell in (":restart\nkept.", ":clear\nkept.", ":opt 0\nkept."):
            self.kernel.client.complete(cell, reply=True, timeout=60)
            self.kernel.client.inspect(cell, len(cell) - 2, reply=True, timeout=60)
        self.assertEqual(self.kernel.value("kept + also_kept()"), "42")
        reply = self.kernel.client.complete(":res", reply=True, timeout=60)["content"]
        self.assertEqual(reply["matches"], [":restart"])

    def test_the_level_of_optimisation_is_told_and_set_wherever_it_stands_and_the_library_stays(self):
        self.assertIn("level 1", self.kernel.value(":opt"))
        self.assertIn("level 3 from now on", self.kernel.value("// as quick as can be\n:opt 3"))
        self.assertEqual(self.kernel.value(TENSOR), "2")
        reply, outputs = self.kernel.run(":opt 1\n" + TENSOR)
        self.assertEqual(reply["status"], "ok")
        self.assertIn("level 1 from now on", text(outputs))
        self.assertEqual(self.kernel.value(":opt\n" + TENSOR), "2")
        self.assertIn("expected :opt 0, 1, 2 or 3, got :opt 9", told(self.kernel.run(":opt 9\n1 + 1")[0]))

    def test_after_clear_all_is_as_at_a_fresh_start(self):
        self.run_well("fn mine() -> i64 { 1 }\nlet gone = 1;")
        self.run_well(":clear")
        for cell in ("mine()", "gone"):
            self.assertEqual(self.kernel.run(cell)[0]["status"], "error")
        self.assertEqual(self.kernel.value(TENSOR), "2")

    def test_what_has_no_effect_says_so_at_once(self):
        for cell in (":linker lld", ":toolchain nightly", ":cache 500\n1 + 1", ":fmt {:#?}", ":timing", ":quit"):
            self.assertIn("has no effect here", told(self.kernel.run(cell)[0]))
        self.assertEqual(self.kernel.value("20 + 22"), "42")


class WholeTest(Shared):
    def test_a_cell_that_ends_in_the_middle_is_an_error_and_changes_nothing(self):
        self.run_well("let kept = 41;")
        for cell, says in [("use std::", "use std::"), ("let", "`let`"), ("}", "closes nothing"), ("fn f() {\n    1", "of line 1 is never closed"),
                           ("let s = \"abc;", "has no end")]:
            reply, _ = self.kernel.run(cell)
            self.assertEqual(reply["status"], "error", cell)
            self.assertIn(says, told(reply))
        self.assertEqual(self.kernel.value("kept + 1"), "42")

    def test_an_error_is_the_cells_own_and_not_a_warning_or_a_place_in_another_cell(self):
        self.run_well("macro_rules! mine { () => { 1 } }\nfn takes(x: &Tensor) -> Tensor { x.relu() }")
        reply, outputs = self.kernel.run("max(0, 1)")
        self.assertIn("cannot find function `max`", reply["evalue"])
        self.assertNotIn("unused", told(reply) + str(outputs))
        self.assertIn("expected `&Tensor`, found `Tensor`", told(self.kernel.run("takes(Tensor::from(1.0))")[0]))


class PouringTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.addCleanup(self.kernel.stop)

    def test_a_loop_that_prints_for_ever_is_shown_in_part_and_stopped_in_time(self):
        self.kernel.run("1")
        times = {}

        def on(message):
            if message["msg_type"] == "stream":
                if "first" not in times:
                    times["first"] = time.monotonic()
                elif "asked" not in times and time.monotonic() - times["first"] > 3:
                    times["asked"] = time.monotonic()
                    self.kernel.manager.interrupt_kernel()
                    self.kernel.manager.interrupt_kernel()

        # A line to standard error each second, so that there is something to count time by once no more text is shown.
        reply, outputs = self.kernel.run(
            'let begun = std::time::Instant::now(); let mut told = 0; loop { println!("OK"); if begun.elapsed().as_secs() > told '
            '{ told += 1; Picture { svg: "<svg/>".into(), alt: "".into() }.show(); println!("x"); } }',
            on=lambda message: on({**message, "msg_type": "stream"}) if message["msg_type"] == "display_data" else on(message))
        self.assertEqual(reply["status"], "error")
        self.assertIn("did not stop", told(reply))
        self.assertLess(time.monotonic() - times["asked"], 8)  # 3 s of grace, and a busy machine
        self.assertLess(len(outputs), 1000)
        self.assertLess(len(text(outputs)), 2_100_000)
        self.assertIn("which are not shown", text(outputs, "stderr"))
        self.assertEqual(self.kernel.value("20 + 22"), "42")

    def test_too_many_pictures_are_counted(self):
        reply, outputs = self.kernel.run('for _ in 0..1100 { Picture { svg: "<svg/>".into(), alt: "".into() }.show(); }')
        self.assertEqual(reply["status"], "ok")
        self.assertEqual(sum(kind == "display_data" for kind, _ in outputs), 1000)
        self.assertIn("100 pictures more", text(outputs, "stderr"))

    def test_a_full_stack_and_refused_memory_are_named(self):
        for cell, says in [
                ("fn deep(n: u64) -> u64 { let a = [n; 100]; std::hint::black_box(&a); deep(n + 1) + a[3] }\ndeep(0)", "stack overflow"),
                ("let much: Vec<u8> = Vec::with_capacity(1 << 62);", "refused the memory")]:
            self.assertIn(says, told(self.kernel.run(cell)[0]))
        self.assertEqual(self.kernel.value("20 + 22"), "42")


if __name__ == "__main__":
    unittest.main()

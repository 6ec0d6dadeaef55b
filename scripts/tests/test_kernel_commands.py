"""evcxr's commands in the lab's kernel, cells that end in the middle, and more output than a page can hold."""

import os
import sys
import tempfile
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

    def test_a_clear_that_is_stopped_on_its_way_leaves_the_library_to_the_next_cell(self):
        for _ in range(3):  # the compiler may be quicker than the button
            sent = self.kernel.client.execute(":clear")
            while not self.kernel.compilers():
                time.sleep(0.005)
            self.kernel.manager.interrupt_kernel()
            while self.kernel.client.get_shell_msg(timeout=60)["parent_header"]["msg_id"] != sent:
                pass
            self.assertEqual(self.kernel.value(TENSOR), "2")

    def test_after_restart_variables_are_gone_and_functions_are_there(self):
        self.run_well("fn stays() -> i64 { 42 }\nlet goes = vec![1];")
        self.assertIn("all variables are gone", self.kernel.value(":restart"))
        self.assertIn("goes is gone since In[", told(self.kernel.run("goes")[0]))
        self.assertEqual(self.kernel.value("let goes = 1; stays()"), "42")

    def test_all_other_commands_work(self):
        self.run_well("let x = 5_i64;")
        for cell, says in [(":vars", "x: i64"), (":type x", "x: i64"), (":t x", "i64"), (":help", ":dep"), (":doc std::vec::Vec", "growable"),
                           (":build_env A=b\nenv!(\"A\")", "b"), (":env C=d\nstd::env::var(\"C\").is_err()", "true"), (":version", "."),
                           (":last_compile_dir", "sessions"), (":offline 1", "true"), (":offline 0", "false"), ("!echo out", "out"),
                           (":efmt {:?}", "Debug"), (":efmt {}", "Display")]:
            self.assertIn(says, self.kernel.value(cell), cell)
        self.run_well(":show_deps")
        self.assertEqual(self.kernel.run("nobody")[0]["status"], "error")
        self.assertIn("unresolved name", self.kernel.value(":explain"))

    def test_what_has_no_effect_says_so_at_once(self):
        for cell in (":linker lld", ":toolchain nightly", ":cache 500\n1 + 1", ":fmt {:#?}", ":timing", ":quit"):
            self.assertIn("has no effect here", told(self.kernel.run(cell)[0]))
        self.assertEqual(self.kernel.value("20 + 22"), "42")


class WholeTest(Shared):
    def test_a_cell_that_ends_in_the_middle_is_an_error_and_changes_nothing(self):
        self.run_well("let kept = 41;")
        for cell, says in [("use std::", "use std::"), ("let", "`let`"), ("}", "closes nothing"), ("fn f() {\n    1", "of line 1 is never closed"),
                           ("let s = \"abc;", "has no end"), ("let a = std::", "std::")]:
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


class DependencyTest(Shared):
    def test_what_would_build_the_library_anew_is_refused_and_nothing_is_lost(self):
        self.kernel.run("let kept = 41;")
        reply, _ = self.kernel.run(':dep serde_json = { version = "1", features = ["preserve_order"] }')
        self.assertIn("serde_json can't be added with", told(reply))
        self.assertIn(":dep serde_json = ", told(reply))
        self.assertEqual(self.kernel.value("kept + 1"), "42")
        self.assertEqual(self.kernel.value(TENSOR), "2")

    def test_a_crate_in_a_folder_is_the_one_that_is_written_there(self):
        kernel = Kernel()  # of its own, because the folder goes away with this test
        self.addCleanup(kernel.stop)
        folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "mine"
        (folder / "src").mkdir(parents=True)
        (folder / "Cargo.toml").write_text('[package]\nname = "mine"\nversion = "0.1.0"\nedition = "2024"\n')
        source, line = folder / "src/lib.rs", f':dep mine = {{ path = "{folder}" }}\n'

        def write(code, seconds):
            source.write_text(code)
            os.utime(source, (time.time() + seconds, time.time() + seconds))

        write("pub struct M { pub a: i64 }\npub fn f() -> i64 { 1 }", 0)
        self.assertEqual(kernel.value(line + "mine::f()"), "1")
        kernel.run("let m = mine::M { a: 1 }; let kept = 41;")
        write("pub struct M { pub a: i64, pub b: String }\npub fn f() -> i64 { 2 }\npub fn g() -> Vec<i64> { vec![3] }", 5)
        self.assertIn("2", str(kernel.run("mine::f()")[1]))
        self.assertIn("m is gone since", told(kernel.run("m.a")[0]), "it is of a type that there is no more")
        self.assertEqual(kernel.value(line + "let v = mine::g(); v[0]"), "3")
        write("pub fn f() -> i64 { wrong }", 10)
        self.assertIn("lib.rs, line 1", told(kernel.run("mine::f()")[0]))
        write("pub fn f() -> i64 { 4 }", 15)
        self.assertEqual(kernel.value("mine::f()"), "4")
        self.assertEqual(kernel.value("kept + 1"), "42")

    def enterContext(self, context):  # unittest has it from Python 3.11 on
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value


class PouringTest(Shared):
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

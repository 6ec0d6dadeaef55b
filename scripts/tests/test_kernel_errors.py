"""What a learner is told: mistakes of who comes from Python, earlier versions of a function, and what Tab offers first.

`python scripts/tests/test_kernel_errors.py --record` writes rustc's messages about the mistakes anew, for the tests in Rust.
"""

import json
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_kernel_live import Kernel, Shared, text, told

MISTAKES = Path(__file__).resolve().parents[2] / "crates" / "glasslab-kernel" / "tests" / "mistakes.json"
# What the mistakes speak of.
GIVEN = ("let pair = (Kind::Float, Device::Cpu);\n"
         "let x = Tensor::ones([2, 3], pair); let t = Tensor::ones([2, 3], pair); let a = Tensor::ones([2, 3], pair);\n"
         "let b = Tensor::ones([3, 2], pair); let n = 3_i64; let at = 2_usize; let ids = vec![1_i64, 2]; let v = vec![1.0_f64];\n"
         "let name = \"Ada\".to_string(); let ok = true; let model = MlpLm::new(MlpConfig::default(), Device::Cpu)?;")


class MistakesTest(Shared):
    def test_a_mistake_is_told_with_what_to_write(self):
        """Some of them in the running kernel; a test in Rust goes through them all, with rustc's recorded words."""
        self.run_well(GIVEN)
        for mistake in json.loads(MISTAKES.read_text(encoding="utf-8"))[::8]:
            with self.subTest(mistake["cell"]):
                reply, _ = self.kernel.run(mistake["cell"])
                self.assertEqual(reply["status"], "error")
                self.assertIn(mistake["says"], told(reply))

    def test_what_evcxr_refuses_is_said_in_a_learners_words(self):
        for cell, says in [("let add = |x: i32| x + 1;", "fn add("), ("let it = (0..3).map(|n| n + 1);", ".collect::<Vec<_>>()")]:
            reply, _ = self.kernel.run(cell)
            self.assertIn(says, told(reply))
            self.assertNotIn("evcxr", told(reply))


class AgainTest(Shared):
    def test_an_impl_that_is_run_again_takes_its_own_place_and_leaves_others(self):
        self.run_well("struct Mine;")
        for number in (1, 2):
            self.run_well(f"impl Mine {{ fn one(&self) -> i64 {{ {number} }} }}")
            self.run_well(f"impl std::fmt::Display for Mine {{ fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {{ write!(f, \"{number}\") }} }}")
        self.run_well("impl Mine { fn two(&self) -> i64 { 40 } }")
        self.assertEqual(self.kernel.value("format!(\"{Mine} {}\", Mine.one() + Mine.two())"), '"2 42"')
        self.assertEqual(self.kernel.client.complete("GlasslabI", reply=True, timeout=60)["content"]["matches"], [])
        reply, _ = self.kernel.run("impl Mine { fn three(&self) -> i64 { \"x\" } }")
        line, marks = [row.split("| ", 1)[1] for row in told(reply).splitlines() if "| " in row][:2]
        self.assertEqual(marks.index("^"), line.index('"x"'), "nothing of what the kernel puts in is seen")

    def test_what_a_macro_declares_is_there_for_the_next_cell_and_can_be_declared_again(self):
        self.run_well("macro_rules! record { ($name:ident { $($field:ident),* }) => { #[derive(Debug)] struct $name { $($field: i64),* } } }")
        self.run_well("record!(Made { a });\nlet made = Made { a: 1 };")
        self.assertEqual(self.kernel.value("Made { a: made.a + 1 }.a"), "2")
        self.run_well("record!(Made { a, b });")
        self.assertEqual(self.kernel.value("format!(\"{:?}\", Made { a: 1, b: 2 })"), '"Made { a: 1, b: 2 }"')
        reply, _ = self.kernel.run("record!(Other { a });\nlet other: i64 = \"x\";")
        self.assertIn("line  2 | let other: i64 = \"x\";\n        |                  ^^^", told(reply))

    def test_a_variable_that_was_given_away_is_found_where_it_went(self):
        self.run_well("let s = String::from(\"a\");")
        away, _ = self.kernel.run("let n = 1;\nlet t = s;")
        self.assertIn(f"s was given away in In[{away['execution_count']}]: let t = s;", told(self.kernel.run("let u = s;")[0]))

    def test_marks_stand_under_tabs_and_wide_characters(self):
        said = told(self.kernel.run("\tlet 名前: i64 = \"x\";")[0])
        self.assertIn("line  1 |     let 名前: i64 = \"x\";\n        |                     ^^^", said)


class VersionsTest(Shared):
    def test_a_cell_that_uses_an_earlier_version_says_so_until_the_new_one_compiles(self):
        first, _ = self.kernel.run("fn my_relu(x: &Tensor) -> Tensor { x.abs() }")
        failed, _ = self.kernel.run("fn my_relu(x: &Tensor) -> Tensor { x.relu() + missing }")
        self.assertEqual(failed["status"], "error")
        outputs = self.run_well("check::relu(my_relu)")
        note = (f"my_relu is still the version of In[{first['execution_count']}]: your last change of it is in "
                f"In[{failed['execution_count']}], which did not compile.")
        self.assertIn(note, text(outputs, "stderr"))
        self.assertEqual(text(self.run_well("1 + 1"), "stderr"), "")
        self.run_well("fn my_relu(x: &Tensor) -> Tensor { x.relu() }")
        self.assertEqual(text(self.run_well("check::relu(my_relu).require()?;"), "stderr"), "")

    def test_an_unfinished_cell_is_a_change_that_did_not_come(self):
        first, _ = self.kernel.run("fn my_half(x: f64) -> f64 { x / 3.0 }")
        self.kernel.run("fn my_half(x: f64) -> f64 { x / 2.0")
        self.assertIn(f"my_half is still the version of In[{first['execution_count']}]", text(self.run_well("my_half(1.0)"), "stderr"))

    def test_a_function_that_never_compiled_is_found_in_its_cell(self):
        failed, _ = self.kernel.run("fn my_own(x: &Tensor) -> Tensor { x.relu() + missing }")
        reply, _ = self.kernel.run("my_own(&Tensor::from(1.0))")
        self.assertIn(f"my_own stands in In[{failed['execution_count']}], which did not compile", told(reply))


class CompletionTest(Shared):
    def names(self, code):
        reply = self.kernel.client.complete(code, reply=True, timeout=60)["content"]
        types = reply["metadata"]["_jupyter_types_experimental"]
        self.assertEqual([entry["text"] for entry in types], reply["matches"], "JupyterLab takes them side by side")
        return [re.match(r"\w*", match)[0] for match in reply["matches"]]

    def setUp(self):
        self.run_well("let x = Tensor::from_slice(&[1.0, 2.0]);")

    def test_tab_offers_first_what_the_lab_uses_and_last_what_it_never_does(self):
        names = self.names("x.")
        self.assertGreater(len(names), 3000)
        first = names[:50]
        for name in ("size", "get", "matmul", "softmax", "sum_dim_intlist", "mean", "view", "transpose", "unsqueeze", "narrow", "gather",
                     "double_value", "backward", "grad", "relu", "clamp_min", "shallow_clone", "print"):
            self.assertIn(name, first)
        self.assertFalse([name for name in first if name.endswith("_") or name.startswith(("f_", "internal_"))], first)
        seldom = [name.startswith(("f_", "internal_", "g_")) or name.endswith(("_", "_out")) for name in names]
        self.assertEqual(seldom, sorted(seldom), "all that is seldom wanted stands behind the rest")

    def test_a_prefix_finds_everything_and_what_makes_a_tensor_comes_first(self):
        names = self.names("let y = x.so")
        self.assertTrue({"softmax", "sort"} <= set(names), names)
        self.assertIn("f_softmax", self.names("let y = x.f_so"))
        self.assertEqual(self.names("Tensor::")[0], "from_slice")


def record():
    """Writes what rustc says about the mistakes."""
    def span(place):
        keys = ("file_name", "is_primary", "label", "suggested_replacement", "line_start", "line_end", "column_start", "column_end")
        kept = {key: place[key] for key in keys if place.get(key) not in (None, False)}
        kept["file_name"] = Path(kept["file_name"]).name
        kept["text"] = [{key: line[key] for key in ("text", "highlight_start", "highlight_end")} for line in place["text"][:2]]
        return kept

    def part(message, keys):
        return {**{key: message[key] for key in keys}, "spans": [span(place) for place in message["spans"][:8]]}

    kernel = Kernel()
    kernel.run(GIVEN)
    mistakes = json.loads(MISTAKES.read_text(encoding="utf-8"))
    for mistake in mistakes:
        kernel.run(mistake["cell"])
        said = kernel.run(":last_error_json")[0]["evalue"].splitlines()[0]
        message = json.loads(said)
        code = message.get("code") and {"code": message["code"]["code"]}
        children = [part(child, ("level", "message")) for child in message["children"]]
        mistake["rustc"] = {"code": code, **part(message, ("message",)), "children": children}
    kernel.stop()
    MISTAKES.write_text("[\n" + ",\n".join(json.dumps(mistake, ensure_ascii=False) for mistake in mistakes) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    record() if "--record" in sys.argv else unittest.main()

"""The teaching kernel's promises, each driven as Jupyter drives it: live output, stopping, errors, widgets, questions."""

import os
import queue
import re
import signal
import socket
import subprocess
import time
import unittest

import jupyter_kernel_test
import psutil
from jupyter_client.manager import KernelManager

LOOP = "let mut n = 0; while n < 600 {{ {inside} std::thread::sleep(std::time::Duration::from_millis(100)); n += 1; }}"


def seen(look, gone):
    """What `look` sees of a process, or `gone`: it may end while it is looked at."""
    try:
        return look()
    except psutil.NoSuchProcess:
        return gone


class Kernel:
    """One running kernel, and the messages of its cells in their order."""

    def __init__(self, name="glasslab"):
        self.manager = KernelManager(kernel_name=name)
        self.started = time.monotonic()
        self.manager.start_kernel(stdout=subprocess.DEVNULL)  # what it says on stderr is for who reads this run
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.ready = time.monotonic() - self.started

    def run(self, code, on=None, timeout=120, answers=(), **options):
        """The reply and the outputs; `on` may look at each message as it comes."""
        outputs, answers = [], list(answers)

        def take(message):
            if message["msg_type"] not in ("status", "execute_input"):
                outputs.append((message["msg_type"], message["content"]))
            if on:
                on(message)

        def answer(_message):
            self.client.input(answers.pop(0))

        reply = self.client.execute_interactive(code, output_hook=take, timeout=timeout, allow_stdin=bool(answers),
                                                stdin_hook=answer, **options)
        # A note that the kernel was loading is not the cell's.
        cleared = [at for at, (kind, content) in enumerate(outputs) if kind == "clear_output" and not content["wait"]]
        return reply["content"], outputs[cleared[-1] + 1:] if cleared else outputs

    def value(self, code):
        reply, outputs = self.run(code)
        assert reply["status"] == "ok", reply
        return next(content["data"]["text/plain"] for kind, content in outputs if kind == "execute_result")

    def process(self):
        return psutil.Process(self.manager.provisioner.pid)

    def cells(self):
        """The process that runs the cells."""
        return next(child for child in self.process().children() if "glasslab" in seen(child.name, "") + seen(child.exe, ""))

    def compilers(self):
        """The processes that compile a cell now."""
        return [child for child in self.process().children(recursive=True) if seen(child.name, "") == "rustc"]

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)


def text(outputs, name="stdout"):
    return "".join(content["text"] for kind, content in outputs if kind == "stream" and content["name"] == name)


def told(reply):
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join([reply["evalue"], *reply["traceback"]]))


class Shared(unittest.TestCase):
    """Tests that share one kernel, all of a file: each works whatever the others have left."""

    one = None

    @classmethod
    def setUpClass(cls):
        if Shared.one is None:
            Shared.one = Kernel()
            unittest.addModuleCleanup(Shared.end)
        cls.kernel = Shared.one

    @staticmethod
    def end():
        Shared.one.stop()
        Shared.one = None

    def run_well(self, code, **options):
        reply, outputs = self.kernel.run(code, **options)
        self.assertEqual(reply["status"], "ok", reply)
        return outputs


class OutputTest(Shared):
    def test_the_kernel_answers_within_a_second_and_a_waiting_cell_says_so(self):
        kernel = Kernel()
        self.addCleanup(kernel.stop)
        self.assertLess(kernel.ready, 30)  # with Jupyter's own start, on a busy machine; `scripts/bench kernel` measures
        kinds = []
        reply, _ = kernel.run("1 + 1", on=lambda message: kinds.append((message["msg_type"], str(message["content"]))))
        self.assertEqual(reply["status"], "ok")
        self.assertTrue(any(kind == "display_data" and "loading" in content for kind, content in kinds), kinds)

    def test_pictures_and_text_come_in_their_order(self):
        outputs = self.run_well(
            'for n in 0..3 { println!("before {n}"); Picture { svg: "<svg/>".into(), alt: format!("picture {n}") }.show(); }\n'
            'println!("after");')
        order = [content["text"].strip() if kind == "stream" else content["data"]["text/plain"] for kind, content in outputs]
        self.assertEqual(order, ["before 0", "picture 0", "before 1", "picture 1", "before 2", "picture 2", "after"])

    def test_output_comes_when_it_happens_also_without_a_newline(self):
        times = []
        self.run_well('use std::io::Write; for n in 0..3 { print!("{n} "); std::io::stdout().flush()?; '
                      'std::thread::sleep(std::time::Duration::from_millis(300)); }',
                      on=lambda message: times.append(time.monotonic()) if message["msg_type"] == "stream" else None)
        self.assertEqual(len(times), 3)
        self.assertGreater(times[2] - times[0], 0.4)

    def test_a_picture_stays_one_where_its_cell_gives_a_variable_away(self):
        outputs = self.run_well('let svg = "<svg/>".to_string();\nPicture { svg, alt: "a picture".into() }')
        self.assertIn("text/html", next(content["data"] for kind, content in outputs if kind == "execute_result"))

    def test_text_without_a_newline_is_not_lost_at_the_end(self):
        self.assertEqual(text(self.run_well('print!("no newline")')), "no newline")
        self.assertEqual(text(self.run_well('println!("next");')), "next\n")

    def test_a_figure_is_updated_at_most_five_times_a_second(self):
        outputs = self.run_well(
            'let mut figure = LiveFigure::new(); for n in 0..100 { figure.update(|| Ok::<_, Error>(Picture { svg: "<svg/>".into(), '
            'alt: format!("{n}") }))?; std::thread::sleep(std::time::Duration::from_millis(10)); } figure.finish();')
        first = [content for kind, content in outputs if kind == "display_data"]
        updates = [content for kind, content in outputs if kind == "update_display_data"]
        self.assertEqual(len(first), 1)
        self.assertTrue(2 <= len(updates) <= 7, len(updates))
        self.assertEqual({content["transient"]["display_id"] for content in updates}, {first[0]["transient"]["display_id"]})

    def test_a_progress_bar_moves(self):
        outputs = self.run_well(
            'let mut bar = Progress::new("work"); for n in 0..10 { bar.update(n as f64 / 10.0, || format!("step {n}")); '
            'std::thread::sleep(std::time::Duration::from_millis(100)); } bar.finish("done");')
        self.assertEqual(outputs[0][0], "display_data")
        self.assertIn("update_display_data", [kind for kind, _ in outputs])
        self.assertIn("done", outputs[-1][1]["data"]["text/plain"])

    def test_output_can_be_cleared(self):
        self.assertIn(("clear_output", {"wait": True}), self.run_well('println!("a"); clear_output(); println!("b");'))

    def test_many_lines_arrive_whole(self):
        self.assertEqual(text(self.run_well('for n in 0..20000 { println!("line {n}"); }')),
                         "".join(f"line {n}\n" for n in range(20000)))

    def test_a_question_is_answered(self):
        outputs = self.run_well('let name = ask("Who?")?; println!("hello {name}");', answers=["Ada"])
        self.assertEqual(text(outputs), "hello Ada\n")

    def test_what_c_code_prints_is_shown_with_its_cell(self):
        outputs = self.run_well('unsafe extern "C" { fn puts(text: *const std::ffi::c_char) -> i32; }\nunsafe { puts(c"from C".as_ptr()); }')
        self.assertEqual(text(outputs), "from C\n")

    def test_a_forgotten_end_of_rich_output_swallows_nothing(self):
        for end in ("println", "print"):
            self.assertIn("<b>x", text(self.run_well(f'{end}!("EVCXR_BEGIN_CONTENT text/html\\n<b>x");')))
            self.assertEqual(text(self.run_well('println!("next");')), "next\n")

    def test_reading_standard_input_asks_as_well(self):
        outputs = self.run_well('let mut line = String::new(); std::io::stdin().read_line(&mut line)?; println!("got {}", line.trim());',
                                answers=["42"])
        self.assertEqual(text(outputs), "got 42\n")


class StopTest(Shared):
    def interrupt_when(self, kernel, sign):
        def on(message):
            if sign in str(message["content"].get("text", "")):
                kernel.manager.interrupt_kernel()
        return on

    def test_a_loop_that_listens_stops_at_once_and_keeps_everything(self):
        kernel = self.kernel
        kernel.run("let kept = 41;")
        listens = LOOP.format(inside='if n == 3 { println!("go"); } if should_stop() { break; }')
        kernel.client.execute("1 + 1")  # so that the next one is surely compiled after the load
        began = time.monotonic()
        reply, _ = kernel.run(listens, on=self.interrupt_when(kernel, "go"))
        self.assertEqual(reply["status"], "ok")
        self.assertLess(time.monotonic() - began, 20)
        self.assertTrue(3 <= int(kernel.value("n")) < 30)
        self.assertEqual(kernel.value("kept + 1"), "42")

    def test_a_loop_that_does_not_listen_is_ended_after_the_grace_with_a_word(self):
        kernel = self.kernel
        kernel.run("let lost = 1;")
        times = {}

        def on(message):
            if "go" in str(message["content"].get("text", "")):
                times["asked"] = time.monotonic()
                kernel.manager.interrupt_kernel()

        reply, _ = kernel.run(LOOP.format(inside='if n == 1 { println!("go"); }'), on=on)
        waited = time.monotonic() - times["asked"]
        self.assertEqual(reply["status"], "error")
        self.assertTrue(2.5 < waited < 8, waited)
        self.assertIn("variables", told(reply))
        self.assertIn("should_stop", told(reply))
        self.assertEqual(kernel.value("1 + 1"), "2")

    def test_a_cell_that_says_that_it_is_stopping_is_waited_for_and_a_second_press_ends_it(self):
        kernel = self.kernel
        kernel.run("let kept = 41;")
        hears = ('let stop = std::path::PathBuf::from(std::env::var("GLASSLAB_STOP")?); println!("go"); while !stop.exists() '
                 '{{ std::thread::sleep(std::time::Duration::from_millis(20)); }}\nfor _ in 0..{times} {{ std::fs::write(stop.with_file_name("stopping"), '
                 '"")?; std::thread::sleep(std::time::Duration::from_millis(500)); }}\n42')
        reply, outputs = kernel.run(hears.format(times=10), on=self.interrupt_when(kernel, "go"))
        self.assertEqual(reply["status"], "ok", reply)
        self.assertIn("Stopping: the cell has heard", text(outputs, "stderr"))
        self.assertEqual(kernel.value("kept + 1"), "42")
        reply, _ = kernel.run(hears.format(times=200), on=lambda message: kernel.manager.interrupt_kernel()
                              if any(sign in str(message["content"].get("text", "")) for sign in ("go", "Stopping")) else None)
        self.assertIn("pressed again", told(reply))
        self.assertEqual(kernel.value("20 + 22"), "42")

    def test_queued_cells_are_not_run_after_an_error_or_a_stop(self):
        kernel = self.kernel
        kernel.run("1")
        ids = [kernel.client.execute(code) for code in ("let x: i64 = \"no\";", "println!(\"never\");", "let y = 2;")]
        status = {}
        while len(status) < 3:
            message = kernel.client.get_shell_msg(timeout=60)
            if message["parent_header"]["msg_id"] in ids:
                status[message["parent_header"]["msg_id"]] = message["content"]["status"]
        self.assertEqual([status[name] for name in ids], ["error", "aborted", "aborted"])
        self.assertEqual(kernel.value("1 + 1"), "2")

    def test_a_compile_is_cancelled_and_loses_nothing(self):
        kernel = self.kernel
        kernel.run("let kept = 1;")
        heavy = "".join(f"fn f{n}(x: u64) -> u64 {{ let mut all: Vec<u64> = (0..x).map(|i| i.wrapping_mul({n})).collect(); "
                        f"all.sort_by_key(|i| i ^ {n}); all.iter().filter(|i| *i % 3 == 0).sum() }}\n" for n in range(1500))
        heavy += "let all: Vec<fn(u64) -> u64> = vec![" + ", ".join(f"f{n}" for n in range(1500)) + "];\n"
        began = time.monotonic()
        message = kernel.client.execute(heavy)
        while not kernel.compilers():
            time.sleep(0.05)
        kernel.manager.interrupt_kernel()
        while True:
            reply = kernel.client.get_shell_msg(timeout=60)
            if reply["parent_header"]["msg_id"] == message:
                break
        self.assertEqual(reply["content"]["status"], "error")
        self.assertIn("Stopped", reply["content"]["ename"])
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(kernel.value("kept"), "1")

    def test_a_crashed_process_says_what_happened_and_the_next_cell_works(self):
        kernel = self.kernel
        kernel.run("let lost = 1;")
        for code, sign in [("unsafe { *(8 as *mut i32) = 1; }", "SIGSEGV"), ("std::process::abort();", "SIGABRT")]:
            reply, _ = kernel.run(code)
            self.assertEqual(reply["status"], "error")
            self.assertIn(sign, told(reply))
            self.assertEqual(kernel.value("20 + 22"), "42")
        kernel.cells().kill()
        time.sleep(0.2)
        reply, _ = kernel.run("1 + 1")
        self.assertIn("SIGKILL", told(reply))
        self.assertEqual(kernel.value("20 + 22"), "42")

    def test_a_killed_kernel_leaves_no_process(self):
        kernel = Kernel()
        kernel.run("1 + 1")
        processes = [kernel.process(), *kernel.process().children(recursive=True)]
        self.assertGreater(len(processes), 1)
        os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
        kernel.client.stop_channels()
        kernel.manager.cleanup_resources()
        time.sleep(1)
        self.assertFalse([process for process in processes[1:] if process.is_running() and seen(process.status, "zombie") != "zombie"])


class ErrorTest(Shared):
    def fails(self, code):
        reply, outputs = self.kernel.run(code)
        self.assertEqual(reply["status"], "error", outputs)
        return told(reply), outputs

    def test_a_wrong_shape_shows_line_shapes_and_hint(self):
        for call in ("a.matmul(&b)", "a.f_matmul(&b)?"):
            said, _ = self.fails(f"let a = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));\nlet b = Tensor::zeros([2, 5], (Kind::Float, Device::Cpu));\nlet c = {call};")
            self.assertIn("(2x3 and 2x5)", said)
            self.assertIn("hint:", said)
            self.assertNotIn("frame #", said)
            self.assertIn("line 3 of this cell", said)

    def test_an_error_of_whatever_kind_names_its_line(self):
        for call in ('"x".parse::<i64>()?', 'std::fs::read("nowhere")?', "Err::<(), _>(\"a sentence\".to_string())?"):
            said, _ = self.fails(f"let fine = 1;\nlet got = {call};")
            self.assertIn("line 2 of this cell", said)

    def test_an_error_of_the_librarys_is_its_sentence(self):
        said, _ = self.fails("let fine = 1;\nlet stories = Stories::from_file(\"nowhere.txt\")?;")
        self.assertIn("nowhere.txt: No such file", said)

    def test_a_compile_error_is_short_at_its_line_with_the_whole_folded_away(self):
        said, outputs = self.fails("let fine = 1;\nlet wrong: i64 = \"text\";")
        self.assertIn("mismatched types", said)
        self.assertIn("line  2 | let wrong", said)
        self.assertTrue(any("<details>" in content["data"].get("text/html", "") for kind, content in outputs if kind == "display_data"))

    def test_a_panic_in_a_function_of_an_earlier_cell_is_found_there(self):
        self.run_well("fn divides(n: i64) -> i64 {\n    assert!(n != 0, \"n is zero\");\n    10 / n\n}")
        said, _ = self.fails("divides(0);")
        self.assertIn("n is zero", said)

    def test_variables_survive_a_panic(self):
        self.run_well("let survivor = vec![1, 2, 3];")
        self.fails("panic!(\"on purpose\");")
        self.assertEqual(self.kernel.value("survivor.len()"), "3")


class WidgetTest(Shared):
    def test_a_slider_calls_back_into_rust(self):
        opened = []
        outputs = self.run_well(
            'Interact::new().slider("temperature", 0.0..=2.0, 1.0).menu("prompt", &["Once", "A"])'
            '.show(|values| format!("{} at {:.1}", values.text("prompt"), values.number("temperature")));',
            on=lambda message: opened.append(message) if message["msg_type"] == "comm_open" else None)
        models = {message["content"]["data"]["state"]["_model_name"]: message["content"] for message in opened}
        self.assertTrue({"FloatSliderModel", "DropdownModel", "VBoxModel", "LayoutModel"} <= models.keys(), models.keys())
        self.assertTrue(all(message["metadata"]["version"] == "2.1.0" for message in opened))
        pictures = [content for kind, content in outputs if kind == "display_data"]
        self.assertIn("application/vnd.jupyter.widget-view+json", pictures[0]["data"])
        self.assertEqual(pictures[1]["data"]["text/plain"], "Once at 1.0")
        request = self.say(models["FloatSliderModel"]["comm_id"], {"method": "update", "state": {"value": 0.3}, "buffer_paths": []})
        update = self.wait(lambda message: message["msg_type"] == "update_display_data")
        self.assertEqual(update["content"]["data"]["text/plain"], "Once at 0.3")
        self.assertEqual(update["content"]["transient"], pictures[1]["transient"])
        self.wait(lambda message: message["parent_header"].get("msg_id") == request and message["content"].get("execution_state") == "idle")

    def test_a_setting_reaches_a_running_cell(self):
        opened = []
        self.run_well('Interact::new().log_slider("learning rate", -4.0..=-1.0, 0.01).show_settings();',
                      on=lambda message: opened.append(message["content"]) if message["msg_type"] == "comm_open" else None)
        slider = next(content for content in opened if content["data"]["state"]["_model_name"] == "FloatLogSliderModel")

        def on(message):
            if "go" in str(message["content"].get("text", "")):
                self.say(slider["comm_id"], {"method": "update", "state": {"value": 0.05}})

        outputs = self.run_well('println!("go"); let mut rate = 0.0; for n in 0..200 { if should_stop() { break; } rate = setting("learning rate").unwrap_or(0.0); '
                                'if rate == 0.05 { break; } std::thread::sleep(std::time::Duration::from_millis(20)); } println!("{rate}");', on=on)
        self.assertIn("0.05", text(outputs))

    def test_an_unknown_target_is_closed_and_open_ones_are_listed(self):
        message = self.kernel.client.session.msg("comm_open", {"comm_id": "x", "target_name": "nobody", "data": {}})
        self.kernel.client.shell_channel.send(message)
        self.wait(lambda message: message["msg_type"] == "comm_close" and message["content"]["comm_id"] == "x")
        reply = self.kernel.client.comm_info(target_name="jupyter.widget", reply=True, timeout=10)
        self.assertEqual(reply["content"]["status"], "ok")

    def say(self, comm, data):
        message = self.kernel.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        self.kernel.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def wait(self, wanted):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                message = self.kernel.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if wanted(message):
                return message
        self.fail("the message did not come")


class ProtocolTest(Shared):
    def test_completion_and_inspection_know_the_library(self):
        self.run_well("let t = Tensor::from_slice(&[1.0, 2.0]);")
        reply = self.kernel.client.complete("t.siz", reply=True, timeout=60)["content"]
        self.assertTrue(any(name.startswith("size") for name in reply["matches"]), reply["matches"][:5])
        reply = self.kernel.client.inspect("Heatmap::new(", 12, reply=True, timeout=60)["content"]
        self.assertTrue(reply["found"])
        self.assertIn("text/html", reply["data"])

    def test_the_standard_library_is_known_with_its_documentation(self):
        # rust-analyzer reads outlines of the sources: the docs must be in them, also where macros make the methods.
        for code, place, words in [("String::new", 9, "empty"), ("2_i32.pow(3)", 7, "exponentiation"),
                                   ("Tensor::matmul", 10, "matmul"), ("vec![1].iter().map(|n| n)", 16, "closure")]:
            reply = self.kernel.client.inspect(code, place, reply=True, timeout=60)["content"]
            self.assertTrue(reply["found"], code)
            self.assertIn(words, reply["data"]["text/plain"], code)

    def test_variables_of_many_types_are_kept(self):
        # Each type is found by rust-analyzer from the outlines; a wrong one would lose the variable.
        for value, read, expected in [
            ("\"b a\".split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>()", "kept.len()", "2"),
            ("(1..=3).map(|n| n * n).rev().enumerate().collect::<Vec<_>>()", "kept[0].1", "9"),
            ("std::collections::HashMap::from([(1, 'a'), (2, 'b')])", "kept[&2]", "'b'"),
            ("std::sync::Arc::new(std::sync::Mutex::new(vec![1.5_f32]))", "kept.lock().unwrap()[0]", "1.5"),
            ("std::sync::atomic::AtomicUsize::new(7)", "kept.load(std::sync::atomic::Ordering::Relaxed)", "7"),
            ("std::time::Duration::from_millis(1500)", "kept.as_secs()", "1"),
            ("std::num::NonZeroU8::new(3)", "kept.unwrap().get()", "3"),
            ("std::num::Wrapping(250_u8) + std::num::Wrapping(10)", "kept.0", "4"),
            ("[1_u8; 3].map(u32::from)", "kept.iter().sum::<u32>()", "3"),
            ("5_u64.checked_pow(2).ok_or(\"too large\")", "kept.unwrap()", "25"),
            ("\"naïve\".char_indices().filter(|(_, c)| !c.is_ascii()).next()", "kept.unwrap().0", "2"),
            ("(Tensor::from_slice(&[1.0, 2.0]) * 2.0 + 1.0).size()", "kept[0]", "2"),
            ("CharTokenizer::default().encode(\"ab\")", "kept.len()", "2"),
            ("TransformerLm::new(TransformerConfig::original(), Device::Cpu)?.blocks.len()", "kept", "1"),
        ]:
            self.run_well(f"let kept = {value};")
            self.assertEqual(self.kernel.value(read), expected, value)

    def test_bad_signatures_and_malformed_messages_are_dropped(self):
        import random

        import zmq
        info = self.kernel.client.get_connection_info()
        random.seed(1)
        context = zmq.Context.instance()
        for port in (info["shell_port"], info["control_port"], info["stdin_port"]):
            with context.socket(zmq.DEALER) as dealer:
                dealer.connect(f"tcp://127.0.0.1:{port}")
                good = [b'{"msg_id":"1","username":"u","session":"s","date":"2026-01-01T00:00:00Z","msg_type":"shutdown_request","version":"5.3"}', b"{}", b"{}", b'{"restart":false}']
                dealer.send_multipart([b"<IDS|MSG>", b"0" * 64, *good])
                for _ in range(150):
                    parts = [bytes(random.randrange(256) for _ in range(random.randrange(40))) for _ in range(random.randrange(1, 8))]
                    if random.random() < 0.7:
                        parts.insert(random.randrange(len(parts) + 1), b"<IDS|MSG>")
                    dealer.send_multipart(parts)
                time.sleep(0.3)
        raw = socket.create_connection(("127.0.0.1", info["shell_port"]))
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)))
        raw.close()
        time.sleep(0.5)
        self.assertEqual(self.kernel.value("40 + 2"), "42")

    def test_sockets_listen_on_loopback_only(self):
        addresses = {connection.laddr.ip for connection in self.kernel.process().net_connections("tcp") if connection.status == "LISTEN"}
        self.assertEqual(addresses, {"127.0.0.1"})


class PublicSuiteTest(jupyter_kernel_test.KernelTests):
    """The suite by which Jupyter judges kernels."""

    kernel_name = "glasslab"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oh no");'
    completion_samples = [{"text": "let x = Tensor::from_sl", "matches": {"from_slice"}}]
    complete_code_samples = ["1", "println!(\"x\");", "fn f() -> i64 {\n    1\n}"]
    incomplete_code_samples = ["fn f() {", "let x = (1,", "let s = \"abc"]
    invalid_code_samples = ["let x = 1);"]
    code_generate_error = "panic!(\"on purpose\")"
    code_execute_result = [{"code": "6 * 7", "result": "42"}]
    code_display_data = [{"code": "Picture { svg: \"<svg/>\".into(), alt: \"a\".into() }.show();", "mime": "text/html"}]
    code_inspect_sample = "Tensor::from_slice"
    code_clear_output = "clear_output();"
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "6*"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The suite has no place for the note of a cell that waits for the kernel to load.
        cls.kc.execute_interactive("1", output_hook=lambda message: None, timeout=120)

    def test_completion(self):
        for sample in self.completion_samples:
            msg_id = self.kc.complete(sample["text"])
            reply = self.get_non_kernel_info_reply(timeout=60)
            self.assertEqual(reply["parent_header"]["msg_id"], msg_id)
            self.assertTrue(any(match.startswith(name) for match in reply["content"]["matches"] for name in sample["matches"]))



if __name__ == "__main__":
    unittest.main()

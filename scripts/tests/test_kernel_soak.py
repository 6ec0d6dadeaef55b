"""Random cells, one after the other and several at once, through the real kernel: whatever a cell does, it is answered
once, and nothing is left behind.

A few cells by default. `GLASSLAB_TEST_CELLS=5000` is for a night, `GLASSLAB_TEST_SEED` takes other cells; with
`GLASSLAB_TEST_TOLD=1` it tells every cell, so that one that fails can be tried alone.
"""

import collections
import os
import queue
import random
import sys
import tempfile
import time
import unittest
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_kernel_live import Kernel, seen

CELLS = int(os.environ.get("GLASSLAB_TEST_CELLS", "40"))
SEED = int(os.environ.get("GLASSLAB_TEST_SEED", "1"))
TOLD = os.environ.get("GLASSLAB_TEST_TOLD") == "1"
# A cell is answered after this, or never.
PATIENCE = 60

# What cells may do, how often, and the status of the answer; `stop`: the button is pressed on the way.
VALID, BROKEN, ENDING, STOPPED, LOOKED_AT = 8, 5, 2, 1, 3
KINDS = [
    (VALID, "ok", "{n} + {m}"),
    (VALID, "ok", "let v{k} = {n};"),
    (VALID, "ok", "let v{k} = vec![{n}, {m}];\nv{k}.len()"),
    (VALID, "ok", "let v{k}: String = \"{text}\".repeat({k});"),
    (VALID, "ok", "let t{k} = Tensor::from_slice(&[{n}.0, {m}.0]);\nt{k}.size()"),
    (VALID, "ok", "fn f{k}(x: i64) -> i64 {{ x + {n} }}\nf{k}({m})"),
    (VALID, "ok", "struct S{k} {{ x: i64, y{m}: i64 }}\nimpl S{k} {{ fn x(&self) -> i64 {{ self.x }} }}\nlet s{k} = S{k} {{ x: {n}, y{m}: 1 }};"),
    (VALID, "ok", "struct D{k} {{ x: i64 }}\nimpl std::fmt::Display for D{k} {{ fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {{ write!(f, \"{{}}\", self.x) }} }}"),
    (VALID, "ok", "macro_rules! m{k} {{ () => {{ {n} }} }}\nm{k}!()"),
    (VALID, "ok", "for n in 0..{m} {{ println!(\"{text} {{n}}\"); }}"),
    (VALID, "ok", "for n in 0..{m} {{ eprint!(\"{text}\"); print!(\"{{n}}\"); }}"),
    (VALID, "ok", "Picture {{ svg: \"<svg/>\".into(), alt: \"{text}\".into() }}"),
    (VALID, "ok", "let mut figure = LiveFigure::new(); for n in 0..9 {{ figure.update(|| Ok::<_, Error>(Picture {{ svg: \"<svg/>\".into(), alt: n.to_string() }}))?; }}"),
    (VALID, "ok", "Interact::new().slider(\"s{k}\", 0.0..=1.0, 0.5).show(|values| values.number(\"s{k}\").to_string());"),
    (VALID, "ok", "std::thread::spawn(|| {{ std::thread::sleep(std::time::Duration::from_millis({m})); panic!(\"{text}\") }});"),
    (VALID, "ok", "let _ = std::panic::catch_unwind(|| panic!(\"{text}\"));"),
    (VALID, "ok", "use std::collections::{{BTreeMap, HashSet}};"),
    (VALID, "ok", "std::thread::sleep(std::time::Duration::from_millis({m}));"),
    (VALID, "ok", "// {text}"),
    (VALID, "ok", "  \n"),
    (2, "ok", ":vars"), (2, "ok", ":opt"), (2, "ok", ":opt 1\n{n} * 2"), (1, "ok", ":help"), (1, "ok", ":clear"), (1, "ok", ":restart"),
    (1, "ok", "println!(\"EVCXR_BEGIN_CONTENT text/html\\n<b>{text}\");"),
    (1, "ok", "print!(\"\\0glasslab-1 99999\\n{text}\");"),
    (1, "ok", "for n in 0..{m}000 {{ println!(\"{{n}}\"); }}"),
    (BROKEN, "error", "let wrong: i64 = \"{text}\";"),
    (BROKEN, "error", "nobody{n}({m})"),
    (BROKEN, "error", "let c{k} = |x: i32| x + {n};"),
    (BROKEN, "error", "let r{k} = &vec![{n}][0..1]; let q = r{k}"),
    (BROKEN, "error", "fn f{k}() {{"),
    (BROKEN, "error", "use std::"),
    (BROKEN, "error", "}}{text}"),
    (BROKEN, "error", "let a{k} = \"{text};"),
    (BROKEN, "error", "panic!(\"{text}\");"),
    (BROKEN, "error", "vec![1, 2][{n}99]"),
    (BROKEN, "error", "\"{text}x\".parse::<i64>()?;"),
    (BROKEN, "error", "Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).matmul(&Tensor::zeros([2, {m}], (Kind::Float, Device::Cpu)));"),
    (BROKEN, "error", ":linker lld\n1"),
    (BROKEN, "error", ":nobody"),
    (BROKEN, "error", ":opt 7"),
    (ENDING, "error", "std::process::exit({k});"),
    (ENDING, "error", "std::process::abort();"),
    (ENDING, "error", "unsafe {{ *(8 as *mut i32) = 1; }}"),
    (ENDING, "error", "fn deep(n: u64) -> u64 {{ let a = [n; 100]; std::hint::black_box(&a); deep(n + 1) + a[3] }}\ndeep({n})"),
    (ENDING, "error", "print!(\"\\0glasslab\"); use std::io::Write; std::io::stdout().flush()?; std::process::abort();"),
    (STOPPED, "error", "loop {{ std::thread::sleep(std::time::Duration::from_millis(10)); }}"),
    (STOPPED, "error", "loop {{ println!(\"{text}\"); }}"),
    (STOPPED, "error", "loop {{ eprintln!(\"{text}\"); }}"),
    (2 * STOPPED, "ok", "while !should_stop() {{ std::thread::sleep(std::time::Duration::from_millis(5)); }}"),
    (2 * STOPPED, "ok", "let mut line = String::new(); std::io::stdin().read_line(&mut line)?;"),
    (2 * STOPPED, "any", "{n} + {m}"),
    (2 * STOPPED, "any", "let v{k} = (0..{n}).map(|x| x * 2).collect::<Vec<i64>>();"),
]
STOPS = {code for often, _, code in KINDS[-7:]}
LOOKS = ["v1.", "Tensor::from_", "s2.x", ":op", "let t = Tensor::zeros(", "f1(", "名前.", "\"", "//", "use std::coll"]
TEXTS = ["word", "名前", "🦀", "<b>&", "tab\\tend", "ä" * 50, "x" * 3000, "\\u{1b}[31mred", "EVCXR_", "\\0"]


class Cells:
    """What comes, from one seed."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def next(self):
        """A cell's code, the status it must have, and whether it is to be stopped."""
        often = [kind[0] for kind in KINDS]
        _, status, form = self.chance.choices(KINDS, often)[0]
        code = form.format(n=self.chance.randrange(100), m=self.chance.randrange(1, 30), k=self.chance.randrange(5),
                           text=self.chance.choice(TEXTS))
        return code, status, form in STOPS


class Answers:
    """The messages that come, counted by the request that they answer."""

    def __init__(self, client):
        self.client = client
        self.replies, self.idles, self.busies = collections.defaultdict(list), collections.Counter(), collections.Counter()
        self.said = collections.defaultdict(list)

    def take(self, seconds):
        """What has come; waits for it a while."""
        until = time.monotonic() + seconds
        while True:
            for get in (self.client.get_shell_msg, self.client.get_iopub_msg):
                try:
                    while True:
                        self.count(get(timeout=0.01))
                except queue.Empty:
                    pass
            if time.monotonic() >= until:
                return

    def count(self, message):
        parent = message["parent_header"].get("msg_id")
        self.said[parent].append((message["msg_type"], str(message["content"])[-3000:]))
        if message["msg_type"] == "execute_reply":
            self.replies[parent].append(message["content"]["status"])
        elif message["msg_type"].endswith("_reply"):
            self.replies[parent].append(message["content"]["status"])
        elif message["msg_type"] == "status":
            counter = {"idle": self.idles, "busy": self.busies}.get(message["content"]["execution_state"])
            if counter is not None:
                counter[parent] += 1

    def missing(self, requests):
        return [request for request in requests if not self.replies[request] or not self.idles[request]]


class SoakTest(unittest.TestCase):
    def setUp(self):
        # What the kernel leaves of temporary files would be here.
        folder = tempfile.TemporaryDirectory(prefix="soak-")
        self.addCleanup(folder.cleanup)
        self.temporary = Path(folder.name)
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = folder.name
        try:
            self.kernel = Kernel()
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before
        # Its messages and the client's would be numbered alike.
        self.kernel.manager.session.message_count = 1_000_000
        self.addCleanup(self.end)
        self.ended = False

    def end(self):
        if not self.ended:
            self.ended = True
            self.kernel.stop()

    def test_every_cell_is_answered_once_and_nothing_is_left_behind(self):
        cells, answers = Cells(SEED), Answers(self.kernel.client)
        self.kernel.run("1")
        sent = 0
        while sent < min(CELLS // 2, 20):
            sent += self.step(cells, answers)
        process, before = self.kernel.process(), self.state()
        while sent < CELLS:
            sent += self.step(cells, answers)
            if TOLD and sent % 100 < 4:
                print(f"{sent} cells: {self.state()}", flush=True)
        answers.take(0.5)
        for request, statuses in answers.replies.items():
            self.assertEqual((len(statuses), answers.idles[request], answers.busies[request]), (1, 1, 1), answers.said[request][-20:])
        self.assertEqual(self.kernel.value("20 + 22"), "42")
        after = self.state()
        print(f"\n{sent} cells: before {before}, after {after}", flush=True)
        self.assertLess(after["MB"] - before["MB"], 100)
        self.assertEqual(after["processes"], 1, "the cells' and no other")
        self.assertLess(after["descriptors"] - before["descriptors"], 10)
        self.assertLess(after["threads"] - before["threads"], 10)
        family, folder = process.children(recursive=True), self.folder()
        self.end()
        _, alive = psutil.wait_procs([process, *family], timeout=30)
        self.assertFalse(alive)
        self.assertFalse(folder.exists() and (folder / "soak").exists())
        self.assertEqual([path.name for path in self.temporary.iterdir()], [])

    def step(self, cells, answers):
        """Runs one cell, or a few that are sent at once; how many."""
        wanted, requests = [], []
        for _ in range(cells.chance.choice([1, 1, 1, 2, 4])):
            wanted.append(cells.next())
        client = self.kernel.client
        if cells.chance.random() < 0.15:
            look = cells.chance.choice(LOOKS)
            requests.append(client.complete(look, len(look)) if cells.chance.random() < 0.7 else client.inspect(look, len(look) - 1))
        ids = [client.execute(code, allow_stdin=True) for code, _, _ in wanted]
        requests += ids
        for code, status, _ in wanted:
            if TOLD:
                print(f"{status:>6} {code[:150]!r}", flush=True)
        # The button is pressed at any time at all: while it is looked at, compiled, run, or just over.
        begun = time.monotonic()
        press_at = begun + cells.chance.random() * 3 if any(stop for _, _, stop in wanted) else None
        while answers.missing(requests):
            answers.take(0.02)
            if press_at is not None and time.monotonic() > press_at:
                self.press()
                press_at = time.monotonic() + 1 + cells.chance.random() * 3
            late = time.monotonic() - begun > PATIENCE
            self.assertFalse(late, f"seed {SEED}: no answer to {[wanted[at][0] for at, one in enumerate(ids) if one in answers.missing(requests)]}")
        stopped = press_at is not None
        failed = False
        for (code, status, _), request in zip(wanted, ids):
            [came] = answers.replies[request]
            allowed = {status} if status != "any" else {"ok", "error"}
            if failed or stopped:
                allowed |= {"aborted", "error", "ok"} if stopped else {"aborted"}
            self.assertIn(came, allowed, f"seed {SEED}: {code}\n{answers.said[request][-20:]}")
            failed |= came != "ok"
        return len(wanted)

    def press(self):
        """The button. A press that were still on its way when the next cell begins would be that one's."""
        client = self.kernel.client
        client.control_channel.send(client.session.msg("interrupt_request", {}))
        self.assertEqual(client.get_control_msg(timeout=PATIENCE)["msg_type"], "interrupt_reply")

    def folder(self):
        files = self.kernel.process().open_files()
        return next(Path(file.path).parent for file in files if file.path.endswith("kernel.lock"))

    def state(self):
        """What must not grow."""
        process = self.kernel.process()
        children = [child for child in process.children(recursive=True) if seen(child.status, "zombie") != "zombie"]
        files = [file for file in self.folder().rglob("*") if file.is_file()]
        return {"MB": round(process.memory_info().rss / 1e6), "cells' MB": [round(child.memory_info().rss / 1e6) for child in children],
                "processes": len(children), "zombies": len([child for child in process.children() if seen(child.status, "") == "zombie"]),
                "descriptors": process.num_fds(), "threads": process.num_threads(), "files": len(files),
                "MB of files": round(sum(file.stat().st_size for file in files if file.stat().st_nlink == 1) / 1e6)}


if __name__ == "__main__":
    unittest.main()

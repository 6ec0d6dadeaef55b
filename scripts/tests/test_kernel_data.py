"""TinyStories in a notebook: opened where they are prepared, fetched where they are not, and what a cell shows meanwhile."""

import http.server
import os
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from labkit import kernel as lab, tools
from labkit.layout import ROOT
from test_kernel_sessions import Kernel


class Busy(http.server.BaseHTTPRequestHandler):
    """A hub that asks for patience, and then has nothing."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        if self.asked == 1:
            self.send_response(503)
            self.send_header("Retry-After", "3")
        else:
            self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class TinyStories(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = Path(folder.name)

    def start(self, hub):
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "")
        variables = {"GLASSLAB_CACHE": str(self.cache), "GLASSLAB_HUB": hub, **proxies}
        with mock.patch.dict(os.environ, variables):
            kernel = Kernel()
        self.addCleanup(kernel.stop)
        return kernel

    def test_prepared_stories_are_opened_in_milliseconds_and_trained_on_from_the_map(self):
        target = self.cache / "datasets" / "tinystories-valid.tokens"
        target.parent.mkdir()
        prepare = [lab.program("glasslab"), "prepare", ROOT / "data" / "stories-train.txt", "--out", target]
        tools.run(prepare, "The stories could not be prepared.", env={**os.environ, "GLASSLAB_CACHE": str(self.cache)})
        kernel = self.start("http://127.0.0.1:9")
        text, _, errors = kernel.run(
            "let stories = Stories::tiny_stories()?;\n"
            "let tokens = Tokens::encode(&stories, &CharTokenizer::default())?;\n"
            "println!(\"{} {}\", tokens.ids.is_mapped(), stories.len() > 100);")
        self.assertEqual(errors, "")
        self.assertEqual(text, "true true\n")

    def test_offline_the_embedded_stories_come_and_one_line_says_so(self):
        kernel = self.start("http://127.0.0.1:9")
        text, _, errors = kernel.run("let data = Dataset::tiny_stories()?; println!(\"{}\", data.source);")
        self.assertEqual(errors, "")
        lines = text.splitlines()
        self.assertEqual(len(lines), 2, text)
        self.assertIn("Going on with the stories that come with glasslab", lines[0])
        self.assertEqual(lines[1], "the stories that come with glasslab")

    def test_a_cell_shows_what_fetching_does_while_it_does_it(self):
        Busy.asked = 0
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        kernel = self.start(f"http://127.0.0.1:{server.server_port}")
        times = {}

        def take(message):
            content = message["content"]
            told = content.get("text", "") + " ".join(content.get("traceback", []))
            for sign in ("trying again in 3 s", "neither the pinned files"):
                if sign in told:
                    times.setdefault(sign, time.monotonic())

        kernel.client.execute_interactive("let stories = Stories::tiny_stories()?;", output_hook=take, timeout=120)
        self.assertIn("trying again in 3 s", times)
        time.sleep(0.5)
        text, _, errors = kernel.run("println!(\"still here\")")
        self.assertEqual((text, errors), ("still here\n", ""))


if __name__ == "__main__":
    unittest.main()

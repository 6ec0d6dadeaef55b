"""Measures a hub with real parts: N users of this machine who log in, open notebook 2 and run it, and what a learner can do to others.

    PREFIX/glasslab/scripts/lab hub --measure learners 1 4 8 12       as root; needs systemd (else: deploy/hub/with-systemd before it)
    PREFIX/glasslab/scripts/lab hub --measure misbehaving

The users are made for it, and removed afterwards. Trainings end after GLASSLAB_TRAINING_SECONDS (0.5 if it is not set): what is
measured is the class, not the trainings.
"""

import asyncio
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
import time
from pathlib import Path

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))

from learner import Learner, cells

ROOT = Path(__file__).resolve().parents[2]
HUB = "http://127.0.0.1:8000"
NOTEBOOK = ROOT / "notebooks" / "solutions" / "02_mlp_language_model.ipynb"
GROUP = "learners"
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
            yield Path(state) / "log"
        except BaseException:
            print((Path(state) / "log").read_text()[-6000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(60)


async def hub_is_up() -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(300):
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{HUB}/hub/login") as page:
                    if page.status == 200:
                        return
            await asyncio.sleep(0.2)
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


async def most(names: list[str], seen: dict[str, dict[str, float]]) -> None:
    """Keeps the largest memory of each user until it is cancelled."""
    while True:
        for name in names:
            now = memory(name)
            if sum(now.values()) > sum(seen.get(name, {}).values()):
                seen[name] = now
        await asyncio.sleep(5)


async def lesson(name: str, password: str, begin: asyncio.Event) -> dict:
    """What a learner waits for."""
    learner = Learner(HUB, name, password)
    try:
        await begin.wait()
        got = {"name": name, "login": await learner.log_in()}
        notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
        began = time.monotonic()
        await learner.open("solved.ipynb", notebook)
        times, errors = [], []
        for code in cells(notebook):
            seconds, error = await learner.run(code)
            if not times:
                got["first"] = time.monotonic() - began
            times.append(seconds)
            errors += [error] if error else []
        return {**got, "cells": times, "all": time.monotonic() - began, "errors": errors, "memory": memory(name)}
    finally:
        await learner.close()


async def class_of(count: int) -> list[dict]:
    """So many learners at once."""
    names = [f"gl-learner-{number}" for number in range(count)]
    with users(names) as password, hub():
        await hub_is_up()
        begin, seen = asyncio.Event(), {}
        watching = asyncio.create_task(most(names, seen))
        lessons = [asyncio.create_task(lesson(name, password, begin)) for name in names]
        begin.set()
        load = os.getloadavg()[0]
        results = await asyncio.gather(*lessons)
        watching.cancel()
        for result in results:
            result["most"], result["load before"] = seen.get(result["name"], result["memory"]), load
            # What a learner has on the disk, notebooks and a session among it.
            result["home"] = sum(path.lstat().st_size for path in Path(pwd.getpwnam(result["name"]).pw_dir).rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
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
        results = asyncio.run(class_of(count))
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
    """A limit of a learner's unit, as the kernel has it."""
    unit = f"system.slice/glasslab-{name}.service"
    for path in (Path("/sys/fs/cgroup") / unit / unified, Path("/sys/fs/cgroup") / controller / unit / file):
        if path.exists():
            return path.read_text().strip()
    raise RuntimeError(f"there is no limit {controller} of {unit}: the hub's limits are not in force here")


def limits(name: str) -> dict[str, str]:
    return {"memory": control(name, "memory", "memory.limit_in_bytes", "memory.max"), "processes": control(name, "pids", "pids.max", "pids.max"),
            "processors": control(name, "cpu", "cpu.cfs_quota_us", "cpu.max")}


async def watched(good: Learner, until: asyncio.Task | None, count: int) -> list[float]:
    """A well-behaved learner's cells, so many or for as long as something lasts."""
    times = []
    while len(times) < count or (until and not until.done() and len(times) < 60):
        seconds, error = await good.run(SMALL_CELL.replace("NUMBER", str(len(times))))
        if error:
            raise RuntimeError(f"a cell of the well-behaved learner failed: {error}")
        times.append(seconds)
        await asyncio.sleep(0.5)
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


async def misbehave() -> None:
    names = ["gl-good", "gl-bad"]
    with users(names) as password, small_home("gl-bad", 400), hub():
        await hub_is_up()
        empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        good = Learner(HUB, "gl-good", password)
        await good.log_in()
        await good.open("mine.ipynb", empty)
        await good.run("1 + 1")
        print("| a learner makes | limits in force (memory, processes, processors) | another's cell without, with, s (medians) | ratio | what came of it |"
              "\n|---|---|---|---|---|", flush=True)
        for deed, code in DEEDS.items():
            bad = Learner(HUB, "gl-bad", password)
            await bad.log_in()
            await bad.open("theirs.ipynb", empty)
            await bad.run("1 + 1")
            found = limits("gl-bad")
            if int(found["memory"]) > 4 << 30 or found["processes"] == "max" or int(found["processors"].split()[0]) <= 0:
                raise RuntimeError(f"limits are not in force: {found}")
            without = await watched(good, None, 12)
            doing = asyncio.create_task(bad.run(code, 120))
            await asyncio.sleep(1)
            during = await watched(good, doing, 12)
            try:
                seconds, error = await doing
                came = f"its cell ended after {seconds:.0f} s" + (f": {' '.join(error.split())[:110]}" if error else "")
            except Exception as problem:
                came = f"its server: {problem}"
            after, error = await good.run("2 + 2")
            came += f"; the other's next cell: {error or 'well'}"
            Path(pwd.getpwnam("gl-bad").pw_dir, "glasslab", "notebooks", "full").unlink(missing_ok=True)
            one, other = statistics.median(without), statistics.median(during)
            print(f"| {deed} | {', '.join(found.values())} | {one:.2f}, {other:.2f} | {other / one:.2f} | {came} |", flush=True)
            with contextlib.suppress(RuntimeError):
                await bad.stop_server()
            await bad.close()
            await asyncio.sleep(5)
        await good.close()


def main(arguments: list[str]) -> int:
    if os.getuid() != 0:
        print("It must be run by root: it makes users.", file=sys.stderr)
        return 1
    if arguments[:1] == ["learners"]:
        learners([int(word) for word in arguments[1:]] or [1, 4, 8, 12])
    elif arguments == ["misbehaving"]:
        asyncio.run(misbehave())
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

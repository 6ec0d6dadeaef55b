"""scripts/lab doctor: what is found, what is missing, what to do."""

import os
import shutil

from . import kernel, libtorch, machines, python_env, tools
from .layout import CACHE, LAB, LEARNERS, NOTEBOOKS, OWN, ROOT, work_folder
from .say import Problem, line
from .tools import Finding, rust_version

# What set-up still writes from nothing, in bytes.
NEEDED_DISK = 5_000_000_000
NEEDED_DISK_UNPACKED = 2_000_000_000


def before(builds: bool = True, own_torch: bool = False) -> list[Finding]:
    """What must be right before set-up can begin; one that builds nothing needs less."""
    findings = [machines.finding(own_torch or libtorch.CHOICE.exists()), *tools.check(builds)]
    for folder in (LAB, CACHE):
        if sign := next((sign for sign in ":," if sign in str(folder)), None):
            findings.append(Finding("project folder", str(folder), f"Its path holds `{sign}`, which divides paths and a linker's "
                                    "options: move the project (or GLASSLAB_CACHE)."))
    findings.append(_writable())
    free = shutil.disk_usage(ROOT).free
    missing = 500_000_000 if kernel.PREPARED.exists() else NEEDED_DISK if builds else NEEDED_DISK_UNPACKED
    findings.append(Finding("free disk", f"{free / 1e9:.1f} GB", None if free > missing else
                            f"Set-up needs about {missing / 1e9:.1f} GB more: free some, or move the project to a larger disk."))
    return findings


def _writable() -> Finding:
    try:
        LAB.mkdir(exist_ok=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        probe = LAB / "writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return Finding("project folder", f"not writable ({error.strerror}: {error.filename})",
                       f"Copy the project to a folder that you may write to; this one is {ROOT}.")
    return Finding("project folder", str(ROOT))


def after() -> list[Finding]:
    """What set-up makes."""
    findings = []
    setup = "Run `scripts/lab setup`."
    try:
        torch = libtorch.find()
        found = f"{torch.version} at {torch.folder}, {'CUDA' if torch.cuda else 'CPU'}" if torch else "not yet"
        findings.append(Finding("libtorch", found, None if torch else setup))
    except Problem as problem:
        findings.append(Finding("libtorch", "does not fit", str(problem)))
    if rust_version("rustc"):
        sources = tools.rust_sources()
        findings.append(Finding("Rust's sources", str(sources or "not yet"), None if sources else setup))
    ready = python_env.is_ready()
    findings.append(Finding("JupyterLab", str(python_env.VENV) if ready else "not yet", None if ready else setup))
    for what, path in [("kernel", kernel.program("glasslab-kernel")), ("command", kernel.program("glasslab")),
                       ("prepared library", work_folder() / "template"),
                       ("kernelspec", kernel.kernel_folder("glasslab") / "kernel.json")]:
        there = path.exists() and (what != "prepared library" or kernel.PREPARED.exists())
        findings.append(Finding(what, str(path) if there else "not yet", None if there else setup))
    gpu = libtorch.has_nvidia_gpu()
    findings.append(Finding("NVIDIA GPU", "found" if gpu else "none: the lab runs on the CPU, which is enough for it",
                            optional=True))
    notebooks = len(list(NOTEBOOKS.glob("*.ipynb")))
    findings.append(Finding("notebooks", str(notebooks), None if notebooks else "This clone is not whole: clone again."))
    return findings


def shared() -> list[Finding]:
    """What a user of a shared lab has, and needs of the machine."""
    existing = next(folder for folder in (OWN, *OWN.parents) if folder.exists())
    writable = os.access(existing, os.W_OK)
    free = shutil.disk_usage(existing).free
    # A cell is linked by it.
    linker = shutil.which("cc")
    return [
        machines.finding(own_torch=True),
        Finding("the lab", f"{ROOT}, for all users of this machine"),
        Finding("your folder", str(OWN), None if writable else "Set GLASSLAB_HOME to a folder that you may write to."),
        Finding("free disk there", f"{free / 1e9:.1f} GB", None if free > 200_000_000 else "Make room: a running kernel takes 0.1 GB of it."),
        Finding("linker", linker or "not found", None if linker else tools.ADVICE["c++"]),
        Finding("notebooks", str(len(list(LEARNERS.glob("*.ipynb")))), optional=True),
    ]


def report(findings: list[Finding]) -> bool:
    """Prints the findings; true if all is well."""
    for finding in findings:
        mark = "–" if finding.optional else ("✓" if finding.advice is None else "✗")
        line(f"  {mark} {finding.what:<17} {finding.found}")
        if finding.advice:
            line(f"      → {finding.advice}")
    return all(finding.advice is None for finding in findings)


def require_before(builds: bool = True, own_torch: bool = False) -> None:
    """Stops set-up with the first thing that a person must mend."""
    for finding in before(builds, own_torch):
        if finding.advice:
            raise Problem(f"{finding.what}: {finding.found}. {finding.advice}")

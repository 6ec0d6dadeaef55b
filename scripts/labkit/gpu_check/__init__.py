"""What a GPU must prove, taken to a machine that has one: `bundle` builds it, `parts` says what is checked, `run` checks it."""

import argparse
import sys
from pathlib import Path

from ..layout import OUT
from ..say import Problem, explain

BUNDLE = OUT / "gpu-check"


def main(arguments: list[str]) -> int:
    from . import bundle, run

    parser = argparse.ArgumentParser(prog="scripts/gpu-check", description="Checks glasslab on an NVIDIA GPU.")
    commands = parser.add_subparsers(dest="command")
    building = commands.add_parser("bundle", help="build what the check needs")
    building.add_argument("--torch-from", metavar="PYTHON", help=f"a Python with torch {bundle.TORCH}, whole, with CUDA")
    checking = commands.add_parser("run", help="run the check")
    checking.add_argument("--out", type=Path, metavar="DIR", help="where to write the table and its numbers")
    checking.add_argument("--cpu", action="store_true", help="tiny sizes on the processor: the form only")
    checking.add_argument("--minutes", type=float, default=8, help="parts that would begin later are left out [default: 8]")
    checking.add_argument("names", nargs="*", metavar="PART", help="only these parts")
    part = commands.add_parser("part")  # one part alone, as `run` starts it
    part.add_argument("name")
    part.add_argument("--cpu", action="store_true")
    default = ["run"] if (BUNDLE / bundle.MANIFEST).exists() else ["bundle"]
    options = parser.parse_args(arguments or default)
    try:
        if options.command == "bundle":
            return bundle.make(BUNDLE, options.torch_from)
        if options.command == "part":
            return run.one(BUNDLE, options.name, options.cpu)
        return run.all_parts(BUNDLE, options)
    except Problem as problem:
        print(f"\nscripts/gpu-check: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nscripts/gpu-check: {explain(error)}", file=sys.stderr)
        return 1

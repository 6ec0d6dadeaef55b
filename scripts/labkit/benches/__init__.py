"""The benches, one file each: `NAME.py` has a docstring that says what is measured, and

    run(brief: bool) -> dict        measures, prints a table for people, returns the figures

Peers are measured in the same run, by turns, and what is told is their ratio.
"""

import argparse
import importlib
import json
import pkgutil
import sys

from .. import main as lab
from ..say import Problem, explain, line


def main(arguments: list[str]) -> int:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the project beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; all by default")
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON at the end")
    parser.add_argument("--brief", action="store_true", help="as short as can be; the figures mean nothing then")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in names]
    if unknown:
        parser.error(f"there is no bench {unknown[0]}; there are {', '.join(names) or 'none yet'}")
    figures = {}
    try:
        if not lab.is_set_up():
            lab.setup()
        else:
            lab.refresh()
        for name in options.names or names:
            bench = importlib.import_module(f"{__name__}.{name}")
            line(f"\n== {name}: {bench.__doc__.strip().splitlines()[0]}")
            figures[name] = bench.run(options.brief)
    except Problem as problem:
        print(f"\nscripts/bench: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nscripts/bench: {explain(error)}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(figures[options.names[0]] if len(options.names) == 1 else figures))
    return 0

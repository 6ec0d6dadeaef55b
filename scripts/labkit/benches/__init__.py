"""The benches, one file each: `NAME.py` has a docstring that says what is measured, and

    run(size: Size, peak: Peak) -> Found      measures, prints a table for people

Peers are measured in the same run, by turns; what is told is their ratio, where it says more than it wavers (`labkit/claims.py`).
"""

import argparse
import importlib
import json
import pkgutil
import sys

from .. import claims
from .. import main as lab
from ..say import Problem, explain, line


def main(arguments: list[str]) -> int:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the project beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; all by default")
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON at the end")
    parser.add_argument("--quick", action="store_true", help="all of them in a few minutes, by fewer and shorter turns")
    parser.add_argument("--brief", action="store_true", help="as short as can be; the figures mean nothing then")
    parser.add_argument("--write", action="store_true", help="write the table in docs/performance.md: the rows of these benches")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in names]
    if unknown:
        parser.error(f"there is no bench {unknown[0]}; there are {', '.join(names) or 'none yet'}")
    if options.write and (options.brief or options.quick):
        parser.error("what is published is measured in full: leave out --brief and --quick")
    size = claims.BRIEF if options.brief else claims.QUICK if options.quick else claims.FULL
    figures, after = {}, None
    try:
        if not lab.is_set_up():
            lab.setup()
        else:
            lab.refresh()
        for name in options.names or names:
            bench = importlib.import_module(f"{__name__}.{name}")
            line(f"\n== {name}: {bench.__doc__.strip().splitlines()[0]}")
            peak = claims.peak() if after is None else after
            found = bench.run(size, peak)
            after = claims.peak() if size is claims.FULL else peak
            line(f"the machine at its best: {peak}" + (f"; after it: {after}" if size is claims.FULL else ""))
            figures[name] = {**found.figures, "peak_operations_per_s": peak.operations, "peak_bytes_per_s": peak.bytes}
            if options.write:
                claims.write(name, found.rows, str(peak))
                for file, picture in found.pictures.items():
                    file.parent.mkdir(exist_ok=True)
                    file.write_text(picture, encoding="utf-8")
    except Problem as problem:
        print(f"\nscripts/bench: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nscripts/bench: {explain(error)}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(figures[options.names[0]] if len(options.names) == 1 else figures))
    return 0

"""What scripts/lab, scripts/test and scripts/bench are made of; only Python's standard library."""

import sys

if sys.version_info < (3, 10):
    sys.exit(f"{sys.argv[0]} needs Python 3.10 or newer; this is {sys.version.split()[0]}. "
             f"Install a newer python3, or run it as `python3.12 {sys.argv[0]}`.")

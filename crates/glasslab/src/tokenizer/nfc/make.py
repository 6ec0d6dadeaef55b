#!/usr/bin/env python3
"""Makes table.txt: what Unicode says of composed characters, from Python's own tables.

    python crates/glasslab/src/tokenizer/nfc/make.py

A line `C0 41 300` says that U+00C0 is taken apart into U+0041 U+0300, and is composed of them; one that begins with `!` is only
taken apart. A line `=300 314 E6` says that the marks from U+0300 to U+0314 have the combining class 0xE6.
"""

import sys
import unicodedata
from pathlib import Path


def main():
    lines, first, last, known = [], 0, -1, 0
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        parts = unicodedata.decomposition(character)
        if parts and not parts.startswith("<"):
            # What NFC leaves apart stays apart.
            mark = "" if unicodedata.normalize("NFC", character) == character else "!"
            lines.append(mark + " ".join(f"{int(part, 16):X}" for part in [f"{code:x}", *parts.split()]))
    for code in range(sys.maxunicode + 2):
        kind = unicodedata.combining(chr(code)) if code <= sys.maxunicode else 0
        if kind != known:
            if known:
                lines.append(f"={first:X} {last:X} {known:X}")
            first, known = code, kind
        last = code
    lines.insert(0, f"# Unicode {unicodedata.unidata_version}, made by make.py")
    Path(__file__).with_name("table.txt").write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

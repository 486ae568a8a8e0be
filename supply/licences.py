"""Checks the licence of every installed package: `python -m supply.licences`, exit status 1 or 0.

The list is of what this project, under MIT, may be built from and shipped with.
"""

from __future__ import annotations

import re
import sys

from supply.parts import Part, installed

NOTICE = "asks for no more than its notice"
FREE = "asks for nothing"
ALLOWED = {
    "Apache-2.0": NOTICE,
    "BSD-2-Clause": NOTICE,
    "BSD-3-Clause": NOTICE,
    "MIT": NOTICE,
    "MIT-CMU": NOTICE,
    "PSF-2.0": NOTICE,
    "ZPL-2.1": NOTICE,
    "Zlib": NOTICE,
    "0BSD": FREE,
    "CC0-1.0": FREE,
    "MIT-0": FREE,
    "MPL-2.0": "binds its own files, and we change none of them",
}
# By package and licence, where the licence alone would not do.
EXCEPTIONS = {
    ("psycopg", "LGPL-3.0-only"): "a library of its own, used unchanged, that anybody can replace",
    ("psycopg-binary", "LGPL-3.0-only"): "part of psycopg",
    ("text-unidecode", "Artistic-1.0-Perl"): "comes with a test tool and is never shipped",
}


def complaints(parts: list[Part]) -> list[str]:
    """A line for every part whose licence nobody has looked at."""
    found = []
    for part in parts:
        named = [one for one in re.split(r"[\s()]+", part.licence) if one not in ("", "AND", "OR")]
        # Of a choice, too, every licence must be allowed: simple, and so far enough.
        unknown = [
            one for one in named if one not in ALLOWED and (part.name, one) not in EXCEPTIONS
        ]
        if unknown or not named:
            found.append(f"{part.name} {part.version}: {part.licence or 'says no licence'}")
    return found


def main() -> None:
    """Check this environment."""
    parts = installed()
    if found := complaints(parts):
        told = "\n  ".join(found)
        sys.exit(f"licences: look at these, then see supply/licences.py:\n  {told}")
    print(f"licences: {len(parts)} packages, all under licences that fit.")


if __name__ == "__main__":
    main()

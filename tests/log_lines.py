"""Reads log lines back into their fields."""

from __future__ import annotations

import json
import re

FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)')


def fields_of(line: str) -> dict[str, str]:
    """The fields of one line; AssertionError when it is not made of fields."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(line):
        found = FIELD.match(line, at)
        assert found, f"not a field: {line[at:][:200]!r} in {line[:200]!r}"
        name, value = found.groups()
        fields[name] = json.loads(value) if value.startswith('"') else value
        at = found.end()
    return fields

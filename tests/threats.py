"""Reads the table of SECURITY.md: each threat with the file that holds it off and its test."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.processes import ROOT

_ROW = re.compile(r"(?m)^\| ([A-Z]\d+) \| (.+?) \| (.+?) \| `([^`|]+)` \|$")


@dataclass(frozen=True)
class Threat:
    """One row."""

    row: str
    threat: str
    files: tuple[str, ...]
    test: str
    """As pytest names it."""


def threats() -> list[Threat]:
    """All rows, in order."""
    text = (ROOT / "SECURITY.md").read_text()
    return [
        Threat(row, threat, tuple(re.findall(r"\]\(([^)]+)\)", defence)), test)
        for row, threat, defence, test in _ROW.findall(text)
    ]

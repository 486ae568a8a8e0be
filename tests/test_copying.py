"""The README's table of what to copy: whoever takes a row's files has named what they import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.test_docs import section

ROWS = re.findall(
    r"(?m)^\| ([^|]+) \| ([^|]*\]\([^|]+) \| ([^|]+) \|$", section("Copy this into your app")
)


def linked(cell: str) -> set[Path]:
    """The files that a cell links to, those of a linked folder included."""
    paths = {ROOT / link for link in re.findall(r"\]\(([^)]+)\)", cell)}
    inside = {file for path in paths if path.is_dir() for file in path.rglob("*.py")}
    return {path for path in paths if path.is_file()} | inside


def imported(path: Path) -> Iterator[Path]:
    """The files of this repository that a file imports itself."""
    if path.suffix == ".js":
        for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
            yield (path.parent / name).resolve()
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "app":
            yield from (module(f"{node.module}.{alias.name}") for alias in node.names)


def module(name: str) -> Path:
    """The file of a module, or of the module that a name is in."""
    path = ROOT / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return module(name.rpartition(".")[0])


def test_the_table_is_read() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize(("need", "take", "needs"), ROWS, ids=[row[0][:40] for row in ROWS])
def test_a_row_names_all_that_its_files_import_and_no_more(
    need: str, take: str, needs: str
) -> None:
    taken, named = linked(take), linked(needs)
    wanted = {file for path in taken if path.suffix in {".py", ".js"} for file in imported(path)}
    missing = wanted - taken - named
    assert not missing, f"also imported: {sorted(map(str, missing))}"
    shown = {path for path in named if path.suffix in {".py", ".js"}}
    idle = {path for path in shown - wanted if f"`{path.name}`" in needs}
    assert idle <= {ROOT / "app" / "relay.py"}, "named, but only to show how it is used"

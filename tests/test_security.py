"""SECURITY.md: every threat names a defence and a test that exist, and a mutation that fits."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.mutants import ask_tests, mutated
from tests.mutations import MUTATIONS, Mutation
from tests.processes import ROOT
from tests.threats import Threat, threats

THREATS = threats()


@cache
def functions_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_line_of_the_table_is_a_row_of_its_own() -> None:
    lines = re.findall(r"(?m)^\| [A-Z]\d+ \|", (ROOT / "SECURITY.md").read_text())
    rows = [threat.row for threat in THREATS]
    assert len(lines) == len(rows) == len(set(rows))
    assert len(rows) >= 40


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.row)
def test_what_a_row_names_exists(threat: Threat) -> None:
    assert threat.files
    for file in threat.files:
        assert (ROOT / file).is_file()
    file, _, name = threat.test.partition("::")
    assert name.startswith("test_")
    assert name in functions_in(file)


def test_every_row_has_a_mutation_and_every_mutation_a_row() -> None:
    assert {one.row for one in MUTATIONS} == {threat.row for threat in THREATS}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: f"{one.row}-{one.file}")
def test_a_mutation_finds_its_place_in_a_file_of_its_row(mutation: Mutation) -> None:
    [threat] = [one for one in THREATS if one.row == mutation.row]
    assert mutation.file in threat.files
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old


def test_a_mutation_is_made_and_undone(tmp_path: Path) -> None:
    (tmp_path / "defence.py").write_text("guard = True\n")
    with mutated(tmp_path, Mutation("X1", "defence.py", "True", "False")) as found:
        assert found
        assert (tmp_path / "defence.py").read_text() == "guard = False\n"
    assert (tmp_path / "defence.py").read_text() == "guard = True\n"
    with mutated(tmp_path, Mutation("X1", "defence.py", "None", "False")) as found:
        assert not found


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def test_it(): pass", "passed"),
        ("def test_it(): assert False", "failed"),
        ("def test_it(nothing): pass", "could not be run"),
        ("import nothing\ndef test_it(): pass", "could not be run"),
    ],
)
def test_only_a_test_that_ran_counts_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take longer than the test
    (tmp_path / "test_it.py").write_text(source)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    assert ask_tests(tmp_path, ["test_it.py"]).startswith(said)

"""What the app is made of: every dependency has a reason, a licence that fits, and its hashes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from supply.audit import NOT_DONE, judge, skipped
from supply.bom import describe
from supply.licences import ALLOWED, EXCEPTIONS, complaints
from supply.parts import RELEASE, Part, installed, normalise, release
from tests.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = (ROOT / "constraints.txt").read_text()


def reasons(lines: list[str], dependency: str) -> dict[str, str]:
    """What is written beside each dependency of these lines."""
    found = (re.match(rf"{dependency}\s*(?:#\s*(.*))?$", line) for line in lines)
    return {match[1]: match[2] or "" for match in found if match}


def test_no_dependency_is_without_a_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().partition("\n[tool.")[0].splitlines()
    ours = reasons(lines, r'  "([^"]+)",')
    tools = reasons(
        [
            line
            for file in ("bench/requirements", "bench/chainlit_requirements", "supply/requirements")
            for line in (ROOT / f"{file}.txt").read_text().splitlines()
        ],
        r"([\w\[\]-]+[=<>\d.,]*)",
    )
    package = json.loads((ROOT / "package.json").read_text())
    assert package["//"].keys() == package["devDependencies"].keys()
    told = {**ours, **tools, **package["//"]}
    assert [name for name, reason in told.items() if len(reason.split()) < 2] == []
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    assert set(declared) <= ours.keys(), "the test has not seen them all"
    assert len(tools) > 5


def test_every_licence_fits_and_every_exception_is_needed() -> None:
    parts = installed()
    assert complaints(parts) == []
    named = {(part.name, one) for part in parts for one in re.split(r"[\s()]+", part.licence)}
    assert EXCEPTIONS.keys() <= named
    assert all(len(reason.split()) > 2 for reason in (*ALLOWED.values(), *EXCEPTIONS.values()))


@pytest.mark.parametrize("licence", ["AGPL-3.0-only", "MIT AND SSPL-1.0", "", "GPL-2.0 OR MIT"])
def test_a_licence_that_nobody_has_looked_at_is_complained_of(licence: str) -> None:
    [complaint] = complaints([Part("sly", "1.0", licence, frozenset())])
    assert complaint.startswith("sly 1.0: ")
    assert complaint.endswith(licence or "says no licence")


def test_a_release_is_pinned_to_hashes_and_to_no_address() -> None:
    pinned = release()
    text = RELEASE.read_text()
    assert "://" not in text
    assert "--index" not in text
    assert set(re.findall(r"(?m)^\S+", text)) <= {
        "#",
        *(line.split()[0] for line in text.splitlines() if "==" in line),
    }
    assert all(hashes for _, hashes in pinned.values())
    tested = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)$", CONSTRAINTS))
    versions = {normalise(name): version for name, version in tested.items()}
    assert {name: version for name, (version, _) in pinned.items()} == {
        name: versions[name] for name in pinned
    }


def test_a_release_has_everything_that_production_needs() -> None:
    pinned = release().keys()
    here = {part.name: part for part in installed()}
    project = PROJECT["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["production"]]
    wanted = {normalise(re.split(r"[^\w.-]", one)[0]) for one in declared}
    assert {"flask", "psycopg", "redis"} <= wanted
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        seen.add(name)
        wanted |= (here[name].needs & here.keys()) - seen
    assert seen - pinned == set()


HOLE = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": [], "description": "Oh."}
SOUND: dict[str, Any] = {"name": "sound", "version": "1.0", "vulns": []}
HOLED: dict[str, Any] = {"name": "holed", "version": "1.0", "vulns": [HOLE]}
UNASKED: dict[str, Any] = {"name": "unasked", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("report", "status", "words"),
    [
        ([], 0, NOT_DONE),
        ([UNASKED, UNASKED], 0, NOT_DONE),
        ([SOUND, SOUND], 0, "audit: 2 packages have no known hole."),
        ([SOUND, UNASKED], 0, "audit: 1 packages have no known hole; not asked about: unasked."),
        ([SOUND, HOLED], 1, "holed 1.0: PYSEC-1, mended in 2.0"),
        ([HOLED, UNASKED], 1, "holed 1.0: PYSEC-1, mended in 2.0"),
    ],
)
def test_an_audit_that_was_not_done_does_not_look_like_one_and_a_hole_is_a_failure(
    report: list[dict[str, Any]], status: int, words: str
) -> None:
    found, said = judge(report)
    assert found == status
    assert words in said
    assert ("no known hole" in said) == (status == 0 and SOUND in report)
    assert len(skipped(report)) == report.count(UNASKED)


def test_the_list_of_parts_names_every_part_of_a_release_with_its_licence_and_needs() -> None:
    bom = describe()
    parts = {part["name"]: part for part in bom["components"]}
    assert parts.keys() == release().keys()
    assert all(part["licenses"][0]["expression"] for part in parts.values())
    refs = {part["bom-ref"] for part in parts.values()}
    edges = {one["ref"]: set(one["dependsOn"]) for one in bom["dependencies"]}
    assert set().union(*edges.values()) == refs
    assert edges[parts["flask"]["bom-ref"]] >= {parts["werkzeug"]["bom-ref"]}
    assert describe() == bom, "the same parts make the same list"


def test_nothing_of_supply_is_part_of_the_app() -> None:
    imported = [path for path in Path(ROOT / "app").rglob("*.py") if "supply" in path.read_text()]
    assert imported == []

"""What the documentation says of the measurements is what was measured."""

from __future__ import annotations

import json
from typing import Any

from bench.chart import draw
from bench.page import DOCS, describe

FOUND: dict[str, Any] = json.loads((DOCS / "benchmarks.json").read_text())
WRITTEN = (DOCS / "benchmarks.md").read_text()


def test_the_page_and_the_chart_are_made_of_the_measured_figures() -> None:
    assert describe(FOUND) == WRITTEN
    assert (DOCS / "benchmarks.svg").read_text() == draw(FOUND)


def test_a_figure_that_misses_its_goal_is_called_that() -> None:
    slow = json.loads(json.dumps(FOUND))
    ours = slow["two hundred"]["peers"]["Thumbprint"]
    ours["cpu"] = [value * 100 for value in ours["cpu"]]
    [line] = [
        line
        for line in describe(slow).splitlines()
        if line.startswith("| Model over HTTP: CPU, of that of MLflow's page |")
    ]
    assert line.endswith("| **not reached** |")


def test_every_verdict_of_the_present_goals_stands_in_the_page() -> None:
    verdicts = [
        line for line in describe(FOUND).splitlines() if line.endswith(("reached |", "reached** |"))
    ]
    assert len(verdicts) > 10
    assert set(verdicts) <= set(WRITTEN.splitlines())


def test_a_peer_that_could_not_be_measured_is_named_with_the_reason() -> None:
    lacking = json.loads(json.dumps(FOUND))
    lacking["two hundred"]["missing"] = {"Chainlit": "it would not install"}
    assert "**Chainlit was not measured**: it would not install." in describe(lacking)

"""Writes what was measured where people read it: `docs/benchmarks.md`, from `docs/benchmarks.json`.

`python -m bench.page` writes it and the chart anew without measuring.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.chart import draw
from bench.goals import GOALS
from bench.results import MEASURES, ratio, spread
from bench.rig import OURS
from tests.processes import ROOT

DOCS = ROOT / "docs"
INTRODUCTION = (Path(__file__).parent / "introduction.md").read_text()


def write(found: Mapping[str, Any]) -> None:
    """Write the page and the chart."""
    (DOCS / "benchmarks.md").write_text(describe(found))
    (DOCS / "benchmarks.svg").write_text(draw(found))


def describe(found: Mapping[str, Any]) -> str:
    """The page's text."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield INTRODUCTION
    yield "## What it was to show, and what came out\n"
    yield "| | At most | Measured | |"
    yield "|---|---|---|---|"
    for goal in GOALS:
        value = goal.take(found)
        if value is not None:
            verdict = "reached" if value <= goal.most else "**not reached**"
            measured = f"{value:.2f}" if value < 10 else f"{value:,.0f}"
            yield f"| {goal.text} | {goal.most:g}{goal.unit} | {measured}{goal.unit} | {verdict} |"
    for scenario in found.values():
        yield ""
        yield from _table(scenario)


def _table(scenario: Mapping[str, Any]) -> Iterator[str]:
    peers: Mapping[str, Mapping[str, Sequence[float]]] = scenario["peers"]
    low, high = scenario["load"]
    yield f"## {scenario['title']}\n"
    yield (
        f"{scenario['date']}, {scenario['machine']}. Rounds: {scenario['rounds']}. Load average "
        f"meanwhile, other people's work on the machine included: {low:.1f} to {high:.1f}.\n"
    )
    for name, why in scenario.get("missing", {}).items():
        yield f"**{name} was not measured**: {why}.\n"
    yield "| | " + " | ".join(peers) + " |"
    yield "|---|" + "---|" * len(peers)
    for measure in MEASURES:
        values = [
            spread(peer[measure.name]) if measure.name in peer else "" for peer in peers.values()
        ]
        if any(values):
            yield f"| {measure.title} | " + " | ".join(values) + " |"
    for name, title in (("cpu", "our CPU by theirs"), ("steady_cpu", "the same, while all stream")):
        compared = [ratio(peers[OURS].get(name, ()), peer.get(name, ())) for peer in peers.values()]
        if any(compared):
            shown = [
                f"{one[0]:.2f} ({one[1]:.2f} to {one[2]:.2f})" if one else "" for one in compared
            ]
            yield f"| **{title}** | " + " | ".join(shown) + " |"


if __name__ == "__main__":
    write(json.loads((DOCS / "benchmarks.json").read_text()))

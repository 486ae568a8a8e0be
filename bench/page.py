"""Writes what was measured where people read it: `docs/benchmarks.md`, from `docs/benchmarks.json`.

`python -m bench.page` writes it and the chart anew without measuring.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.chart import draw
from bench.goals import GOALS
from bench.results import MEASURES, ratio, spread
from bench.rig import OURS
from tests.processes import ROOT

DOCS = ROOT / "docs"
INTRODUCTION = """# Benchmarks

Written by `python -m bench peers`; the figures are in [benchmarks.json](benchmarks.json).

In each scenario all servers run on one machine and are read in turn, round after round, by one
client on uvloop in a process of its own. Every token carries the time at which it was made, so its
age on arrival is known. A figure is the median of the rounds; in brackets, from where to where they
went. CPU time is that of all processes of a server, our relay included, up to six seconds after the
last answer; not that of MLflow's server, the model and the client.

- **Thumbprint**: gunicorn with its own configuration, SQLite, the relay, and a real MLflow server.
- **MLflow's page**: the design of
  [its page on feedback](https://mlflow.org/docs/latest/genai/assessments/feedback/), rebuilt in
  [`bench/peers/page.py`](../bench/peers/page.py): FastAPI on uvicorn with uvloop and httptools,
  server-sent events, one for each token, `AsyncOpenAI`, tracing to the same MLflow server. It has a
  pause of 10 ms after each token, and keeps nothing outside MLflow. It says `done` without waiting
  for the trace; we wait until it is stored or in our outbox.
- **websockets, picows, uvloop**: bare servers that send one frame for each token, and do nothing
  else: no identity, no database, no trace, no resuming.
- **Stalled readers** are cut off once they have taken nothing for 30 seconds, as in production, and
  count as failures here. So of the 62 failures of the first run with stalled readers 50 are meant.
  The 12 others were not told apart. A shorter run afterwards (300 who read, 50 who did not, every
  frame checked) had no failure but the cut-off ones.
- **The whole run shared its two cores with other people's work** (see each load average), so what
  is a latency here says more about that than about any server; CPU times suffer less. The first
  scenario is one round, measured anew after our database thread had stopped waiting 5 ms at each
  call beside busy streams. Before that, at a load of 10 to 19, our CPU was 0.5 of the page's, and
  the 99th percentiles of our first token and of our gaps were worse than the page's.
- **Chainlit** is not among them yet. 2.12 installs, but in an environment of its own (its
  instrumentation pins OpenTelemetry 1.45.1; ours is 1.45.2), and neither a client for its
  Socket.IO protocol nor a database for its data layer has been written.
"""


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

"""Our app beside others, in one run, with one scripted model: `python -m bench peers`.

In each scenario every peer runs at the same time, one of them is read, then the next, for several
rounds, so that a machine that slows down slows everyone. What comes out is written to
`docs/benchmarks.json`, and from there to `docs/benchmarks.md` and the chart.
"""

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import page, results
from bench.rig import (
    CHAINLIT,
    FLOORS,
    OURS,
    PAGE,
    PAGE_UNPAUSED,
    PAGE_UVLOOP,
    PAGES,
    Rig,
    describe_machine,
    why_missing,
)
from tests.processes import ROOT

ROUNDS = 3
WRITTEN = ROOT / "docs/benchmarks.json"


@dataclass(frozen=True)
class Scenario:
    """What is read, from whom."""

    name: str
    title: str
    peers: Sequence[str]
    over_http: bool
    spec: dict[str, Any]
    workers: int = 1
    rounds: int = ROUNDS
    kind: str | None = None
    """How the client reads, unless as the peer wants it."""


WITH_MODEL = (OURS, *PAGES, CHAINLIT)
WITH_FEEDBACK = (OURS, PAGE, CHAINLIT)
SCENARIOS = (
    Scenario(
        "two hundred",
        "200 streams of 20 tokens a second, model over HTTP",
        WITH_MODEL,
        True,
        {"streams": 200, "tokens": 200, "rate": 20, "ramp_s": 5},
    ),
    Scenario(
        "in process",
        "200 streams of 100 tokens a second, made in the process",
        (OURS, PAGE_UNPAUSED, PAGE_UVLOOP, *FLOORS),
        False,
        {"streams": 200, "tokens": 1500, "rate": 100, "ramp_s": 5},
        rounds=7,  # two servers take up to a quarter more or less from one round to the next
    ),
    Scenario(
        "slow in process",
        "200 streams of 20 tokens a second, made in the process",
        (OURS, PAGE_UNPAUSED),
        False,
        {"streams": 200, "tokens": 200, "rate": 20, "ramp_s": 5},
        rounds=2,
    ),
    Scenario(
        "thousand",
        "1,000 streams of 5 tokens a second, model over HTTP, two workers",
        (OURS, PAGE_UNPAUSED),
        True,
        {"streams": 1000, "tokens": 150, "rate": 5, "ramp_s": 20},
        workers=2,
        rounds=1,
    ),
    Scenario(
        "idle",
        "5,000 connections that say nothing",
        (OURS, *FLOORS),
        True,
        {"streams": 5000, "idle_s": 5},
        rounds=1,
    ),
    Scenario(
        "idle and stalled",
        "5,000 idle connections, 50 readers stalled, 200 who read 20 tokens a second",
        (OURS,),
        True,
        {"streams": 5250, "silent": 5000, "stalled": 50, "tokens": 1000, "rate": 20, "ramp_s": 5},
        workers=2,
        rounds=1,
        kind="checked",
    ),
    Scenario(
        "fifty",
        "50 streams of 20 tokens a second, model over HTTP",
        WITH_MODEL,
        True,
        {"streams": 50, "tokens": 200, "rate": 20, "ramp_s": 2},
        rounds=1,
    ),
    Scenario(
        "one",
        "1 stream of 20 tokens a second, model over HTTP",
        WITH_MODEL,
        True,
        {"streams": 1, "tokens": 100, "rate": 20},
        rounds=1,
    ),
    Scenario(
        "one judge",
        "Feedback: one person, one verdict after the other",
        WITH_FEEDBACK,
        True,
        {"streams": 1, "tokens": 5, "rate": 20, "judge_s": 6},
        rounds=2,
    ),
    Scenario(
        "fifty judges",
        "Feedback: 50 people at once, each one verdict after the other",
        WITH_FEEDBACK,
        True,
        {"streams": 50, "tokens": 5, "rate": 20, "ramp_s": 1, "judge_s": 6},
        rounds=2,
    ),
)


def main(arguments: Sequence[str] = ()) -> None:
    """Measure what the arguments name, all without any, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m bench peers", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*(one.name for one in SCENARIOS), []])
    parser.add_argument("--rounds", type=int, help="at most so many of each scenario")
    chosen = parser.parse_args(arguments)
    found = json.loads(WRITTEN.read_text()) if chosen.scenario and WRITTEN.exists() else {}
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)).running() as rig:
        for scenario in SCENARIOS:
            if not chosen.scenario or scenario.name in chosen.scenario:
                found[scenario.name] = measure(
                    rig, scenario, min(chosen.rounds or scenario.rounds, scenario.rounds)
                )
                results.show(scenario.title, found[scenario.name])
                WRITTEN.write_text(json.dumps(found, indent=1) + "\n")
                page.write(found)


def measure(rig: Rig, scenario: Scenario, rounds: int) -> dict[str, Any]:
    """Measure one scenario: all peers in turn, then all again."""
    missing = {name: why for name in scenario.peers if (why := why_missing(name))}
    for name, why in missing.items():
        print(f"{name} is NOT measured: {why}", file=sys.stderr)
    names = [name for name in scenario.peers if name not in missing]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    loads = []
    with rig.peers(names, scenario.workers, over_http=scenario.over_http) as peers:
        for peer in peers:
            if "tokens" in scenario.spec:
                rig.measure(peer, streams=20, tokens=20, rate=20, ramp_s=1, settle_s=0)
        for _ in range(rounds):
            for peer in peers:
                spec = {**scenario.spec, "kind": scenario.kind or peer.kind}
                runs[peer.name].append(rig.measure(peer, **spec))
                loads.append(os.getloadavg()[0])
    return {
        "title": scenario.title,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": describe_machine(),
        "load": [min(loads), max(loads)],
        "rounds": rounds,
        "missing": missing,
        "peers": {name: results.collect(found) for name, found in runs.items()},
    }

"""What the side-by-side measurements were meant to show, and whether they did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.results import median, ratio
from bench.rig import OURS, PAGE, PAGE_UNPAUSED, PAGE_UVLOOP, PICOWS, PICOWS_UVLOOP

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """One figure and the most it may be; None while it was not measured."""

    text: str
    most: float
    take: Callable[[Found], float | None]
    unit: str = ""


def _values(found: Found, scenario: str, peer: str, measure: str) -> Sequence[float]:
    peers: Mapping[str, Mapping[str, Sequence[float]]] = found.get(scenario, {}).get("peers", {})
    return peers.get(peer, {}).get(measure, ())


def _ratio(scenario: str, measure: str, peer: str) -> Callable[[Found], float | None]:
    def take(found: Found) -> float | None:
        ours = _values(found, scenario, OURS, measure)
        compared = ratio(ours, _values(found, scenario, peer, measure))
        return compared[0] if compared else None

    return take


def _ours(scenario: str, measure: str) -> Callable[[Found], float | None]:
    def take(found: Found) -> float | None:
        values = _values(found, scenario, OURS, measure)
        return median(values) if values else None

    return take


def _reading(found: Found) -> float | None:
    """What a token costs more when it comes from the model over HTTP, in microseconds."""
    over_http = _ours("two hundred", "steady_cpu")(found)
    inside = _ours("slow in process", "steady_cpu")(found)
    return None if over_http is None or inside is None else over_http - inside


def _missing(found: Found) -> float | None:
    held = _ours("idle", "held")(found)
    return None if held is None else 5000 - held


HTTP = "two hundred"
INSIDE = "in process"
AS_PUBLISHED = (PAGE, PAGE_UNPAUSED)
GOALS = (
    *(
        Goal(f"Model over HTTP: CPU, of that of {one}", 0.4, _ratio(HTTP, "cpu", one))
        for one in AS_PUBLISHED
    ),
    *(
        Goal(f"Model over HTTP: gap p99, of that of {one}", 1.0, _ratio(HTTP, "gap_p99", one))
        for one in AS_PUBLISHED
    ),
    *(
        Goal(f"Model over HTTP: first token p99, of {one}'s", 1.0, _ratio(HTTP, "first_p99", one))
        for one in AS_PUBLISHED
    ),
    *(
        Goal(
            f"Beyond what was asked: {where}{what}, of {peer}",
            most,
            _ratio(scenario, name, peer),
        )
        for scenario, where, peer in (
            (HTTP, "", PAGE_UVLOOP),
            ("fifty", "with 50 streams instead of 200, ", PAGE_UNPAUSED),
        )
        for what, name, most in (
            ("CPU", "cpu", 0.4),
            ("gap p99", "gap_p99", 1.0),
            ("first token p99", "first_p99", 1.0),
        )
    ),
    Goal("Reading the model adds for each token", 80, _reading, " µs"),
    Goal(
        "In the process, while all stream: CPU, of the page's without its pause",
        0.55,
        _ratio(INSIDE, "steady_cpu", PAGE_UNPAUSED),
    ),
    Goal(
        "Beyond what was asked: the same, of the page's on uvloop",
        0.55,
        _ratio(INSIDE, "steady_cpu", PAGE_UVLOOP),
    ),
    Goal("The same, of picows'", 1.0, _ratio(INSIDE, "steady_cpu", PICOWS)),
    Goal(
        "Beyond what was asked: the same, of picows' on uvloop",
        1.0,
        _ratio(INSIDE, "steady_cpu", PICOWS_UVLOOP),
    ),
    Goal("The same, of bare uvloop's", 1.25, _ratio(INSIDE, "steady_cpu", "uvloop")),
    Goal("In the process: the last token is late by, median", 5, _ours(INSIDE, "late_p50"), " ms"),
    Goal("In the process: age of a token on arrival, median", 12, _ours(INSIDE, "age_p50"), " ms"),
    Goal("1,000 streams: failures", 0, _ours("thousand", "failures")),
    Goal("1,000 streams: gap p99", 400, _ours("thousand", "gap_p99"), " ms"),
    Goal("5,000 idle connections: not held", 0, _missing),
    Goal("5,000 idle connections: memory of each", 40, _ours("idle", "idle_kb"), " kB"),
    Goal(
        "5,000 idle connections, 50 readers stalled: corrupt frames",
        0,
        _ours("idle and stalled", "corrupt"),
    ),
    Goal("The same: failures among those who read", 0, _ours("idle and stalled", "failures")),
)

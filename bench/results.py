"""What the rounds of a measurement come to: medians with their spread, and ratios to ours."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """One figure of a run; None where the run has none."""

    name: str
    title: str
    take: Callable[[Run], float | None]


def _of(name: str, part: str) -> Callable[[Run], float | None]:
    return lambda run: (run.get(name) or {}).get(part)


def _cpu_of(name: str) -> Callable[[Run], float | None]:
    def take(run: Run) -> float | None:
        return run["cpu_s"][name] / run["seconds"] if "cpu_s" in run else None

    return take


def _cpu_per_1000(run: Run) -> float | None:
    return run["cpu_s"]["server"] / run["tokens"] * 1e6 if run.get("tokens") else None


MEASURES = (
    Measure("cpu", "server's CPU, ms for 1,000 tokens", _cpu_per_1000),
    Measure("steady_cpu", "the same, while all stream", lambda run: run.get("steady_us")),
    Measure("first_p50", "first token, median ms", _of("first_token_ms", "p50")),
    Measure("first_p99", "first token, p99 ms", _of("first_token_ms", "p99")),
    Measure("gap_p50", "gap between texts, median ms", _of("gap_ms", "p50")),
    Measure("gap_p99", "gap between texts, p99 ms", _of("gap_ms", "p99")),
    Measure("age_p50", "age of a token on arrival, median ms", _of("age_ms", "p50")),
    Measure("age_p99", "age of a token on arrival, p99 ms", _of("age_ms", "p99")),
    Measure("late_p50", "last token late by, median ms", _of("end_late_ms", "p50")),
    Measure("late_p99", "last token late by, p99 ms", _of("end_late_ms", "p99")),
    Measure("done_p50", "last token to `done`, median ms", _of("done_ms", "p50")),
    Measure("done_p99", "last token to `done`, p99 ms", _of("done_ms", "p99")),
    Measure("verdict_p50", "a verdict is answered after, median ms", _of("verdict_ms", "p50")),
    Measure("verdict_p99", "a verdict is answered after, p99 ms", _of("verdict_ms", "p99")),
    Measure("verdict_rate", "verdicts a second", lambda run: run.get("verdicts_per_s")),
    Measure("verdict_cpu", "server's CPU for a verdict, ms", lambda run: run.get("verdict_cpu_ms")),
    Measure("verdict_failures", "verdicts that failed", lambda run: run.get("verdict_failures")),
    Measure("idle_kb", "memory of an idle connection, kB", lambda run: run.get("idle_kb_each")),
    Measure(
        "streaming_kb",
        "memory of a streaming connection, kB",
        lambda run: run.get("streaming_kb_each"),
    ),
    Measure("held", "connections held", lambda run: run.get("held")),
    Measure("complete", "answers complete", lambda run: run.get("complete")),
    Measure("failures", "failures", lambda run: run.get("failures")),
    Measure("cut_off", "cut off because they did not read", lambda run: run.get("cut_off")),
    Measure("corrupt", "corrupt frames", lambda run: run.get("corrupt")),
    Measure("queued", "traces left to the relay", lambda run: run.get("queued")),
    Measure("client_cpu", "client's CPU, cores", _cpu_of("client")),
    Measure("model_cpu", "model's CPU, cores", _cpu_of("model")),
    Measure("mlflow_cpu", "MLflow's CPU, cores", _cpu_of("mlflow")),
)


def collect(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Each figure of each round."""
    found = {}
    for measure in MEASURES:
        values = [measure.take(run) for run in runs]
        if any(value is not None for value in values):
            found[measure.name] = [round(value, 2) for value in values if value is not None]
    return found


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Median, and from where to where the rounds went."""
    middle = _number(median(values))
    if len(values) < 2 or min(values) == max(values):
        return middle
    return f"{middle} ({_number(min(values))} to {_number(max(values))})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float] | None:
    """Ours by theirs, round by round: the median, the least and the most."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=False) if b]
    return (median(pairs), min(pairs), max(pairs)) if pairs else None


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")


def show(title: str, found: Mapping[str, Any]) -> None:
    """Print one scenario."""
    peers: Mapping[str, Mapping[str, Sequence[float]]] = found["peers"]
    print(f"\n{title} ({found['rounds']} rounds, load {found['load'][0]} to {found['load'][1]})")
    wide = max(26, *(len(name) + 2 for name in peers))
    print(" " * 40 + "".join(f"{name:>{wide}}" for name in peers))
    for measure in MEASURES:
        values = [
            spread(one[measure.name]) if measure.name in one else "" for one in peers.values()
        ]
        if any(values):
            print(f"{measure.title:40}" + "".join(f"{value:>{wide}}" for value in values))

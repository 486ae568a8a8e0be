"""A report about an invented month, for tests of how reports are shown."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from app.insights.report import (
    Bucket,
    Comparison,
    Dimension,
    Ending,
    Group,
    Latency,
    MixedValues,
    Negative,
    OtherFeedback,
    Outbox,
    Outcome,
    Reason,
    Report,
    Signal,
)
from app.insights.statistics import Rate, difference
from app.store.filters import Filters
from tests.doubles import NOON

DAY_MS = 86_400_000
UI = "http://mlflow.example"
LONG = "Light is scattered by the air, and blue light more than red. " * 12


def rate(hits: int, total: int) -> Rate:
    return Rate.of(hits, total)


def group(name: str, days_ago: int, traces: int, up: int, thumbs: int) -> Group:
    return Group(
        name, NOON - days_ago * DAY_MS, traces, rate(thumbs, traces), rate(up, thumbs), None
    )


def compared(*groups: Group) -> tuple[Group, ...]:
    """The groups, each compared with the one before."""
    found = list(groups[:1])
    for before, after in itertools.pairwise(groups):
        delta = difference(after.positive, before.positive)
        if delta is None:
            found.append(after)
            continue
        outcome: Outcome = "no clear difference"
        if delta.low > 0 or delta.high < 0:
            outcome = "better" if delta.low > 0 else "worse"
        found.append(replace(after, comparison=Comparison(before.name, delta, outcome)))
    return tuple(found)


def negative(number: int, **more: object) -> Negative:
    trace_id = f"tr-{number:032x}"
    known = Negative(
        trace_id=trace_id,
        link=f"{UI}/#/experiments/1/traces/{trace_id}",
        at_ms=NOON - number * 3_600_000,
        question="Why is the sky blue at noon and red in the evening?",
        answer="Because of the sea, which it mirrors.",
        comment=None,
        reasons=(),
        correction=None,
        version="1.5.0",
        model="SmolLM2-135M-Instruct",
        user="u-1",
        segment="new",
    )
    return replace(known, **more)  # type: ignore[arg-type]


def sample() -> Report:
    """A month with something of everything."""
    days = range(30)
    buckets = []
    for day in days:
        traces = round(34 + 14 * math.sin(day * 0.9) + day * 0.8)
        thumbs = 0 if day == 11 else max(1, round(traces * 0.18))
        up = round(thumbs * (0.62 if day < 18 else 0.83) + math.sin(day) * 0.8)
        start = NOON - (30 - day) * DAY_MS
        buckets.append(Bucket(start, traces, rate(min(thumbs, max(0, up)), thumbs)))
    traces = sum(bucket.traces for bucket in buckets)
    thumbs = sum(bucket.positive.total for bucket in buckets)
    up = sum(bucket.positive.hits for bucket in buckets)
    return Report(
        filters=Filters(NOON - 30 * DAY_MS, NOON),
        made_at_ms=NOON,
        source="mlflow",
        problems=(),
        notices=(),
        traces=traces,
        thumbs_up=up,
        thumbs_down=thumbs - up,
        feedback=rate(thumbs, traces),
        positive=rate(up, thumbs),
        interval_s=86_400,
        over_time=tuple(buckets),
        dimensions=(
            Dimension("user_accuracy", 61, 3.62, (6, 8, 9, 18, 20)),
            Dimension("user_helpfulness", 58, 4.05, (2, 4, 8, 19, 25)),
            Dimension("user_relevance", 0, None, (0, 0, 0, 0, 0)),
        ),
        reasons=(
            Reason("Incorrect", "down", rate(31, 96)),
            Reason("Easy to understand", "up", rate(28, 96)),
            Reason("Correct", "up", rate(25, 96)),
            Reason("Incomplete", "down", rate(17, 96)),
            Reason("Too formal", "other", rate(4, 96)),
        ),
        versions=compared(
            group("1.3.0", 30, 480, 52, 88),
            group("1.4.0", 17, 700, 106, 128),
            group("1.5.0", 1, 42, 3, 4),
        ),
        models=compared(
            group("SmolLM2-135M-Instruct", 30, 900, 118, 170),
            group("gpt-4o-mini", 9, 322, 43, 50),
        ),
        endings=(
            Ending("complete", rate(traces - 97, traces)),
            Ending("stopped", rate(58, traces)),
            Ending("failed", rate(31, traces)),
            Ending("interrupted", rate(8, traces)),
        ),
        latency=Latency(2140.0, 6890.0, 312.0, 1240.0),
        signals=(
            Signal("implicit_copy", rate(164, traces)),
            Signal("implicit_regenerate", rate(71, traces)),
            Signal("implicit_stop", rate(58, traces)),
        ),
        other_feedback=(OtherFeedback("mood", 7, None), OtherFeedback("politeness", 12, 0.83)),
        mixed=(MixedValues("user_accuracy", "stars", (("text", 3),)),),
        negatives=(
            negative(
                1,
                comment="It is scattering. The sea has nothing to do with it.",
                reasons=("Incorrect",),
                correction="The air scatters blue light more than red light.",
            ),
            negative(2, question="What is 17 + 25?", answer="32", segment="returning"),
            negative(
                3, answer=LONG, comment="<b>Far</b> too long.", reasons=("Hard to understand",)
            ),
        ),
        outbox=Outbox(3, 4.2, 0),
    )


def empty() -> Report:
    """A report about a window in which nothing happened."""
    nothing = rate(0, 0)
    return replace(
        sample(),
        traces=0,
        thumbs_up=0,
        thumbs_down=0,
        feedback=nothing,
        positive=nothing,
        over_time=(),
        dimensions=(),
        reasons=(),
        versions=(),
        models=(),
        endings=(),
        latency=Latency(None, None, None, None),
        signals=(),
        other_feedback=(),
        mixed=(),
        negatives=(),
        outbox=Outbox(0, 0.0, 0),
    )


def without_mlflow() -> Report:
    """What the app database knows while MLflow cannot be read."""
    known = sample()
    return replace(
        known,
        source="database",
        problems=("MLflow cannot be reached. These figures are the app database's own record.",),
        negatives=tuple(replace(one, link=None) for one in known.negatives),
        outbox=Outbox(214, 5400.0, 2),
    )

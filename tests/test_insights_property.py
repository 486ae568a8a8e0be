"""Every figure of the report against a naive computation straight from MLflow's own search."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import mlflow
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from app.insights.report import Group, Report
from app.insights.statistics import Rate
from app.store.filters import Filters
from app.tracing.spans import Recorder
from tests.doubles import NOON
from tests.insights_scene import Asked, InsightsScene
from tests.naive_report import NaiveReport, outcome, percentiles, wilson
from tests.servers import MlflowServer

WINDOW = Filters(NOON - 6 * 3_600_000, NOON)

steps = st.one_of(
    st.tuples(st.just("user_feedback"), st.sampled_from([True, True, False, False, None, "false"])),
    st.tuples(
        st.sampled_from(["user_accuracy", "user_relevance"]),
        st.sampled_from([0.2, 0.4, 0.6, 0.8, 1.0, None, "good", 0.5, True]),
    ),
    st.tuples(
        st.just("user_reasons"),
        st.sampled_from(
            [["Incorrect"], ["Incorrect", "Incomplete"], ["Correct"], ["Old one"], None, "late"]
        ),
    ),
    st.tuples(st.just("expected_response"), st.sampled_from(["Because of this.", None])),
    st.tuples(st.sampled_from(["implicit_stop", "implicit_copy"]), st.just(True)),
    st.tuples(st.just("tone"), st.sampled_from([3.5, 7, True, "warm", None])),
)
turns = st.builds(
    Asked,
    user=st.sampled_from(["ann", "o'neill"]),
    version=st.sampled_from(["1.0", 'the "new" one', "it's 3; -- ü"]),
    model=st.sampled_from(["small", "large"]),
    ending=st.sampled_from(["complete", "complete", "stopped", "failed", "interrupted"]),
    # Seven hours, of which the window has six.
    minutes_ago=st.integers(0, 420),
    duration_ms=st.integers(0, 5000),
    first_token_ms=st.one_of(st.none(), st.integers(0, 3000)),
    question=st.sampled_from(["Why?", "Wie, bitte?"]),
    said=st.lists(steps, max_size=4).map(tuple),
)
narrowings = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["1.0", 'the "new" one', "it's 3; -- ü", "unknown"]),
        "model": st.sampled_from(["small", "large"]),
        "user": st.sampled_from(["ann", "o'neill"]),
        "segment": st.sampled_from(["new", "returning"]),
    },
)

THUMB_DOWN = (("user_feedback", False), ("user_reasons", ["Incorrect", "Incomplete"]))
KNOWN = [
    *[Asked(said=(("user_feedback", False), ("user_feedback", True))) for _ in range(5)],
    *[Asked(version="2.0", minutes_ago=3, said=THUMB_DOWN) for _ in range(5)],
    Asked(version="2.0", model="large", said=(*THUMB_DOWN, ("user_feedback", None))),
    Asked(minutes_ago=400, said=THUMB_DOWN),
]


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder({"thumbprint.environment": "test"})


@settings(
    max_examples=60 if os.environ.get("SOAK") == "1" else 4,
    deadline=None,
    # Each example takes seconds, so a failing one is shown as it is.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(asked=KNOWN, narrowed={}, superseded=1)
@given(
    asked=st.lists(turns, min_size=1, max_size=8),
    narrowed=narrowings,
    superseded=st.integers(0, 2),
)
def test_every_figure_is_what_mlflows_own_search_adds_up_to(
    asked: list[Asked],
    narrowed: dict[str, Any],
    superseded: int,
    mlflow_server: MlflowServer,
    tmp_path_factory: pytest.TempPathFactory,
    recorder: Recorder,
) -> None:
    scene = InsightsScene(tmp_path_factory.mktemp("property"), mlflow_server.url, recorder)
    try:
        rows = [scene.ask(one) for one in asked]
        scene.deliver()
        filters = replace(WINDOW, **narrowed)
        for one, row in list(zip(asked, rows, strict=True))[:superseded]:
            supersede(scene, row.trace_id, one)
        report = scene.insights.report(filters)
        naive = NaiveReport(scene.reader, keeps(filters))
        check(report, naive, asked, rows, filters)
        # Not narrowed by themselves: one version alone has none to be compared with.
        whole = NaiveReport(scene.reader, keeps(replace(filters, version=None)))
        check_groups(report.versions, whole, "version")
        whole = NaiveReport(scene.reader, keeps(replace(filters, model=None)))
        check_groups(report.models, whole, "model")
    finally:
        scene.close()


def supersede(scene: InsightsScene, trace_id: str, asked: Asked) -> None:
    """Give a new verdict in MLflow itself, which keeps the old one and marks it as not valid."""
    for one in scene.reader.trace(trace_id).info.assessments:
        if one.feedback is not None and isinstance(one.feedback.value, bool):
            mlflow.override_feedback(
                trace_id=trace_id,
                assessment_id=str(one.assessment_id),
                value=not one.feedback.value,
            )


def keeps(filters: Filters) -> Any:
    def wanted(info: Any) -> bool:
        tags = info.tags
        return (
            filters.start_ms <= info.request_time <= filters.end_ms
            and filters.version in (None, tags["thumbprint.version"])
            and filters.model in (None, tags["thumbprint.model"])
            and filters.segment in (None, tags["thumbprint.segment"])
            and filters.user in (None, info.trace_metadata["mlflow.trace.user"])
        )

    return wanted


def check(
    report: Report, naive: NaiveReport, asked: list[Asked], rows: list[Any], filters: Filters
) -> None:
    up, down = naive.thumbs()
    assert report.problems == ()
    assert report.traces == len(naive.infos)
    assert (report.thumbs_up, report.thumbs_down) == (up, down)
    check_rate(report.feedback, up + down, len(naive.infos))
    check_rate(report.positive, up, up + down)
    check_over_time(report, naive)
    check_values(report, naive)
    for ending in report.endings:
        check_rate(ending.rate, len(naive.tagged("ending", ending.name)), len(naive.infos))
    assert [report.latency.duration_p50_ms, report.latency.duration_p95_ms] == approx(
        naive.durations()
    )
    kept = {info.trace_id for info in naive.infos}
    first_tokens = [
        one.first_token_ms
        for one, row in zip(asked, rows, strict=True)
        if row.trace_id in kept and one.first_token_ms is not None
    ]
    assert [report.latency.first_token_p50_ms, report.latency.first_token_p95_ms] == approx(
        percentiles(first_tokens)
    )
    check_negatives(report, naive)


def check_over_time(report: Report, naive: NaiveReport) -> None:
    assert report.over_time[0].start_ms <= report.filters.start_ms
    last = report.over_time[-1].start_ms
    assert last <= report.filters.end_ms < last + report.interval_s * 1000
    assert sum(one.traces for one in report.over_time) == report.traces
    for bucket in report.over_time:
        infos = naive.began_in(bucket.start_ms, report.interval_s)
        up, down = naive.thumbs(infos)
        assert bucket.traces == len(infos)
        check_rate(bucket.positive, up, up + down)


def check_values(report: Report, naive: NaiveReport) -> None:
    for shown in report.dimensions:
        stars = naive.stars(shown.name.removeprefix("user_"))
        assert shown.count == len(stars)
        assert shown.stars == tuple(stars.count(number) for number in range(1, 6))
        assert shown.average == (approx(sum(stars) / len(stars)) if stars else None)
    reasons, given_any = naive.reasons()
    assert {one.name: one.rate.hits for one in report.reasons} == reasons
    assert [one.rate.hits for one in report.reasons] == sorted(reasons.values(), reverse=True)
    sides = {"Correct": "up", "Incorrect": "down", "Incomplete": "down", "Old one": "other"}
    for reason in report.reasons:
        assert reason.side == sides[reason.name]
        check_rate(reason.rate, reasons[reason.name], given_any)
    names = naive.names()
    signals = {name: count for name, count in names.items() if name.startswith("implicit_")}
    assert {one.name: one.rate.hits for one in report.signals} == signals
    others = {one.name: (one.count, one.average) for one in report.other_feedback}
    assert set(others) == names.keys() & {"tone"}
    if "tone" in others:
        values = naive.current("tone")
        numbers = [float(one) for one in values if not isinstance(one, str)]
        average = sum(numbers) / len(numbers) if numbers else None
        assert others["tone"] == (len(values), approx(average))
    mixed = {one.name: sum(count for _, count in one.kinds) for one in report.mixed}
    strangers = {
        "user_feedback": names.get("user_feedback", 0) - sum(naive.thumbs()),
        "user_reasons": names.get("user_reasons", 0) - given_any,
    }
    for dimension in ("accuracy", "relevance"):
        strangers[f"user_{dimension}"] = names.get(f"user_{dimension}", 0) - len(
            naive.stars(dimension)
        )
    assert mixed == {name: count for name, count in strangers.items() if count}


def check_groups(groups: tuple[Group, ...] | None, naive: NaiveReport, tag: str) -> None:
    assert groups is not None
    assert {one.name for one in groups} == {info.tags[f"thumbprint.{tag}"] for info in naive.infos}
    before = None
    for group in groups:
        infos = naive.tagged(tag, group.name)
        up, down = naive.thumbs(infos)
        assert group.traces == len(infos)
        check_rate(group.feedback, up + down, len(infos))
        check_rate(group.positive, up, up + down)
        if before is None or up + down == 0:
            assert group.comparison is None
        else:
            assert group.comparison is not None
            assert group.comparison.outcome == outcome((up, up + down), before)
        before = (up, up + down) if up + down else before


def check_negatives(report: Report, naive: NaiveReport) -> None:
    expected = naive.negatives()
    assert [one.at_ms for one in report.negatives] == [one.request_time for one in expected]
    by_id = {info.trace_id: info for info in expected}
    assert {one.trace_id for one in report.negatives} == by_id.keys()
    for negative in report.negatives:
        info = by_id[negative.trace_id]
        assert negative.question == info.request_preview
        assert negative.answer == info.response_preview
        assert negative.version == info.tags["thumbprint.version"]
        assert negative.user == info.trace_metadata["mlflow.trace.user"]
        assert f"/traces/{info.trace_id}" in (negative.link or "")
        lists = [one for one in naive.current("user_reasons", [info]) if isinstance(one, list)]
        assert list(negative.reasons) == (lists[0] if lists else [])
        expectations = [one for one in info.assessments if one.expectation is not None]
        assert negative.correction == (expectations[0].value if expectations else None)


def check_rate(rate: Rate, hits: int, total: int) -> None:
    assert (rate.hits, rate.total) == (hits, total)
    if total == 0:
        assert (rate.share, rate.low, rate.high) == (None, None, None)
    else:
        assert rate.share == approx(hits / total)
        assert (rate.low, rate.high) == approx(wilson(hits, total))


def approx(value: Any) -> Any:
    return pytest.approx(value, abs=1e-9)

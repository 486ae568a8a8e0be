"""The report as CSV (RFC 4180): one figure a line, as section, item, measure and value."""

import csv
import io
from collections.abc import Iterator

from app.clock import iso
from app.insights.report import Group, Report
from app.insights.statistics import Rate

Line = tuple[str, str, str, object]

# What a spreadsheet takes for the beginning of a formula, and so may run.
# See https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # noqa: RUF001


def as_csv(report: Report) -> str:
    """The whole report; unknown values are empty."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("section", "item", "measure", "value"))
    writer.writerows([_safe(cell) for cell in line] for line in _lines(report))
    return out.getvalue()


def _safe(cell: object) -> object:
    """Text as text: a quote before what a spreadsheet would calculate."""
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return "" if cell is None else cell


def _lines(report: Report) -> Iterator[Line]:
    yield from _summary(report)
    for bucket in report.over_time:
        start = iso(bucket.start_ms)
        yield "over time", start, "turns", bucket.traces
        yield from _rate("over time", start, "positive", bucket.positive)
    for dimension in report.dimensions:
        yield "dimensions", dimension.name, "count", dimension.count
        yield "dimensions", dimension.name, "average", dimension.average
        for stars, count in enumerate(dimension.stars, start=1):
            yield "dimensions", dimension.name, f"{stars} stars", count
    for reason in report.reasons:
        yield "reasons", reason.name, "side", reason.side
        yield from _rate("reasons", reason.name, "of turns with reasons", reason.rate)
    yield from _groups("versions", report.versions)
    yield from _groups("models", report.models)
    for ending in report.endings:
        yield from _rate("endings", ending.name, "of turns", ending.rate)
    for signal in report.signals:
        yield from _rate("signals", signal.name, "of turns", signal.rate)
    for other in report.other_feedback:
        yield "other feedback", other.name, "count", other.count
        yield "other feedback", other.name, "average", other.average
    for mixed in report.mixed:
        for kind, count in mixed.kinds:
            yield "mixed values", mixed.name, kind, count
    yield from _negatives(report)


def _summary(report: Report) -> Iterator[Line]:
    yield "report", "window", "start", iso(report.filters.start_ms)
    yield "report", "window", "end", iso(report.filters.end_ms)
    for name in ("version", "model", "user", "segment"):
        yield "report", "filter", name, getattr(report.filters, name)
    yield "report", "source", "source", report.source
    for problem in (*report.problems, *report.notices):
        yield "report", "source", "notice", problem
    yield "report", "turns", "count", report.traces
    yield "report", "thumbs", "up", report.thumbs_up
    yield "report", "thumbs", "down", report.thumbs_down
    yield from _rate("report", "thumbs", "feedback", report.feedback)
    yield from _rate("report", "thumbs", "positive", report.positive)
    for name in ("duration_p50_ms", "duration_p95_ms", "first_token_p50_ms", "first_token_p95_ms"):
        yield "report", "latency", name, getattr(report.latency, name)
    if report.outbox:
        yield "report", "outbox", "waiting", report.outbox.waiting
        yield "report", "outbox", "oldest_age_s", report.outbox.oldest_age_s
        yield "report", "outbox", "dead", report.outbox.dead


def _groups(section: str, groups: tuple[Group, ...] | None) -> Iterator[Line]:
    for group in groups or ():
        yield section, group.name, "first turn", iso(group.first_ms)
        yield section, group.name, "turns", group.traces
        yield from _rate(section, group.name, "feedback", group.feedback)
        yield from _rate(section, group.name, "positive", group.positive)
        if group.comparison:
            yield section, group.name, "compared with", group.comparison.against
            yield section, group.name, "outcome", group.comparison.outcome


def _negatives(report: Report) -> Iterator[Line]:
    for negative in report.negatives:
        for measure, value in (
            ("at", iso(negative.at_ms)),
            ("question", negative.question),
            ("answer", negative.answer),
            ("comment", negative.comment),
            ("reasons", "; ".join(negative.reasons)),
            ("correction", negative.correction),
            ("version", negative.version),
            ("model", negative.model),
            ("segment", negative.segment),
            ("link", negative.link),
        ):
            yield "negatives", negative.trace_id, measure, value


def _rate(section: str, item: str, measure: str, rate: Rate) -> Iterator[Line]:
    yield section, item, f"{measure}: hits", rate.hits
    yield section, item, f"{measure}: total", rate.total
    yield section, item, f"{measure}: share", rate.share
    yield section, item, f"{measure}: low", rate.low
    yield section, item, f"{measure}: high", rate.high

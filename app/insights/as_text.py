"""The report as text for a terminal: sections of aligned columns, each with what it counts."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from app.clock import iso
from app.insights.report import Group, Negative, Report
from app.insights.statistics import Rate

WIDTH = 96
SHOWN_NEGATIVES = 5

_FIGURE = re.compile(r"[\d.%-]*( s| turns| thumbs)?")

Row = Sequence[str]


def as_text(report: Report) -> str:
    """The whole report; the last line ends without a newline."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    filters = report.filters
    yield f"{_minute(filters.start_ms)} to {_minute(filters.end_ms)} UTC"
    for name in ("version", "model", "user", "segment"):
        if value := getattr(filters, name):
            yield f"{name}: {plain(value)}"
    for sentence in (*report.problems, *report.notices):
        yield from textwrap.wrap(f"! {sentence}", WIDTH, subsequent_indent="  ")
    yield from _section("Summary", "a verdict counts once, as it is now", _summary(report))
    yield from _section(
        "Stars", "averages from 1 to 5, then how many gave 1, 2, 3, 4, 5", _dimensions(report)
    )
    yield from _section("Reasons", "share of the turns that have any", _reasons(report))
    compared = "thumbs up of thumbs, with 95% interval"
    yield from _section("Versions", compared, _groups(report.versions))
    yield from _section("Models", compared, _groups(report.models))
    yield from _section("Endings", "share of turns", _shares(report, "endings"))
    yield from _section(
        "Signals",
        "what people did, apart from what they said; share of turns",
        _shares(report, "signals"),
    )
    yield from _section(
        "Other feedback",
        "count, and the average of its numbers",
        [
            (plain(one.name), str(one.count), "" if one.average is None else f"{one.average:.2f}")
            for one in report.other_feedback
        ],
    )
    yield from _section(
        "Not counted above", "values that are not what the name expects", _mixed(report)
    )
    yield from _section("Over time", "turns, thumbs, thumbs up of thumbs", _over_time(report))
    yield from _negatives(report)


def _section(title: str, meaning: str, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"{title} ({meaning})"
    columns = [_aligned(column) for column in zip(*rows, strict=True)]
    for cells in zip(*columns, strict=True):
        yield "  " + "  ".join(cells).rstrip()


def _aligned(column: Sequence[str]) -> list[str]:
    """Figures to the right, everything else to the left."""
    width = max(map(len, column))
    if all(_FIGURE.fullmatch(cell) for cell in column):
        return [cell.rjust(width) for cell in column]
    return [cell.ljust(width) for cell in column]


def _summary(report: Report) -> list[Row]:
    latency, outbox = report.latency, report.outbox
    rows: list[Row] = [
        ("turns", str(report.traces), ""),
        ("judged", str(report.feedback.hits), f"{_share(report.feedback)} of turns"),
        ("thumbs up", str(report.thumbs_up), f"{_with_interval(report.positive)} of thumbs"),
        ("thumbs down", str(report.thumbs_down), ""),
        ("duration", _seconds(latency.duration_p50_ms), _p95(latency.duration_p95_ms)),
        ("first token", _seconds(latency.first_token_p50_ms), _p95(latency.first_token_p95_ms)),
    ]
    if outbox:
        oldest = f"oldest {outbox.oldest_age_s:.0f} s, {outbox.dead} dead letters"
        rows.append(("owed to MLflow", str(outbox.waiting), oldest))
    return rows


def _dimensions(report: Report) -> list[Row]:
    return [
        (
            plain(one.name.removeprefix("user_")),
            "-" if one.average is None else f"{one.average:.2f}",
            *(str(count) for count in one.stars),
        )
        for one in report.dimensions
    ]


def _reasons(report: Report) -> list[Row]:
    signs = {"up": "+", "down": "-", "other": " "}
    return [
        (f"{signs[one.side]} {plain(one.name)}", str(one.rate.hits), _share(one.rate))
        for one in report.reasons
    ]


def _groups(groups: tuple[Group, ...] | None) -> list[Row]:
    return [
        (
            plain(one.name),
            f"{one.traces} turns",
            f"{one.positive.total} thumbs",
            _with_interval(one.positive),
            _outcome(one),
        )
        for one in groups or ()
    ]


def _outcome(group: Group) -> str:
    if group.comparison is None:
        return ""
    word = "from" if group.comparison.outcome == "no clear difference" else "than"
    return f"{group.comparison.outcome} {word} {plain(group.comparison.against)}"


def _shares(report: Report, of: str) -> list[Row]:
    return [(one.name, str(one.rate.hits), _share(one.rate)) for one in getattr(report, of)]


def _mixed(report: Report) -> list[Row]:
    return [
        (one.name, ", ".join(f"{count} {kind}" for kind, count in one.kinds), f"not {one.expected}")
        for one in report.mixed
    ]


def _over_time(report: Report) -> list[Row]:
    return [
        (_minute(one.start_ms), str(one.traces), str(one.positive.total), _share(one.positive))
        for one in report.over_time
        if one.traces
    ]


def _negatives(report: Report) -> Iterator[str]:
    if not report.negatives:
        return
    yield ""
    yield f"Latest thumbs down ({SHOWN_NEGATIVES} at most; --json has more)"
    for one in report.negatives[:SHOWN_NEGATIVES]:
        yield f"  {_minute(one.at_ms)}  {one.link or one.trace_id}"
        for label, text in _told(one):
            line = textwrap.shorten(f"{label}: {plain(text)}", WIDTH - 4, placeholder=" …")
            yield f"    {line}"


def _told(negative: Negative) -> Iterator[tuple[str, str]]:
    yield "question", negative.question
    yield "answer", negative.answer
    for label, text in (
        ("comment", negative.comment),
        ("reasons", ", ".join(negative.reasons)),
        ("correction", negative.correction),
    ):
        if text:
            yield label, text


def plain(text: str) -> str:
    """People's text without what would move the cursor or ring the bell of a terminal."""
    return "".join(one if one.isprintable() else " " for one in text)


def _minute(milliseconds: int) -> str:
    return iso(milliseconds)[:16].replace("T", " ")


def _share(rate: Rate) -> str:
    return "-" if rate.share is None else f"{rate.share:.1%}"


def _with_interval(rate: Rate) -> str:
    if rate.share is None or rate.low is None or rate.high is None:
        return "-"
    return f"{rate.share:.1%} ({rate.low:.0%} to {rate.high:.0%})"


def _seconds(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.2f} s"


def _p95(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"95% within {_seconds(milliseconds)}"

"""Figures of the report as people read them; filters of the insights page's template."""

from datetime import UTC, datetime

from app.insights.report import Comparison
from app.insights.statistics import Rate

_HOUR_S = 3600
_DAY_S = 86_400


def percent(share: float | None) -> str:
    """A share as `78%`; a dash when there is none."""
    if share is None:
        return "—"
    return f"{_rounded(share)}%"


def sure(rate: Rate) -> str:
    """The interval of a rate, as `70 to 84%`; it contains the share as `percent` says it."""
    if rate.share is None or rate.low is None or rate.high is None:
        return "—"
    share = _rounded(rate.share)
    return f"{min(share, round(100 * rate.low))} to {max(share, round(100 * rate.high))}%"


def number(value: int) -> str:
    """A number with thousands apart."""
    return f"{value:,}"


def counted(value: int, what: str) -> str:
    """So many of something, as `1 answer` or `1,240 answers`."""
    return f"{number(value)} {what if value == 1 else f'{what}s'}"


def seconds(milliseconds: float | None) -> str:
    """A duration as `0.84 s` or `12 s`; a dash when it is not known."""
    if milliseconds is None:
        return "—"
    value = milliseconds / 1000
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def age(value: float) -> str:
    """A time in seconds, in its largest fitting unit."""
    for unit, size in (("days", _DAY_S), ("hours", _HOUR_S), ("minutes", 60)):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s"


def moment(milliseconds: int) -> str:
    """A point in time as `24 Nov 2026, 21:05 UTC`."""
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def stretch(milliseconds: int, interval_s: int) -> str:
    """The name of a bucket that begins then: a day, or an hour of it."""
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    day = f"{at.day} {at:%b}"
    return day if interval_s >= _DAY_S else f"{day}, {at:%H:%M}"


def every(interval_s: int) -> str:
    """How long a bucket is, as `day` or `6 hours`."""
    for unit, size in (("week", 7 * _DAY_S), ("day", _DAY_S), ("hour", _HOUR_S), ("minute", 60)):
        if interval_s >= size and interval_s % size == 0:
            times = interval_s // size
            return unit if times == 1 else counted(times, unit)
    return f"{interval_s} seconds"


def outcome(comparison: Comparison) -> str:
    """What a comparison says, with the interval of the difference in percentage points."""
    low, high = 100 * comparison.difference.low, 100 * comparison.difference.high
    against = comparison.against
    if comparison.outcome == "better":
        return f"better than {against}, by {_points(low)} to {_points(high)} points"
    if comparison.outcome == "worse":
        return f"worse than {against}, by {_points(-high)} to {_points(-low)} points"
    return f"no clear difference from {against} (-{_points(-low)} to +{_points(high)} points)"


def plain(name: str) -> str:
    """A name of ours without its prefix, as words: `user_ease_of_use` is `Ease of use`."""
    text = name.removeprefix("user_").removeprefix("implicit_").replace("_", " ")
    return capitalised(text)


def capitalised(text: str) -> str:
    """The text with its first letter large, and the others as they are."""
    return text[:1].upper() + text[1:]


def _rounded(share: float) -> int:
    """A share in percent; all and none are said only of all and none."""
    rounded = round(100 * share)
    return min(99, max(1, rounded)) if 0 < share < 1 else rounded


def _points(points: float) -> str:
    """Percentage points: one decimal below 1, and never 0, which would say that nothing differs."""
    return f"{points:.0f}" if points >= 0.95 else f"{max(points, 0.1):.1f}"


FILTERS = (
    capitalised,
    percent,
    sure,
    number,
    counted,
    seconds,
    age,
    moment,
    stretch,
    every,
    outcome,
    plain,
)

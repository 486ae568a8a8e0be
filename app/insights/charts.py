"""Where things stand in the report's charts, in percent of a chart's width and height.

Percentages, because then an SVG without a view box fills any width and its dots stay round. `top`
grows downwards, as in SVG.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from app.insights.report import Bucket
from app.insights.statistics import Rate

# How much of its slot a column takes.
_COLUMN = 0.72


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a bar chart, and the bucket it stands for."""

    left: float
    top: float
    width: float
    height: float
    bucket: Bucket


@dataclass(frozen=True, slots=True)
class Point:
    """A share with its interval, and the bucket it stands for, the `number`th from the left."""

    number: int
    x: float
    top: float
    low_top: float
    high_top: float
    bucket: Bucket


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line between the points of two buckets that follow each other."""

    x1: float
    top1: float
    x2: float
    top2: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a horizontal bar, the `number`th, from 1: its place, width and count."""

    number: int
    left: float
    width: float
    count: int


def columns(buckets: Sequence[Bucket], most: int) -> list[Column]:
    """A column for each bucket; `most` is the height of the chart."""
    slot = 100 / max(1, len(buckets))
    return [
        Column(
            _round(slot * (number + (1 - _COLUMN) / 2)),
            _round(100 - 100 * bucket.traces / most),
            _round(slot * _COLUMN),
            _round(100 * bucket.traces / most),
            bucket,
        )
        for number, bucket in enumerate(buckets)
    ]


def points(buckets: Sequence[Bucket]) -> list[Point]:
    """A point for each bucket that has thumbs."""
    slot = 100 / max(1, len(buckets))
    return [
        Point(
            number,
            _round(slot * (number + 0.5)),
            _round(100 - 100 * (bucket.positive.share or 0)),
            _round(100 - 100 * (bucket.positive.low or 0)),
            _round(100 - 100 * (bucket.positive.high or 0)),
            bucket,
        )
        for number, bucket in enumerate(buckets)
        if bucket.positive.share is not None
    ]


def lines(placed: Sequence[Point]) -> list[Line]:
    """Lines between neighbours; where a bucket has no thumbs, nothing is made up for it."""
    return [
        Line(one.x, one.top, other.x, other.top)
        for one, other in itertools.pairwise(placed)
        if other.number == one.number + 1
    ]


def segments(counts: Sequence[int]) -> list[Segment]:
    """The parts of a bar that is whole with all counts together; none when all are zero."""
    total = sum(counts)
    placed = []
    before = 0
    for number, count in enumerate(counts if total else (), 1):
        left, width = 100 * before / total, 100 * count / total
        placed.append(Segment(number, _round(left), _round(width), count))
        before += count
    return placed


def round_up(number: int) -> int:
    """The height of an axis for `number`: 2, 4, 6, 8 or 10 times a power of ten, so at least 2.

    Half of it, the label in the middle, is a round number too.
    """
    power = 1
    while True:
        for step in (2, 4, 6, 8, 10):
            if step * power >= number:
                return step * power
        power *= 10


def interval(rate: Rate) -> tuple[float, float, float] | None:
    """Share, low and high end in percent from the left; None without a total."""
    if rate.share is None or rate.low is None or rate.high is None:
        return None
    return _round(100 * rate.share), _round(100 * rate.low), _round(100 * rate.high)


def _round(percent: float) -> float:
    return round(percent, 2)

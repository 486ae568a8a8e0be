"""The report once more, from what MLflow's own search returns, with loops and nothing shared.

Not a line of it is the app's: it is there to disagree with `app.insights` when that is wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tests.mlflow_reader import MlflowReader


class NaiveReport:
    """Figures over every trace that `wanted` keeps."""

    def __init__(self, reader: MlflowReader, wanted: Callable[[Any], bool]) -> None:
        self.infos = [trace.info for trace in reader.traces() if wanted(trace.info)]

    def current(self, name: str, infos: Iterable[Any] | None = None) -> list[Any]:
        """The values of valid feedback under a name."""
        return [
            one.feedback.value
            for info in (self.infos if infos is None else infos)
            for one in info.assessments
            if one.feedback is not None and one.valid is not False and one.name == name
        ]

    def thumbs(self, infos: Iterable[Any] | None = None) -> tuple[int, int]:
        """Thumbs up and thumbs down."""
        values = self.current("user_feedback", infos)
        return sum(one is True for one in values), sum(one is False for one in values)

    def stars(self, dimension: str) -> list[int]:
        """Every rating from one to five."""
        values = self.current(f"user_{dimension}")
        known = (0.2, 0.4, 0.6, 0.8, 1.0)
        return [known.index(one) + 1 for one in values if isinstance(one, float) and one in known]

    def reasons(self) -> tuple[dict[str, int], int]:
        """Turns by reason, and how many turns were given any."""
        lists = [one for one in self.current("user_reasons") if isinstance(one, list)]
        return dict(Counter(reason for one in lists for reason in set(one))), len(lists)

    def names(self) -> dict[str, int]:
        """Feedback by name."""
        return dict(
            Counter(
                one.name
                for info in self.infos
                for one in info.assessments
                if one.feedback is not None and one.valid is not False
            )
        )

    def tagged(self, tag: str, value: str) -> list[Any]:
        """The traces with that tag."""
        return [info for info in self.infos if info.tags.get(f"thumbprint.{tag}") == value]

    def began_in(self, start_ms: int, length_s: int) -> list[Any]:
        """The traces of one stretch of time."""
        end_ms = start_ms + length_s * 1000
        return [info for info in self.infos if start_ms <= info.request_time < end_ms]

    def durations(self) -> list[float | None]:
        """The median and the 95th percentile, in milliseconds."""
        return percentiles([int(info.execution_duration or 0) for info in self.infos])

    def negatives(self) -> list[Any]:
        """The traces with a thumb down, newest first."""
        down = [info for info in self.infos if False in self.current("user_feedback", [info])]
        return sorted(down, key=lambda info: -info.request_time)


def percentiles(values: list[int]) -> list[float | None]:
    """The median and the 95th percentile."""
    if not values:
        return [None, None]
    return [float(np.percentile(values, share)) for share in (50, 95)]


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The two shares from which `hits` of `total` is 1.96 standard errors away."""
    share, z = hits / total, 1.959963984540054
    # (share - p)^2 = z^2 p (1 - p) / total, solved for p.
    a, b, c = 1 + z * z / total, -(2 * share + z * z / total), share * share
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def outcome(one: tuple[int, int], other: tuple[int, int]) -> str:
    """Whether (hits, total) is better or worse than another, by Newcombe's interval."""
    share, before = one[0] / one[1], other[0] / other[1]
    (low, high), (low_before, high_before) = wilson(*one), wilson(*other)
    difference = share - before
    if difference - math.sqrt((share - low) ** 2 + (high_before - before) ** 2) > 0:
        return "better"
    if difference + math.sqrt((high - share) ** 2 + (before - low_before) ** 2) < 0:
        return "worse"
    return "no clear difference"

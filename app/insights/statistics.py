"""How sure a share is: Wilson's interval for one, Newcombe's for the difference of two.

Both stay honest with few verdicts: 3 of 4 is anything from 30% to 95%. See R. G. Newcombe,
"Interval estimation for the difference between independent proportions", Statistics in Medicine
17 (1998), method 10, which is made of two Wilson intervals.
"""

import math
from dataclasses import dataclass

# 97.5% of a normal distribution lies below it, so 95% lies between it and its negative.
Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `total`. Shares lie between 0 and 1, and are None when `total` is 0.

    `low` and `high` bound the 95% Wilson interval.
    """

    hits: int
    total: int
    share: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, hits: int, total: int) -> "Rate":
        """The rate with its interval."""
        if total <= 0:
            return cls(hits, total, None, None, None)
        share = hits / total
        shrunk = 1 + Z_95**2 / total
        centre = (share + Z_95**2 / (2 * total)) / shrunk
        spread = share * (1 - share) / total + Z_95**2 / (4 * total**2)
        margin = Z_95 * math.sqrt(max(0.0, spread)) / shrunk
        # Rounding must not put the share itself outside.
        return cls(
            hits,
            total,
            share,
            min(share, max(0.0, centre - margin)),
            max(share, min(1.0, centre + margin)),
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One share minus another, with Newcombe's 95% interval."""

    value: float
    low: float
    high: float


def difference(one: Rate, other: Rate) -> Difference | None:
    """`one` minus `other`, or None when either has no total."""
    if one.share is None or one.low is None or one.high is None:
        return None
    if other.share is None or other.low is None or other.high is None:
        return None
    value = one.share - other.share
    below = math.hypot(one.share - one.low, other.high - other.share)
    above = math.hypot(one.high - one.share, other.share - other.low)
    return Difference(value, value - below, value + above)

"""The raw figures a report is made of, as MLflow's server or the app database counted them.

Values are JSON text, as both keep them. A stretch of time is named by its first millisecond.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.feedback import IMPLICIT, USER_FEEDBACK
from app.insights.report import Negative, Outbox
from app.store.filters import Filters
from app.store.turn_figures import By

# Of a latency: half of the turns, and 95% of them.
SHARES = (0.5, 0.95)
ENDINGS = ("complete", "stopped", "failed", "interrupted")
MOST_NEGATIVES = 20
SIGNALS = tuple(f"{IMPLICIT}{what}" for what in ("stop", "regenerate", "copy"))


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be counted: over stretches of `interval_s`, by value for `names`, by group.

    `groups` are the versions and models in use, each with the time of its first turn; None when
    the app database could not be read.
    """

    filters: Filters
    interval_s: int
    names: tuple[str, ...]
    groups: Mapping[By, Sequence[tuple[str, int]]] | None


def is_other(name: str, shown: Sequence[str]) -> bool:
    """Whether a name is neither the thumb, nor shown by value, nor a signal."""
    return name != USER_FEEDBACK and name not in shown and not name.startswith(IMPLICIT)


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Turns of one version or model, and the values of their thumbs."""

    name: str
    first_ms: int
    traces: int
    thumbs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted. `values` has the names asked for, `names` has all; `averages` may lack.

    `cut` are names with more different values than were counted; `names_cut` says that there are
    more names than `names` has.
    """

    over_time: Mapping[int, int]
    thumbs: Mapping[tuple[int, str], int]
    endings: Mapping[str, int]
    durations: Sequence[float | None]
    names: Mapping[str, int]
    values: Mapping[str, Mapping[str, int]]
    averages: Mapping[str, float]
    groups: Mapping[By, Sequence[GroupFigures]] | None
    negatives: Sequence[Negative]
    cut: Sequence[str] = field(default=())
    names_cut: bool = False


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """What only the app database knows."""

    groups: Mapping[By, Sequence[tuple[str, int]]]
    first_token: Sequence[float | None]
    outbox: Outbox

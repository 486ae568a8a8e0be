"""The report as data, and what each of its figures means.

Everywhere: a verdict that was changed counts once, with its current value, and one that was
withdrawn does not count. What people did without saying so (stop, ask again, copy) is never mixed
with what they said; it is under `signals`. Times are milliseconds since the epoch, UTC.
"""

from dataclasses import dataclass
from typing import Literal

from app.insights.statistics import Difference, Rate
from app.store.filters import Filters

Source = Literal["mlflow", "database"]
Side = Literal["up", "down", "other"]
Outcome = Literal["better", "worse", "no clear difference"]


@dataclass(frozen=True, slots=True)
class Dimension:
    """Stars under one name, such as `user_accuracy`.

    `stars` counts the ratings of one star, of two, and so on to five. `count` is their sum, and
    `average` their mean, from 1 to 5; None when there are none.
    """

    name: str
    count: int
    average: float | None
    stars: tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Reason:
    """How many turns were given this reason.

    `side` is the thumb it is offered after; `other` when it is offered no more. `rate` is of the
    turns that were given any reason: one turn can have several, so these add up to over 100%.
    """

    name: str
    side: Side
    rate: Rate


@dataclass(frozen=True, slots=True)
class Bucket:
    """One stretch of time, from `start_ms` for `Report.interval_s` seconds.

    The first and the last are cut by the window. `positive` is thumbs up of thumbs.
    """

    start_ms: int
    traces: int
    positive: Rate


@dataclass(frozen=True, slots=True)
class Comparison:
    """A group's positive rate against that of the group in use before it that has thumbs.

    `better` and `worse` are said only when Newcombe's 95% interval for the difference of the two
    rates lies on one side of zero.
    """

    against: str
    difference: Difference
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Group:
    """The turns answered by one app version, or by one model.

    `feedback` is judged turns of turns, `positive` is thumbs up of thumbs. `comparison` is None
    where it has no thumbs, or none before it in the report has.
    """

    name: str
    first_ms: int
    traces: int
    feedback: Rate
    positive: Rate
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How many turns ended this way; `rate` is of all turns."""

    name: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Latency:
    """Half and 95% of turns took at most this long, in milliseconds; None when none is known.

    `duration` is the whole turn, by its trace. `first_token` is from the message's arrival to the
    first text of the answer, by the app's own record, over turns that have one.
    """

    duration_p50_ms: float | None
    duration_p95_ms: float | None
    first_token_p50_ms: float | None
    first_token_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Signal:
    """Something people did, noted by the app, such as `implicit_stop`.

    `rate` is of all turns.
    """

    name: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class OtherFeedback:
    """Feedback under a name that the report has no chart for.

    `average` is MLflow's: true and the text `yes` count as 1, false and `no` as 0, other text not
    at all. None when there is no number, or when MLflow cannot be read.
    """

    name: str
    count: int
    average: float | None


@dataclass(frozen=True, slots=True)
class MixedValues:
    """Values under one of the report's names that are not what the name stands for.

    They are left out of every other figure. `expected` says what the name stands for, `kinds`
    counts what else was found: (`text`, 3), (`number`, 1), …
    """

    name: str
    expected: str
    kinds: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Negative:
    """A turn with thumb down. Question and answer are cut at 1,000 characters.

    `comment` is what came with the thumb, `reasons` those given for it, `correction` what the
    answer should have been. `link` opens the trace in MLflow's UI; None while MLflow is away.
    """

    trace_id: str
    link: str | None
    at_ms: int
    question: str
    answer: str
    comment: str | None
    reasons: tuple[str, ...]
    correction: str | None
    version: str | None
    model: str | None
    user: str | None
    segment: str | None


@dataclass(frozen=True, slots=True)
class Outbox:
    """What is still owed to MLflow, whatever the filters say: it may be missing in the report.

    `waiting` deliveries, the age of the oldest, and `dead` ones that MLflow refused.
    """

    waiting: int
    oldest_age_s: float
    dead: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the turns of a window add up to. None: could not be read. Empty: there is nothing.

    `source` says where the figures come from: `mlflow`, or `database` when MLflow cannot be read;
    the app's own record, which lacks deleted conversations, and has verdicts before MLflow does.
    `problems` are sentences, fit to be shown, about what could not be read; `notices` about what
    the filters found. `traces` counts turns that have ended. A turn is judged when it has a
    thumb, which only the person who asked can give: `feedback` is judged turns of turns,
    `positive` is thumbs up of thumbs. `versions` are not narrowed by a version in the filters, nor
    `models` by a model, so that there is something to compare.
    """

    filters: Filters
    made_at_ms: int
    source: Source
    problems: tuple[str, ...]
    notices: tuple[str, ...]
    traces: int
    thumbs_up: int
    thumbs_down: int
    feedback: Rate
    positive: Rate
    interval_s: int
    over_time: tuple[Bucket, ...]
    dimensions: tuple[Dimension, ...]
    reasons: tuple[Reason, ...]
    versions: tuple[Group, ...] | None
    models: tuple[Group, ...] | None
    endings: tuple[Ending, ...]
    latency: Latency
    signals: tuple[Signal, ...]
    other_feedback: tuple[OtherFeedback, ...]
    mixed: tuple[MixedValues, ...]
    negatives: tuple[Negative, ...]
    outbox: Outbox | None

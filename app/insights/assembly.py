"""Makes the report out of raw figures. Pure rules, no I/O: every definition is applied here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.feedback import IMPLICIT, USER_FEEDBACK, USER_REASONS
from app.insights.comparison import compare_groups
from app.insights.figures import ENDINGS, Figures, OwnRecord, Question, is_other
from app.insights.report import (
    Bucket,
    Dimension,
    Ending,
    Group,
    Latency,
    MixedValues,
    OtherFeedback,
    Reason,
    Report,
    Side,
    Signal,
    Source,
)
from app.insights.statistics import Rate
from app.insights.values import reasons_of, split, stars_of, thumb_of
from app.store.turn_figures import By

MOST_OTHER_NAMES = 50


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the app asks people: dimensions to rate, and reasons by the thumb they belong to."""

    dimensions: tuple[str, ...]
    reasons: Mapping[str, Sequence[str]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names whose values the report shows, besides the thumb."""
        return (USER_REASONS, *(f"user_{dimension}" for dimension in self.dimensions))

    def side_of(self, reason: str) -> Side:
        """The thumb after which a reason is offered."""
        if reason in self.reasons.get("up", ()):
            return "up"
        return "down" if reason in self.reasons.get("down", ()) else "other"


def assemble(
    question: Question,
    figures: Figures,
    own: OwnRecord | None,
    vocabulary: Vocabulary,
    *,
    source: Source,
    made_at_ms: int,
    problems: Sequence[str],
    notices: Sequence[str],
) -> Report:
    """The report. `own` is None when the app database could not be read."""
    traces = sum(figures.over_time.values())
    thumbs, _ = split(_without_time(figures.thumbs), thumb_of)
    first_token = own.first_token if own else (None, None)
    return Report(
        filters=question.filters,
        made_at_ms=made_at_ms,
        source=source,
        problems=tuple(problems),
        notices=(*notices, *_notices(question, figures, traces, thumbs.total())),
        traces=traces,
        thumbs_up=thumbs[True],
        thumbs_down=thumbs[False],
        feedback=Rate.of(thumbs.total(), traces),
        positive=Rate.of(thumbs[True], thumbs.total()),
        interval_s=question.interval_s,
        over_time=_over_time(question, figures),
        dimensions=tuple(_dimension(f"user_{one}", figures) for one in vocabulary.dimensions),
        reasons=_reasons(figures, vocabulary),
        versions=_groups(figures, "version"),
        models=_groups(figures, "model"),
        endings=tuple(
            Ending(name, Rate.of(figures.endings.get(name, 0), traces)) for name in ENDINGS
        ),
        latency=Latency(*figures.durations, *first_token),
        signals=tuple(
            Signal(name, Rate.of(count, traces))
            for name, count in _ranked(figures.names)
            if name.startswith(IMPLICIT)
        ),
        other_feedback=_other_feedback(figures, vocabulary),
        mixed=_mixed(figures, vocabulary),
        negatives=tuple(figures.negatives),
        outbox=own.outbox if own else None,
    )


def _over_time(question: Question, figures: Figures) -> tuple[Bucket, ...]:
    stretch_ms = question.interval_s * 1000
    first = question.filters.start_ms // stretch_ms * stretch_ms
    by_start: dict[int, Counter[str]] = {}
    for (start_ms, text), count in figures.thumbs.items():
        by_start.setdefault(start_ms, Counter())[text] += count
    buckets = []
    for start_ms in range(first, question.filters.end_ms + 1, stretch_ms):
        thumbs, _ = split(by_start.get(start_ms, {}), thumb_of)
        positive = Rate.of(thumbs[True], thumbs.total())
        buckets.append(Bucket(start_ms, figures.over_time.get(start_ms, 0), positive))
    return tuple(buckets)


def _dimension(name: str, figures: Figures) -> Dimension:
    found, _ = split(figures.values.get(name, {}), stars_of)
    count = found.total()
    average = sum(stars * times for stars, times in found.items()) / count if count else None
    return Dimension(name, count, average, (found[1], found[2], found[3], found[4], found[5]))


def _reasons(figures: Figures, vocabulary: Vocabulary) -> tuple[Reason, ...]:
    lists, _ = split(figures.values.get(USER_REASONS, {}), reasons_of)
    turns: Counter[str] = Counter()
    for reasons, count in lists.items():
        for reason in reasons:
            turns[reason] += count
    return tuple(
        Reason(name, vocabulary.side_of(name), Rate.of(count, lists.total()))
        for name, count in _ranked(turns)
    )


def _groups(figures: Figures, by: By) -> tuple[Group, ...] | None:
    return None if figures.groups is None else compare_groups(figures.groups[by])


def _other_feedback(figures: Figures, vocabulary: Vocabulary) -> tuple[OtherFeedback, ...]:
    others = [
        OtherFeedback(name, count, figures.averages.get(name))
        for name, count in _ranked(figures.names)
        if is_other(name, vocabulary.names)
    ]
    return tuple(others[:MOST_OTHER_NAMES])


def _mixed(figures: Figures, vocabulary: Vocabulary) -> tuple[MixedValues, ...]:
    strangers = {
        USER_FEEDBACK: ("true or false", split(_without_time(figures.thumbs), thumb_of)[1]),
        USER_REASONS: (
            "a list of texts",
            split(figures.values.get(USER_REASONS, {}), reasons_of)[1],
        ),
    }
    for dimension in vocabulary.dimensions:
        name = f"user_{dimension}"
        values = figures.values.get(name, {})
        strangers[name] = ("0.2, 0.4, 0.6, 0.8 or 1 (stars / 5)", split(values, stars_of)[1])
    return tuple(
        MixedValues(name, expected, tuple(_ranked(kinds)))
        for name, (expected, kinds) in strangers.items()
        if kinds
    )


def _notices(question: Question, figures: Figures, traces: int, judged: int) -> list[str]:
    filters = question.filters
    notices = []
    wanted = {"version": filters.version, "model": filters.model, "segment": filters.segment}
    narrowed = " and ".join(f"{name} {value}" for name, value in wanted.items() if value)
    if traces == 0:
        of = f" of {narrowed}" if narrowed else ""
        notices.append(f"No turn{of} in this window.")
    elif judged == 0:
        notices.append("No turn in this window has a thumb.")
    notices += [f"{name} has too many different values to count them all." for name in figures.cut]
    if figures.names_cut:
        notices.append("There is feedback under too many names to list all of them.")
    return notices


def _without_time(counts: Mapping[tuple[int, str], int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for (_, text), count in counts.items():
        total[text] += count
    return total


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent first, equals by name."""
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))

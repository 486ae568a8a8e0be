"""Says whether a version or a model did better than the one in use before it."""

from collections.abc import Sequence

from app.insights.figures import GroupFigures
from app.insights.report import Comparison, Group, Outcome
from app.insights.statistics import Rate, difference
from app.insights.values import split, thumb_of


def compare_groups(figures: Sequence[GroupFigures]) -> tuple[Group, ...]:
    """The groups in the order they came into use, each compared with the one before."""
    groups: list[Group] = []
    for one in sorted(figures, key=lambda group: (group.first_ms, group.name)):
        thumbs, _ = split(one.thumbs, thumb_of)
        judged = thumbs.total()
        positive = Rate.of(thumbs[True], judged)
        before = next((group for group in reversed(groups) if group.positive.total), None)
        groups.append(
            Group(
                name=one.name,
                first_ms=one.first_ms,
                traces=one.traces,
                feedback=Rate.of(judged, one.traces),
                positive=positive,
                comparison=_compare(positive, before) if before else None,
            )
        )
    return tuple(groups)


def _compare(positive: Rate, before: Group) -> Comparison | None:
    found = difference(positive, before.positive)
    if found is None:
        return None
    outcome: Outcome = "no clear difference"
    if found.low > 0:
        outcome = "better"
    elif found.high < 0:
        outcome = "worse"
    return Comparison(before.name, found, outcome)

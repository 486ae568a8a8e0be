"""Names and values of feedback as labels of a metric: few, whatever people send."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from app.feedback import EXPECTED_RESPONSE, IMPLICIT, USER_FEEDBACK, USER_REASONS
from app.settings import Settings

OTHER = "other"
SIGNALS = tuple(f"{IMPLICIT}{what}" for what in ("stop", "regenerate", "copy"))

Labels = tuple[str, str]


class FeedbackLabels:
    """The labels that the settings allow; all else is `other`."""

    def __init__(self, settings: Settings) -> None:
        stars = {f"user_{name}" for name in settings.feedback_dimensions}
        reasons = {reason for side in settings.reasons.values() for reason in side}
        self._values: Mapping[str, set[str]] = {
            USER_FEEDBACK: {"true", "false"},
            USER_REASONS: reasons,
            EXPECTED_RESPONSE: set(),
            **{name: {"1", "2", "3", "4", "5"} for name in stars},
            **{name: {"true"} for name in SIGNALS},
        }
        self._stars = stars

    @property
    def names(self) -> list[str]:
        """The names whose values are worth reading."""
        return [name for name in self._values if name != EXPECTED_RESPONSE]

    def count(self, rows: Iterable[tuple[str, str | None, int]]) -> dict[Labels, int]:
        """Sum up rows of name, value as JSON and count; a list counts once for each entry.

        What the settings allow is there with 0 when nobody has said it.
        """
        counted = Counter(
            {(name, value): 0 for name, all_ in self._values.items() for value in all_}
        )
        for name, value, count in rows:
            for label in self._labels_of(name, value):
                counted[label] += count
        return dict(counted)

    def _labels_of(self, name: str, value: str | None) -> Iterator[Labels]:
        known = self._values.get(name)
        if known is None:
            yield OTHER, OTHER
            return
        loaded = json.loads(value) if value is not None else None
        entries = loaded if isinstance(loaded, list) and name == USER_REASONS else [loaded]
        for text in {self._as_text(name, entry) for entry in entries}:
            yield name, text if text in known else OTHER

    def _as_text(self, name: str, value: object) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float) and name in self._stars:
            return f"{value * 5:g}"
        return str(value)

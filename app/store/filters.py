"""Which turns a question about many of them is about: a window of time, narrowed."""

from dataclasses import dataclass
from typing import Literal, Self

from app.errors import InvalidValue

Segment = Literal["new", "returning"]

# Ten years: whoever asks for more has mistyped.
MOST_HOURS = 87_600
LONGEST_NAME = 250


@dataclass(frozen=True, slots=True)
class Filters:
    """Turns that began from `start_ms` to `end_ms` (epoch, both included), narrowed by the rest.

    A verdict belongs to the time of its turn, however late it was given. `version` and `model`
    are those the turn was answered by. `segment` is `new` for turns of a person's first
    conversation, else `returning`. None narrows nothing.
    """

    start_ms: int
    end_ms: int
    version: str | None = None
    model: str | None = None
    user: str | None = None
    segment: Segment | None = None

    @classmethod
    def last(
        cls,
        hours: float,
        now_ms: int,
        *,
        version: str | None = None,
        model: str | None = None,
        user: str | None = None,
        segment: str | None = None,
    ) -> Self:
        """The window of `hours` that ends at `now_ms`. Empty text narrows nothing.

        Raises `InvalidValue` naming what was expected and what came.
        """
        if not 0 < hours <= MOST_HOURS:
            raise InvalidValue(f"hours: expected more than 0 and at most {MOST_HOURS}, got {hours}")
        if segment not in (None, "", "new", "returning"):
            raise InvalidValue(f"segment: expected new or returning, got {segment[:80]!r}")
        for name, value in (("version", version), ("model", model), ("user", user)):
            if value and (len(value) > LONGEST_NAME or not value.isprintable()):
                raise InvalidValue(
                    f"{name}: expected at most {LONGEST_NAME} printable characters, "
                    f"got {value[:80]!r}"
                )
        start_ms = now_ms - round(hours * 3_600_000)
        chosen: Segment | None = (
            "new" if segment == "new" else "returning" if segment == "returning" else None
        )
        return cls(start_ms, now_ms, version or None, model or None, user or None, chosen)

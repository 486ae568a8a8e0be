"""What a value stored under one of our names means; anything else there is a stranger."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Meaning = TypeVar("Meaning")

_KINDS = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
    type(None): "nothing",
}


def decoded(text: str) -> Any:
    """The value behind JSON text; text that is none stands for itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def thumb_of(value: Any) -> bool | None:
    """True for up, false for down, None for no thumb."""
    return value if isinstance(value, bool) else None


def stars_of(value: Any) -> int | None:
    """One to five for a fifth of that, as ratings are kept; None for no rating."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    stars = round(value * 5) if abs(value) <= 1 else 0
    return stars if 1 <= stars <= 5 and abs(value - stars / 5) < 1e-6 else None


def reasons_of(value: Any) -> tuple[str, ...] | None:
    """The reasons of one turn, each once; None for no list of texts."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return None
    return tuple(dict.fromkeys(value))


def split(
    counts: Mapping[str, int], meaning_of: Callable[[Any], Meaning | None]
) -> tuple[Counter[Meaning], Counter[str]]:
    """Count what the values mean, and the kinds of those that mean nothing under their name."""
    meanings: Counter[Meaning] = Counter()
    strangers: Counter[str] = Counter()
    for text, count in counts.items():
        value = decoded(text)
        meaning = meaning_of(value)
        if meaning is None:
            strangers[_KINDS[type(value)]] += count
        else:
            meanings[meaning] += count
    return meanings, strangers

"""The report as JSON: fields as in `report`, times as ISO 8601 text, durations in milliseconds."""

from dataclasses import fields, is_dataclass
from typing import Any

from app.clock import iso
from app.insights.report import Report

# Moments, with their names in JSON; every other `_ms` is a length of time.
_MOMENTS = {
    "start_ms": "start",
    "end_ms": "end",
    "made_at_ms": "made_at",
    "first_ms": "first_turn",
    "at_ms": "at",
}


def as_json(report: Report) -> dict[str, Any]:
    """The whole report, ready for a JSON encoder."""
    shown: dict[str, Any] = _shown(report)
    for mixed in shown["mixed"]:
        mixed["kinds"] = dict(mixed["kinds"])
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_shown(one) for one in value]
    if not is_dataclass(value):
        return value
    return {
        _MOMENTS.get(one.name, one.name): iso(getattr(value, one.name))
        if one.name in _MOMENTS
        else _shown(getattr(value, one.name))
        for one in fields(value)
    }

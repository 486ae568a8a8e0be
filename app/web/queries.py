"""Refuses queries that say the same thing twice: which of the two was meant, nobody knows."""

from flask import request

from app.errors import InvalidValue


def refuse_duplicates() -> None:
    """Raise `InvalidValue` when a parameter of the current request's query comes again."""
    for name, values in request.args.lists():
        if len(values) > 1:
            raise InvalidValue(f"{name}: expected it once, got it {len(values)} times")

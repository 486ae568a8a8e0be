"""The exceptions the app expects: each can be said over HTTP and over a socket."""

from __future__ import annotations

import importlib
import inspect

from app.errors import BadRequest, ModelError, ThumbprintError, TooManyRequests, Unavailable

# `from app import errors` would be `app.web.errors`, which the app factory imports by that name.
errors = importlib.import_module("app.errors")
EVERY_KIND = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ThumbprintError)
]


def test_every_error_has_a_code_a_status_and_a_place_in_the_documented_tree() -> None:
    for kind in EVERY_KIND:
        assert kind.code.replace("_", "").isalpha()
        assert kind.code == kind.code.lower()
        assert 400 <= kind.status <= 599
        assert kind.__name__ in str(errors.__doc__)


def test_a_status_in_the_documented_tree_is_the_status_of_the_class() -> None:
    for line in str(errors.__doc__).splitlines():
        words = line.strip("├└─ ").split()
        if len(words) > 1 and words[1].isdigit():
            assert getattr(errors, words[0]).status == int(words[1])


def test_one_raise_may_name_a_finer_code_and_another_chance() -> None:
    error = BadRequest("Expected text.", code="empty_message", retryable=True)
    assert (error.code, error.retryable, error.message) == ("empty_message", True, "Expected text.")
    assert str(error) == "Expected text."
    assert (BadRequest.code, BadRequest.retryable) == ("invalid_frame", False)


def test_what_passes_with_time_is_worth_trying_again() -> None:
    assert Unavailable("x").retryable
    assert ModelError("x").retryable
    assert not ModelError("x", retryable=False).retryable
    too_fast = TooManyRequests("x", 7)
    assert too_fast.retryable
    assert too_fast.retry_after_s == 7

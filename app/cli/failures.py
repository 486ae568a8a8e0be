"""How a command says what went wrong: one line, and exit status 1."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from app.errors import ThumbprintError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def says_failures(command: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Turn the app's expected failures into click's."""

    @functools.wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except ThumbprintError as error:
            raise click.ClickException(error.message) from error

    return run

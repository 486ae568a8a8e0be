"""Thumbprint: a chat that streams tokens, traces every answer and keeps every verdict."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.llm.agent import Model
    from app.settings import Settings


def create_app(settings: "Settings | None" = None, model: "Model | None" = None) -> "Flask":
    """Build the app.

    `settings` are read from the environment when not given, and `model` is the one they name.
    Raises `SettingsError` when a setting is wrong, `Unavailable` without the app database; a
    command says either in one line.
    """
    # Imported when called: the launcher and the model's process need only small parts of the
    # package, and MLflow alone takes a second to import.
    import click

    from app.errors import ThumbprintError
    from app.factory import build_app

    try:
        return build_app(settings, model)
    except ThumbprintError as error:
        if click.get_current_context(silent=True):
            raise click.ClickException(error.message) from error
        raise

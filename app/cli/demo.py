"""A month of invented conversations to look at: `flask --app app demo fill` and `demo remove`."""

import logging

import click
from flask.cli import with_appcontext

from app.cli.failures import says_failures
from app.cli.progress import progress
from app.demo.filling import Filler
from app.demo.removing import remove as remove_demo
from app.errors import Forbidden
from app.web.services import services


@click.group()
def demo() -> None:
    """Fill the app with invented conversations and verdicts, or remove them."""


@demo.command()
@with_appcontext
@says_failures
def fill() -> None:
    """Make a month of conversations and verdicts by invented people."""
    found = services()
    if found.settings.app_environment == "production":
        raise Forbidden("Demo data has no place in production (APP_ENVIRONMENT).")
    # That the demo's failures fail is no news.
    logging.getLogger("app").setLevel(logging.CRITICAL)
    filler = Filler(found.settings, found.database, found.tracking)
    with progress("Conversations") as show:
        filled = filler.fill(show)
    with progress("To MLflow    ") as show:
        waiting = filler.deliver(show) if filled.waiting else 0
    click.echo(f"{filled.conversations} conversations with {filled.turns} answers.")
    if waiting:
        click.echo(f"{waiting} deliveries to MLflow wait here; `make run` sees to them.")


@demo.command()
@with_appcontext
@says_failures
def remove() -> None:
    """Remove all of it again, here and in MLflow."""
    found = services()
    with progress("Traces") as show:
        removed = remove_demo(found.settings, found.database, found.tracking, show)
    click.echo(
        f"Removed {removed.conversations} conversations here, and {removed.traces} traces and "
        f"{removed.records} records of datasets in MLflow."
    )

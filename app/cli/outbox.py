"""See and mend what is still owed to MLflow: `flask --app app outbox …`."""

import click
from flask.cli import with_appcontext

from app import outbox as deliveries
from app.cli.failures import says_failures
from app.clock import now_ms
from app.insights.as_text import plain
from app.web.services import services


@click.group()
def outbox() -> None:
    """See and mend what is still owed to MLflow."""


@outbox.command()
@with_appcontext
@says_failures
def status() -> None:
    """Show what waits, for how long, and the dead letters with their reasons."""
    found = services().database.read(lambda c: deliveries.status(c, now_ms()))
    click.echo(f"waiting       {found.waiting}")
    click.echo(f"oldest        {found.oldest_age_s:.0f} s")
    click.echo(f"dead letters  {found.dead}")
    if found.last_error:
        click.echo(f"last error    {plain(found.last_error)}")
    for id_, kind, trace_id, reason in services().database.read(deliveries.dead_letters):
        click.echo(f"  #{id_} {kind} of {trace_id}: {plain(reason)}")


@outbox.command()
@with_appcontext
@says_failures
def retry() -> None:
    """Make every dead letter due again."""
    revived = services().database.write(lambda c: deliveries.revive(c, now_ms()))
    click.echo(f"{revived} dead letters are due again")

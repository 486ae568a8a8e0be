"""The operator's commands: `flask --app app outbox …` and `operator password`."""

import click
from flask.cli import with_appcontext
from werkzeug.security import generate_password_hash

from app import outbox as deliveries
from app.clock import now_ms
from app.web.services import services

SHORTEST_PASSWORD = 12


@click.group()
def outbox() -> None:
    """See and mend what is still owed to MLflow."""


@outbox.command()
@with_appcontext
def status() -> None:
    """Show what waits, for how long, and the dead letters with their reasons."""
    found = services().database.read(lambda c: deliveries.status(c, now_ms()))
    click.echo(f"waiting       {found.waiting}")
    click.echo(f"oldest        {found.oldest_age_s:.0f} s")
    click.echo(f"dead letters  {found.dead}")
    if found.last_error:
        click.echo(f"last error    {found.last_error}")
    for id_, kind, trace_id, reason in services().database.read(deliveries.dead_letters):
        click.echo(f"  #{id_} {kind} of {trace_id}: {reason}")


@outbox.command()
@with_appcontext
def retry() -> None:
    """Make every dead letter due again."""
    revived = services().database.write(lambda c: deliveries.revive(c, now_ms()))
    click.echo(f"{revived} dead letters are due again")


@click.group()
def operator() -> None:
    """Who may see the insights and the metrics."""


@operator.command()
def password() -> None:
    """Ask for a password and print the line for .env that keeps its hash."""
    chosen: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if len(chosen) < SHORTEST_PASSWORD:
        expected = f"Expected at least {SHORTEST_PASSWORD} characters, got {len(chosen)}."
        raise click.ClickException(expected)
    # In quotes, because a shell would put variables in place of the dollar signs.
    click.echo(f"OPERATOR_PASSWORD_HASH='{generate_password_hash(chosen)}'")

"""Who may see the operator's pages: `flask --app app operator …`."""

import click
from werkzeug.security import generate_password_hash

SHORTEST_PASSWORD = 12


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

"""What all verdicts add up to: `flask --app app insights report`."""

import json

import click
from flask.cli import with_appcontext

from app.cli.failures import says_failures
from app.cli.number_range import NumberRange
from app.cli.progress import progress
from app.clock import now_ms
from app.insights.as_csv import as_csv
from app.insights.as_json import as_json
from app.insights.as_text import as_text
from app.store.filters import MOST_HOURS, Filters
from app.web.services import services


@click.group()
def insights() -> None:
    """See what all verdicts add up to."""


@insights.command()
@click.option(
    "--hours",
    type=NumberRange(0, MOST_HOURS, min_open=True),
    default=24.0,
    show_default=True,
    help="How far back, by the time of the question.",
)
@click.option("--version", help="Only turns this app version answered.")
@click.option("--model", help="Only turns this model or agent answered.")
@click.option("--segment", type=click.Choice(["new", "returning"]), help="Only these people.")
@click.option("--json", "form", flag_value="json", help="Everything, as JSON.")
@click.option("--csv", "form", flag_value="csv", help="Everything, one figure a line.")
@with_appcontext
@says_failures
def report(
    hours: float, version: str | None, model: str | None, segment: str | None, form: str | None
) -> None:
    """Print the report. Where it comes from is said in it, should MLflow be away."""
    filters = Filters.last(hours, now_ms(), version=version, model=model, segment=segment)
    with progress("Asking MLflow") as show:
        made = services().insights.report(filters, show)
    match form:
        case "json":
            click.echo(json.dumps(as_json(made), ensure_ascii=False, indent=2))
        case "csv":
            click.echo(as_csv(made), nl=False)
        case _:
            click.echo(as_text(made))

"""Make regression tests of verdicts: `flask --app app dataset build` and `dataset export`."""

import click
from flask.cli import with_appcontext

from app.cli.failures import says_failures
from app.cli.number_range import NumberRange
from app.cli.progress import progress
from app.datasets import Built, as_jsonl
from app.tracing.traced_turns import Selection
from app.web.services import services

MOST_HOURS = 87_600


@click.group()
def dataset() -> None:
    """Make evaluation datasets in MLflow of what people said of answers."""


@dataset.command()
@click.option("--name", required=True, help="The dataset; made when there is none of that name.")
@click.option(
    "--from",
    "selection",
    type=click.Choice(["negative", "corrected", "all"]),
    default="negative",
    show_default=True,
    help="Which questions: thumbs down, those with a correction, or all that were asked.",
)
@click.option(
    "--hours",
    type=NumberRange(0, MOST_HOURS, min_open=True),
    default=24.0,
    show_default=True,
    help="How far back, by the time of the question.",
)
@with_appcontext
@says_failures
def build(name: str, selection: Selection, hours: float) -> None:
    """Merge questions into a dataset. Run again, it adds no duplicates."""
    with progress("Reading traces") as show:
        built = services().datasets.build(name, selection, hours, show)
    if built is None:
        wanted = {"negative": "thumb down", "corrected": "correction", "all": "question"}[selection]
        click.echo(f"No {wanted} in the last {hours:g} hours, so no dataset was made.")
        return
    click.echo(_describe(built))
    click.echo(built.link)
    if built.refused:
        raise SystemExit(1)


@dataset.command()
@click.option("--name", required=True, help="The dataset.")
@with_appcontext
@says_failures
def export(name: str) -> None:
    """Print a dataset, one record a line, as JSON."""
    for line in as_jsonl(services().datasets.records(name)):
        click.echo(line)


def _describe(built: Built) -> str:
    done = f"{built.added} added, {built.changed} changed, {built.unchanged} as they were."
    lines = [
        f"{built.name}: {done}",
        f"Records: {built.total}, with an expected answer: {built.with_expectation}.",
    ]
    if built.gone:
        lines.append(f"Passed over, because deleted or no turn of this app: {built.gone} traces.")
    lines += [f"MLflow refused the record of {trace_id}." for trace_id in built.refused]
    return "\n".join(lines)

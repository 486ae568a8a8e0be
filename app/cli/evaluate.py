"""Test the configured model on a dataset: `flask --app app evaluate`."""

from collections.abc import Sequence
from contextlib import closing

import click
from flask.cli import with_appcontext

from app.cli.failures import says_failures
from app.cli.number_range import NumberRange
from app.cli.progress import progress
from app.errors import ModelError, ThumbprintError
from app.evaluation.checks import SIMILAR_ENOUGH
from app.evaluation.evaluator import Evaluated, Evaluator, Row
from app.evaluation.replay import Replay
from app.insights.as_text import plain
from app.llm.endpoint import EndpointModel
from app.settings import Settings
from app.tracing.evaluation import Judge, is_possible
from app.web.services import services

QUESTION_CHARS = 60
# What MLflow takes as a run's parameter.
LONGEST_PARAMETER = 6000
# Asked of the judge before anything else, so that a wrong name or key is one line at once.
TRIAL = [{"role": "user", "content": "Answer with the word yes."}]


class CannotEvaluate(ThumbprintError):
    """Something is missing; the message says what and how to mend it."""

    code = "cannot_evaluate"


@click.command()
@click.option("--dataset", "name", required=True, help="The dataset whose questions are asked.")
@click.option(
    "--min-pass-rate",
    type=NumberRange(0, 1),
    help="Exit with status 1 when fewer of the checked answers pass, as 0.8 for 80%.",
)
@click.option(
    "--min-similarity",
    type=NumberRange(0, 1),
    default=SIMILAR_ENOUGH,
    show_default=True,
    help="From where on an answer is like its correction, without a judge.",
)
@click.option("--judge", help="Model that judges the answers; instead of EVALUATION_JUDGE_MODEL.")
@with_appcontext
@says_failures
def evaluate(
    name: str, min_pass_rate: float | None, min_similarity: float, judge: str | None
) -> None:
    """Ask the configured model every question of a dataset, and check the answers."""
    settings = services().settings
    if not is_possible():
        raise CannotEvaluate(
            "Evaluating needs the full MLflow package. Install it beside the light one: "
            "python -m pip install -c constraints.txt -e '.[mlflow]'"
        )
    judge_model = judge or settings.evaluation_judge_model
    replay = Replay(services().model, settings.chat_system_prompt, settings.chat_turn_timeout_s)
    facts = {
        "model": settings.answering_model,
        "version": settings.app_version,
        "system_prompt": settings.chat_system_prompt[:LONGEST_PARAMETER],
        "judge": judge_model or "none",
        "min_similarity": str(min_similarity),
    }
    opened = _open_judge(settings, judge_model) if judge_model else None
    evaluator = Evaluator(services().datasets, services().links, settings.mlflow_experiment_name)
    with progress("Asking") as show:
        evaluated = evaluator.evaluate(name, replay, facts, min_similarity, opened, show)
    click.echo(as_table(evaluated.rows))
    click.echo()
    click.echo(summary(evaluated))
    click.echo(f"Answer by answer: {evaluated.link}")
    if min_pass_rate is not None:
        _hold_to(evaluated, min_pass_rate)


def _open_judge(settings: Settings, model: str) -> Judge:
    if settings.openai_base_url is None:
        raise CannotEvaluate(
            "A judge needs a model at OPENAI_BASE_URL, which is unset: the built-in model is too "
            "small to judge anything."
        )
    judging = settings.model_copy(update={"chat_model": model})
    try:
        with closing(EndpointModel(judging)) as trial:
            Replay(trial, "You judge answers.", settings.chat_turn_timeout_s)(TRIAL)
    except ModelError as error:
        raise CannotEvaluate(f"The judge {model} cannot be asked. {error.message}") from error
    return Judge(model, settings.openai_base_url, settings.openai_api_key)


def _hold_to(evaluated: Evaluated, min_pass_rate: float) -> None:
    rate = evaluated.pass_rate
    if rate is None:
        raise CannotEvaluate(
            "No answer could be checked, so the pass rate is not known. Write corrections."
        )
    if rate < min_pass_rate:
        raise CannotEvaluate(f"The pass rate {rate:.1%} is below {min_pass_rate:.1%}.")


def as_table(rows: Sequence[Row]) -> str:
    """The rows for people, one a line."""
    lines = ["result     similar  words  seconds  question"]
    for row in rows:
        checked = row.checked
        similar = "" if checked.similarity is None else f"{checked.similarity:.2f}"
        # Without a trace nobody knows what was answered, nor how fast.
        words = str(checked.words) if row.traced else ""
        seconds = f"{row.asked.seconds:.1f}" if row.traced else ""
        question = _one_line(row.question)
        if len(question) > QUESTION_CHARS:
            question = question[: QUESTION_CHARS - 1] + "…"
        line = f"{checked.status:<9}  {similar:>7}  {words:>5}  {seconds:>7}  "
        why = f" ({_one_line(checked.why)})" if checked.status == "failed" else ""
        lines.append(line + question + why)
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(plain(text).split())


def summary(evaluated: Evaluated) -> str:
    """How many passed of those that could be checked, and how long answers took."""
    passed, failed, unchecked = map(evaluated.count, ("passed", "failed", "unchecked"))
    rate = evaluated.pass_rate
    lines = []
    if rate is not None:
        lines.append(f"{passed} of {passed + failed} checked answers passed ({rate:.1%}).")
    if unchecked:
        lines.append(f"{unchecked} not checked: nobody wrote what the answer should be.")
    if evaluated.median_seconds is not None:
        lines.append(f"Half of the answers took {evaluated.median_seconds:.1f} s or less.")
    return "\n".join(lines)

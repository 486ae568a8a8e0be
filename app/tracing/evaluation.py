"""Evaluation runs in MLflow: `mlflow.genai.evaluate`, in an experiment of their own.

The only module that needs the full MLflow package, which it imports when asked to. Each question
becomes a trace of its own there, so the experiment with people's traces stays as it is.
See https://mlflow.org/docs/latest/genai/eval-monitor/
"""

import contextlib
import importlib.util
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.entities import AssessmentSource, Feedback, Span, SpanType, Trace
from mlflow.tracing.constant import SpanAttributeKey

from app.tracing.failures import explained
from app.tracing.spans import TokenUsage

# How many questions are asked at a time; more would measure the model's queue, not its answers.
AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, the messages it was given to, and which model gave it for how many tokens."""

    text: str
    asked: tuple[Mapping[str, object], ...]
    model: str | None = None
    usage: TokenUsage | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One score of an answer, and why."""

    name: str
    value: bool | float | int | str
    why: str | None = None
    by_judge: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with its answer: None where the model failed, and `failure` says how.

    `seconds` is how long it took.
    """

    messages: Sequence[Mapping[str, str]]
    answer: str | None
    expected: str | None
    seconds: float
    trace_id: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """Where in MLflow the scores are."""

    experiment_id: str
    run_id: str


Ask = Callable[[Sequence[Mapping[str, str]]], Answer]
Rate = Callable[[Asked], Sequence[Score]]


def is_possible() -> bool:
    """Whether the full MLflow package is installed."""
    return importlib.util.find_spec("mlflow.genai") is not None


def evaluate(
    experiment_name: str,
    dataset_id: str,
    title: str,
    facts: Mapping[str, str],
    ask: Ask,
    rate: Rate,
) -> EvaluationRun:
    """Ask every question of a dataset, rate the answers, and keep all of it as one run.

    `facts` become the run's parameters. What `ask` raises is noted on the question's trace.
    `rate` is called from several threads. Raises `NotDelivered`.
    """
    from mlflow.genai.datasets import get_dataset  # the full package's
    from mlflow.genai.evaluation import evaluate as run_evaluation
    from mlflow.genai.scorers import scorer

    def answer(messages: list[dict[str, str]]) -> str:
        with mlflow.start_span("replay", span_type=SpanType.CHAT_MODEL) as span:
            span.set_inputs({"messages": messages})
            given = ask(messages)
            span.set_inputs({"messages": list(given.asked)})
            span.set_outputs(given.text)
            if given.model:
                span.set_attribute(SpanAttributeKey.MODEL, given.model)
            if given.usage:
                span.set_attribute(SpanAttributeKey.CHAT_USAGE, _counted(given.usage))
        return given.text

    def checks(
        inputs: dict[str, Any], expectations: dict[str, Any], trace: Trace
    ) -> list[Feedback]:
        root = next(span for span in trace.data.spans if span.parent_id is None)
        asked = Asked(
            messages=inputs["messages"],
            # Not the scorer's `outputs`: when the model fails, those are what the record held.
            answer=root.outputs if isinstance(root.outputs, str) else None,
            expected=(expectations or {}).get("expected_response"),
            seconds=(trace.info.execution_duration or 0) / 1000,
            trace_id=trace.info.trace_id,
            failure=_failure(root),
        )
        return [_as_feedback(score) for score in rate(asked)]

    _prepare()
    with explained(), contextlib.redirect_stdout(io.StringIO()):
        experiment = mlflow.set_experiment(experiment_name)
        with mlflow.start_run(run_name=title) as run:
            mlflow.log_params(dict(facts))
            run_evaluation(
                data=get_dataset(dataset_id=dataset_id),
                predict_fn=answer,
                scorers=[scorer(checks)],
            )
    return EvaluationRun(experiment.experiment_id, run.info.run_id)


class Judge:
    """MLflow's own judge of correctness, asking a model at an OpenAI-compatible endpoint."""

    def __init__(self, model: str, base_url: str, api_key: str | None) -> None:
        self.model = model
        # The one way MLflow takes them in. Which endpoint is asked is a setting of ours.
        os.environ["OPENAI_API_BASE"] = base_url
        os.environ["OPENAI_API_KEY"] = api_key or "none"

    def judge(self, question: str, answer: str, expected: str) -> tuple[bool, str]:
        """Whether the answer says what the expected one says, and why.

        Raises MLflow's exceptions when the model cannot be asked or does not keep to the form.
        """
        from mlflow.genai import judges  # the full package's

        said = judges.is_correct(
            request=question,
            response=answer,
            expected_response=expected,
            model=f"openai:/{self.model}",
        )
        return said.value == "yes", said.rationale or ""


def _prepare() -> None:
    """Give MLflow its own tracing back, and time: nobody is waiting for one of these requests."""
    # On by default in evaluations: a second span for each call, with its tokens counted again.
    mlflow.openai.autolog(disable=True)
    mlflow.tracing.reset()  # type: ignore[no-untyped-call]
    os.environ.update(
        MLFLOW_HTTP_REQUEST_TIMEOUT="60",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="3",
        MLFLOW_GENAI_EVAL_MAX_WORKERS=str(AT_A_TIME),
        # Else it would ask the first question twice, to see whether that makes a trace.
        MLFLOW_GENAI_EVAL_SKIP_TRACE_VALIDATION="true",
        # Else a judge's first answer waits for a price list from the internet.
        MLFLOW_MODEL_CATALOG_URI="",
        # The command has a progress bar of its own; MLflow's is there only if tqdm happens to be.
        TQDM_DISABLE="1",
    )


def _failure(root: Span) -> str | None:
    for event in root.events:
        if message := event.attributes.get("exception.message"):
            return str(message)
    return None


def _as_feedback(score: Score) -> Feedback:
    by_judge = score.by_judge is not None
    source = AssessmentSource(
        source_type="LLM_JUDGE" if by_judge else "CODE", source_id=score.by_judge or "thumbprint"
    )
    return Feedback(name=score.name, value=score.value, rationale=score.why, source=source)


def _counted(usage: TokenUsage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }

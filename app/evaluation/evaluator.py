"""One evaluation: a dataset's questions, today's model, and which answers pass."""

import json
import logging
import statistics
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.datasets import DatasetDesk, Progress
from app.errors import InvalidValue, Unavailable
from app.evaluation.checks import Checked, Verdict, check
from app.feedback import EXPECTED_RESPONSE
from app.tracing import evaluation as mlflow_evaluation
from app.tracing.datasets import Record
from app.tracing.evaluation import Ask, Asked, Judge, Score
from app.tracing.failures import NotDelivered
from app.tracing.links import Links

log = logging.getLogger(__name__)

# Where its questions and scores go, beside the experiment with people's.
EXPERIMENT_SUFFIX = "-evaluation"


@dataclass(frozen=True, slots=True)
class Row:
    """One question, what was answered, and what was found of it."""

    asked: Asked
    checked: Checked

    @property
    def question(self) -> str:
        """The last message."""
        return self.asked.messages[-1]["content"]

    @property
    def traced(self) -> bool:
        """Whether MLflow kept the answer, so that its words and seconds are known."""
        return self.asked.trace_id is not None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """All rows, and where they are in MLflow's UI."""

    rows: Sequence[Row]
    link: str

    def count(self, status: str) -> int:
        """How many answers are `passed`, `failed` or `unchecked`."""
        return sum(row.checked.status == status for row in self.rows)

    @property
    def pass_rate(self) -> float | None:
        """Those that passed, of those that passed or failed; None when there are none of these."""
        passed, failed = self.count("passed"), self.count("failed")
        return passed / (passed + failed) if passed + failed else None

    @property
    def median_seconds(self) -> float | None:
        """How long half of the answers took at most; None when MLflow kept none."""
        known = [row.asked.seconds for row in self.rows if row.traced]
        return statistics.median(known) if known else None


class Evaluator:
    """Evaluates a model on datasets of the app's experiment."""

    def __init__(self, datasets: DatasetDesk, links: Links, experiment: str) -> None:
        """`experiment` is the name of the one with people's traces."""
        self._datasets = datasets
        self._links = links
        self._experiment = experiment + EXPERIMENT_SUFFIX

    def evaluate(
        self,
        name: str,
        ask: Ask,
        facts: dict[str, str],
        similar_enough: float,
        judge: Judge | None = None,
        progress: Progress = lambda *_: None,
    ) -> Evaluated:
        """Put every question of the dataset `name` to `ask`, and check the answers.

        `progress` gets the questions done and how many there are. `facts` are kept with the run,
        to compare it by. Raises `NotFound` for an unknown dataset, `InvalidValue` for one that is
        empty or has records that cannot be asked and checked, `Unavailable` when MLflow fails.
        """
        dataset = self._datasets.find(name)
        records = self._datasets.records(name)
        _check_records(name, records)
        rows: dict[str, Row] = {}
        one_at_a_time = threading.Lock()

        def rate(asked: Asked) -> list[Score]:
            verdict = _ask_judge(judge, asked) if judge else None
            checked = check(asked.answer, asked.expected, verdict, similar_enough)
            if asked.failure:
                checked = replace(checked, why=f"no answer: {asked.failure}")
            with one_at_a_time:
                rows[_key(asked.messages)] = Row(asked, checked)
                progress(len(rows), len(records))
            return _scores(asked, checked, verdict, judge)

        try:
            run = mlflow_evaluation.evaluate(self._experiment, dataset.id, name, facts, ask, rate)
            link = self._links.evaluation(run.experiment_id, run.run_id)
        except NotDelivered as error:
            raise Unavailable(
                f"MLflow failed during the evaluation: {error}", code="mlflow_unavailable"
            ) from error
        found = [_row(one, rows.get(_key(one.inputs["messages"]))) for one in records]
        return Evaluated(found, link)


def _check_records(name: str, records: Sequence[Record]) -> None:
    if not records:
        raise InvalidValue(f"The dataset {name!r} has no records.")
    others = [record.id for record in records if not _is_question(record)]
    if others:
        raise InvalidValue(
            f"The dataset {name!r} has {len(others)} records that are no chat questions, such as "
            f"{others[0]}: expected the inputs to be messages, each with a role and a content."
        )
    others = [
        record.id
        for record in records
        if not isinstance(record.expectations.get(EXPECTED_RESPONSE), str | None)
    ]
    if others:
        raise InvalidValue(
            f"The dataset {name!r} has {len(others)} records whose {EXPECTED_RESPONSE} is no text, "
            f"such as {others[0]}: expected a string."
        )


def _is_question(record: Record) -> bool:
    messages = record.inputs.get("messages")
    return (
        record.inputs.keys() == {"messages"}
        and isinstance(messages, list)
        and bool(messages)
        and all(
            isinstance(one, dict)
            and {"role", "content"} <= one.keys()
            and isinstance(one["content"], str)
            for one in messages
        )
    )


def _row(record: Record, row: Row | None) -> Row:
    if row:
        return row
    asked = Asked(record.inputs["messages"], None, record.expectations.get(EXPECTED_RESPONSE), 0.0)
    return Row(asked, Checked("failed", "MLflow kept no trace of the answer", 0, refused=False))


def _key(messages: Sequence[Mapping[str, str]]) -> str:
    return json.dumps(messages, sort_keys=True)


def _ask_judge(judge: Judge, asked: Asked) -> Verdict | None:
    if not asked.answer or asked.expected is None:
        return None
    try:
        right, why = judge.judge(asked.messages[-1]["content"], asked.answer, asked.expected)
    except Exception as error:  # noqa: BLE001  (a judge may fail in any way; the row says so)
        log.warning("the judge failed on %s: %s", asked.trace_id, error)
        return Verdict(None, f"{type(error).__name__}: {error}"[:200])
    return Verdict(right, why)


def _scores(
    asked: Asked, checked: Checked, verdict: Verdict | None, judge: Judge | None
) -> list[Score]:
    """What MLflow keeps of a row; nothing about passing where that cannot be said."""
    scores = [
        Score("words", checked.words),
        Score("seconds", round(asked.seconds, 3)),
        Score("no_refusal", not checked.refused),
    ]
    if checked.status != "unchecked":
        scores.append(Score("passed", checked.status == "passed", checked.why))
    if checked.similarity is not None and checked.contains is not None:
        scores.append(Score("similarity", round(checked.similarity, 3)))
        scores.append(Score("contains_correction", checked.contains))
    if judge and verdict and verdict.right is not None:
        scores.append(Score("correctness", verdict.right, verdict.why, judge.model))
    return scores

"""Removes the demo data, here and in MLflow."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from app import outbox
from app.demo import DEMO_TAG, PEOPLE
from app.errors import Unavailable
from app.evaluation.evaluator import EXPERIMENT_SUFFIX
from app.settings import Settings
from app.store.conversations import delete_all_conversations
from app.store.database import Database
from app.store.departed_traces import take_departed
from app.tracing.datasets import EvaluationDatasets
from app.tracing.failures import NotDelivered
from app.tracing.tagged_traces import delete_tagged
from app.tracing.tracking import TrackingServer


@dataclass(frozen=True, slots=True)
class Removed:
    """How much there was: conversations here; traces and records of datasets in MLflow."""

    conversations: int
    traces: int
    records: int


def remove(
    settings: Settings,
    database: Database,
    tracking: TrackingServer,
    show: Callable[[int, int], None] = lambda *_: None,
) -> Removed:
    """Remove everything of the demo; `show` is told how many traces are gone, of how many.

    Traces made by evaluating demo questions go too, and datasets that become empty. Raises
    `Unavailable` when MLflow does not answer; then nothing or not all is removed, and doing it
    again removes the rest.
    """
    try:
        tracking.ping()
        # Here first: what is no longer owed to MLflow cannot arrive there behind our back.
        conversations = database.write(_remove_here)
        traces = delete_tagged(tracking, settings.mlflow_experiment_name, DEMO_TAG, show)
        evaluations = settings.mlflow_experiment_name + EXPERIMENT_SUFFIX
        traces += delete_tagged(tracking, evaluations, DEMO_TAG, show)
        return Removed(conversations, traces, _remove_records(EvaluationDatasets(tracking)))
    except NotDelivered as error:
        raise Unavailable(
            "MLflow does not answer, and most of the demo is there. Start it (`make run`) and try "
            "again.",
            code="mlflow_unavailable",
        ) from error


def _remove_here(connection: Connection) -> int:
    found = 0
    for person in PEOPLE:
        conversations, traces = delete_all_conversations(connection, person)
        outbox.drop(connection, [*traces, *take_departed(connection, person)])
        found += conversations
    return found


def _remove_records(datasets: EvaluationDatasets) -> int:
    removed = 0
    for dataset in datasets.known():
        records = list(datasets.records(dataset.id))
        demo = [record.id for record in records if record.id and DEMO_TAG in record.tags]
        if demo and len(demo) == len(records):
            datasets.delete(dataset.id)
        else:
            datasets.remove(dataset.id, demo)
        removed += len(demo)
    return removed

"""One current value: what a change and a withdrawal leave behind, wherever MLflow is looked into.

The last test is about MLflow alone: it says why `override_feedback` is not how a mind is changed.
"""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
from mlflow.entities import AssessmentSource
from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType
from mlflow.tracing.client import TracingClient

from app.tracing.failures import NotDelivered
from app.tracing.spans import Recorder
from app.tracing.tracking import TrackingServer, Verdict
from tests.mlflow_reader import MlflowReader
from tests.servers import MlflowServer

EXPERIMENT = "one-current-value"
NAME = "user_feedback"


@pytest.fixture(scope="module")
def tracking(mlflow_server: MlflowServer) -> TrackingServer:
    return TrackingServer(mlflow_server.url, EXPERIMENT)


@pytest.fixture(scope="module")
def reader(mlflow_server: MlflowServer) -> MlflowReader:
    return MlflowReader(mlflow_server.url, EXPERIMENT)


@pytest.fixture
def trace(tracking: TrackingServer) -> Iterator[str]:
    """The only trace of the experiment: whatever is found is on it."""
    turn = Recorder({}).start_turn()
    turn.describe("r1", "ann", "c1", [{"role": "user", "content": "Why?"}])
    tracking.write_trace(turn.end("complete", "So."))
    yield turn.trace_id
    tracking.delete_trace(turn.trace_id)


def verdict(trace: str, value: bool, metadata: dict[str, str] | None = None) -> Verdict:
    return Verdict(
        f"a-{trace}", trace, "feedback", NAME, value, "HUMAN", "ann", None, metadata or {}
    )


def seen(reader: MlflowReader, trace: str) -> dict[str, object]:
    """The trace's verdicts: on the trace, by searching for a value, and in the Overview."""
    return {
        "trace": [one.value for one in reader.verdicts(trace)],
        "search": [
            value
            for value in (True, False)
            if trace
            in {
                found.info.trace_id
                for found in reader.traces(f"feedback.{NAME} = '{str(value).lower()}'")
            }
        ],
        "overview": overview(reader),
    }


def overview(reader: MlflowReader) -> dict[str, float]:
    """How often each value counts, as the Overview of MLflow's UI asks for it."""
    points = TracingClient(reader.client.tracking_uri).store.query_trace_metrics(
        experiment_ids=[reader.experiment_id],
        view_type=MetricViewType.ASSESSMENTS,
        metric_name="assessment_count",
        aggregations=[MetricAggregation(aggregation_type=AggregationType.COUNT)],
        dimensions=["assessment_name", "assessment_value"],
    )
    return {str(point.dimensions["assessment_value"]): point.values["COUNT"] for point in points}


def test_a_change_and_a_withdrawal_leave_just_the_current_value(
    tracking: TrackingServer, reader: MlflowReader, trace: str
) -> None:
    for value in (True, False, True):
        tracking.write_verdict(verdict(trace, value))
        assert seen(reader, trace) == {
            "trace": [value],
            "search": [value],
            "overview": {str(value).lower(): 1},
        }
    tracking.withdraw(trace, f"a-{trace}")
    assert seen(reader, trace) == {"trace": [], "search": [], "overview": {}}


def test_metadata_that_a_change_leaves_out_is_gone(
    tracking: TrackingServer, reader: MlflowReader, trace: str
) -> None:
    tracking.write_verdict(verdict(trace, True, {"kept": "1", "left out": "2"}))
    tracking.write_verdict(verdict(trace, False, {"kept": "1"}))
    (found,) = reader.verdicts(trace)
    assert (found.value, found.metadata) == (False, {"kept": "1"})


def test_a_deleted_trace_is_gone_with_its_verdicts_and_may_be_deleted_again(
    tracking: TrackingServer, reader: MlflowReader, trace: str
) -> None:
    tracking.write_verdict(verdict(trace, True))
    for _ in range(2):
        tracking.delete_trace(trace)
    assert reader.traces() == []
    assert overview(reader) == {}


def test_a_verdict_on_a_trace_that_was_deleted_in_mlflow_is_refused_with_the_reason(
    tracking: TrackingServer, trace: str
) -> None:
    tracking.write_verdict(verdict(trace, True))
    tracking.delete_trace(trace)
    with pytest.raises(NotDelivered, match=trace) as refusal:
        tracking.write_verdict(verdict(trace, False))
    # So the relay makes it a dead letter at once, and goes on to the next.
    assert refusal.value.refused
    tracking.withdraw(trace, f"a-{trace}")


def test_mlflows_own_override_keeps_the_superseded_value_on_the_trace(
    tracking: TrackingServer, reader: MlflowReader, trace: str
) -> None:
    tracking.write_verdict(verdict(trace, True))
    mlflow.set_tracking_uri(reader.client.tracking_uri)
    for value in (False, True):
        mlflow.override_feedback(
            trace_id=trace,
            assessment_id=f"a-{trace}",
            value=value,
            source=AssessmentSource(source_type="HUMAN", source_id="ann"),
        )
    found = reader.trace(trace).info.assessments
    states = [(one.feedback.value, one.valid) for one in found if one.feedback]
    # The first is superseded and still there, and the two overrides both count.
    assert sorted(states) == [(False, True), (True, False), (True, True)]
    assert overview(reader) == {"false": 1, "true": 1}

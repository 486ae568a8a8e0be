"""MLflow's review queue, on a real server: what is sent there can be found there."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.tracing.failures import NotDelivered
from app.tracing.review_queues import QUESTION, QUEUE, ReviewQueue
from app.tracing.spans import Recorder
from app.tracing.tracking import TrackingServer
from tests.servers import MlflowServer


@pytest.fixture
def tracking(mlflow_server: MlflowServer, tmp_path: Path) -> TrackingServer:
    return TrackingServer(mlflow_server.url, f"review-{tmp_path.name}", timeout_s=60)


@pytest.fixture
def queue(tracking: TrackingServer) -> ReviewQueue:
    return ReviewQueue(tracking)


def stored_trace(tracking: TrackingServer) -> str:
    turn = Recorder({}).start_turn()
    turn.describe("q1", "u1", "c1", [{"role": "user", "content": "Why?"}])
    tracking.write_trace(turn.end("complete", "Because."))
    return turn.trace_id


def test_a_trace_goes_to_review_once_however_often_it_is_sent(
    tracking: TrackingServer, queue: ReviewQueue
) -> None:
    assert queue.states() == {}
    first, second = stored_trace(tracking), stored_trace(tracking)
    for trace_id in (first, second, first):
        queue.add(trace_id)
    assert queue.states() == {first: "pending", second: "pending"}


def test_reviewers_are_asked_for_the_expected_response(
    tracking: TrackingServer, queue: ReviewQueue
) -> None:
    queue.add(stored_trace(tracking))
    store = tracking.client.store
    [found] = store.list_review_queues(tracking.experiment_id())
    assert (found.name, found.queue_type.value) == (QUEUE, "custom")
    [asked] = found.schema_ids
    schema = store.get_label_schema(asked)
    assert (schema.name, schema.type.value) == (QUESTION, "expectation")


def test_a_finished_review_is_no_longer_pending(
    tracking: TrackingServer, queue: ReviewQueue
) -> None:
    trace_id = stored_trace(tracking)
    queue.add(trace_id)
    store = tracking.client.store
    [found] = store.list_review_queues(tracking.experiment_id())
    store.set_review_queue_item_status(
        found.queue_id, item_id=trace_id, status="complete", completed_by="ann"
    )
    assert queue.states() == {trace_id: "complete"}


def test_a_trace_that_is_not_there_is_refused(queue: ReviewQueue) -> None:
    with pytest.raises(NotDelivered) as refusal:
        queue.add("tr-" + "0" * 32)
    assert refusal.value.refused
    assert queue.states() == {}


def test_a_server_that_is_away_is_said_to_be() -> None:
    queue = ReviewQueue(TrackingServer("http://127.0.0.1:9", "nowhere", timeout_s=1))
    with pytest.raises(NotDelivered) as failure:
        queue.states()
    assert failure.value.unreachable

"""What an answer means that is no success: a refusal, a failure over one write, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.tracing.failures import NotDelivered
from app.tracing.tracking import TrackingServer, Verdict
from tests.doubles import finished_trace
from tests.processes import free_port
from tests.scripted_tracking_server import ScriptedTrackingServer, scripted_tracking_server
from tests.servers import MlflowServer

MISSING = '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No such trace"}'
INVALID = '{"error_code": "INVALID_PARAMETER_VALUE", "message": "Too odd"}'
FORBIDDEN = '{"error_code": "PERMISSION_DENIED", "message": "Not you"}'
BROKEN = '{"error_code": "INTERNAL_ERROR", "message": "Oh"}'
PAGE = "<html>from a proxy</html>"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedTrackingServer]:
    with scripted_tracking_server() as server:
        yield server


def verdict(trace_id: str) -> Verdict:
    return Verdict("a-1", trace_id, "feedback", "user_feedback", True, "HUMAN", "ann", None, {})


def writes(tracking: TrackingServer) -> list[Callable[[], None]]:
    trace = finished_trace()
    return [
        lambda: tracking.write_trace(trace),
        lambda: tracking.write_verdict(verdict(trace.info.trace_id)),
        lambda: tracking.withdraw(trace.info.trace_id, "a-1"),
        lambda: tracking.delete_trace(trace.info.trace_id),
    ]


@pytest.mark.parametrize(
    ("status", "body", "refused", "unreachable"),
    [
        (400, INVALID, True, False),
        (413, PAGE, True, False),
        (400, PAGE, False, False),
        (500, BROKEN, False, False),
        (500, PAGE, False, False),
        (401, PAGE, False, True),
        (403, FORBIDDEN, False, True),
        (403, PAGE, False, True),
        (404, PAGE, False, True),
        (404, "404 page not found", False, True),
        (429, PAGE, False, True),
        (404, '{"detail": "Not Found"}', False, True),
        (503, '{"message": "no Route matched"}', False, True),
        (400, '{"message": "no Route matched"}', False, True),
        (502, PAGE, False, True),
        (503, PAGE, False, True),
        (504, PAGE, False, True),
    ],
)
def test_only_mlflow_itself_refuses_and_only_an_answer_about_the_write_counts_as_one(
    server: ScriptedTrackingServer, status: int, body: str, refused: bool, unreachable: bool
) -> None:
    server.status, server.body = status, body
    for write in writes(TrackingServer(server.url, "any")):
        with pytest.raises(NotDelivered) as caught:
            write()
        assert (caught.value.refused, caught.value.unreachable) == (refused, unreachable)


def test_what_mlflows_client_says_of_its_address_bears_no_password() -> None:
    nobody = TrackingServer(f"http://me:hunter2@127.0.0.1:{free_port()}", "any")
    with pytest.raises(NotDelivered) as caught:
        nobody.write_verdict(verdict("tr-1"))
    assert "127.0.0.1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_deleting_what_mlflow_says_it_has_not_is_done_but_not_at_a_proxys_word(
    server: ScriptedTrackingServer,
) -> None:
    tracking = TrackingServer(server.url, "any")
    server.status, server.body = 404, MISSING
    tracking.delete_trace("tr-1")
    server.body = PAGE
    with pytest.raises(NotDelivered):
        tracking.delete_trace("tr-1")


def test_an_mlflow_that_came_back_without_the_experiment_gets_it_anew(
    mlflow_server: MlflowServer,
) -> None:
    tracking = TrackingServer(mlflow_server.url, "came-back-empty")
    known = tracking.experiment_id()
    tracking._experiment_id = "987654321"  # noqa: SLF001 (as it was called before)
    tracking.write_trace(finished_trace())
    assert tracking.experiment_id() == known

"""Spans of traces that are written at the same moment share a request."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from mlflow.entities import Span

from app.tracing.span_batches import BatchFailed, SpanBatches
from app.tracing.spans import Recorder
from tests.waiting import eventually


class Server:
    """Takes a request when it is let, and fails those it is told to."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.go = threading.Semaphore(0)
        self.failure: BaseException | None = None

    def take(self, spans: list[Span]) -> None:
        self.requests.append([span.trace_id for span in spans])
        self.go.acquire()
        if self.failure:
            raise self.failure


@pytest.fixture
def recorder() -> Recorder:
    return Recorder({})


def spans_of(recorder: Recorder, count: int) -> list[list[Span]]:
    return [[recorder.start_turn().root] for _ in range(count)]


def send_while_one_is_under_way(
    server: Server, batches: SpanBatches, all_spans: list[list[Span]], pool: ThreadPoolExecutor
) -> list[Future[None]]:
    """The first is sent, the others come meanwhile."""
    first = pool.submit(batches.send, all_spans[0])
    eventually(lambda: server.requests)
    others = [pool.submit(batches.send, spans) for spans in all_spans[1:]]
    eventually(lambda: len(batches.waiting) == len(others))
    return [first, *others]


def test_whoever_comes_meanwhile_shares_the_next_request(recorder: Recorder) -> None:
    server = Server()
    batches = SpanBatches(server.take)
    all_spans = spans_of(recorder, 5)
    with ThreadPoolExecutor(5) as pool:
        sent = send_while_one_is_under_way(server, batches, all_spans, pool)
        assert not any(one.done() for one in sent)
        server.go.release()
        sent[0].result(5)
        eventually(lambda: len(server.requests) == 2)
        assert not any(one.done() for one in sent[1:])
        server.go.release()
        for one in sent:
            one.result(5)
    first, together = server.requests
    assert first == [all_spans[0][0].trace_id]
    assert sorted(together) == sorted(spans[0].trace_id for spans in all_spans[1:])


def test_a_failure_of_one_alone_is_its_own_and_of_several_nobodys(recorder: Recorder) -> None:
    server = Server()
    batches = SpanBatches(server.take)
    server.failure = ValueError("no such experiment")
    with ThreadPoolExecutor(3) as pool:
        sent = send_while_one_is_under_way(server, batches, spans_of(recorder, 3), pool)
        for _ in range(2):
            server.go.release()
        with pytest.raises(ValueError, match="no such experiment"):
            sent[0].result(5)
        for one in sent[1:]:
            with pytest.raises(BatchFailed, match=r"2 traces: no such experiment"):
                one.result(5)
    server.failure = None
    server.go.release()
    batches.send(spans_of(recorder, 1)[0])


def test_a_request_that_was_given_up_has_kept_nothing_for_anybody(recorder: Recorder) -> None:
    server = Server()
    batches = SpanBatches(server.take)
    with ThreadPoolExecutor(3) as pool:
        sent = send_while_one_is_under_way(server, batches, spans_of(recorder, 3), pool)
        server.go.release()
        sent[0].result(5)
        server.failure = KeyboardInterrupt()
        server.go.release()
        errors = [one.exception(5) for one in sent[1:]]
    assert {type(error) for error in errors} == {KeyboardInterrupt, BatchFailed}

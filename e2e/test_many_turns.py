"""Many turns, twenty at a time, each judged the moment it is done: all arrive, once.

Eighty turns in every run; with SOAK=1 two hundred, and an outage of a minute.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from e2e.visitor import Visitor
from tests.mlflow_reader import verdicts_of
from tests.servers import MlflowServer, Stack
from tests.waiting import eventually

AT_A_TIME = 20
SOAK = os.environ.get("SOAK") == "1"
TURNS = 200 if SOAK else 80
OUTAGE_S = 60.0 if SOAK else 10.0


@dataclass(frozen=True)
class Judged:
    """A finished turn and the verdict sent for it."""

    trace_id: str
    client_request_id: str
    user: str
    is_correct: bool


def ask_and_judge(visitor: Visitor, numbers: Iterable[int]) -> list[Judged]:
    """Ask one question per number, and judge each answer in the moment its `done` arrives."""
    judged = []
    with visitor.open_socket() as socket:
        for number in numbers:
            turn = socket.ask(f"question {number}")
            answer = visitor.judge(
                number % 3 != 0, f"verdict {number}", client_request_id=turn.client_request_id
            )
            assert turn.last["type"] == "done", turn.last
            assert turn.text == f"You said: question {number}"
            assert answer.status_code == 200, answer.text
            assert answer.json()["trace_id"] == turn.trace_id
            judged.append(
                Judged(turn.trace_id, turn.client_request_id, visitor.cookie, number % 3 != 0)
            )
    return judged


def ask_many(visitors: list[Visitor], numbers: range) -> list[Judged]:
    """Share the numbers among the visitors, who all ask at the same time."""
    shares = [numbers[start :: len(visitors)] for start in range(len(visitors))]
    with ThreadPoolExecutor(len(visitors)) as pool:
        return [one for part in pool.map(ask_and_judge, visitors, shares) for one in part]


def expect_all_in_mlflow(stack: Stack, judged: list[Judged], timeout: float) -> None:
    """Wait until MLflow holds every turn and every verdict, and check that it holds no other."""

    def arrived() -> bool:
        return sum(len(verdicts_of(trace)) for trace in stack.reader.traces()) >= len(judged)

    eventually(arrived, timeout=timeout, every=1.0)
    traces = stack.reader.traces()
    found = Counter(trace.info.trace_id for trace in traces)
    assert found == Counter(one.trace_id for one in judged)
    requests = Counter(trace.info.client_request_id for trace in traces)
    assert requests == Counter(one.client_request_id for one in judged)
    kept = {trace.info.trace_id: [v.value for v in verdicts_of(trace)] for trace in traces}
    assert kept == {one.trace_id: [one.is_correct] for one in judged}
    unfinished = [
        trace.info.trace_id
        for trace in traces
        if trace.info.trace_metadata.get("mlflow.trace.infoFinalized") != "true"
    ]
    assert not unfinished


def test_many_judged_turns_all_arrive_once(stack_with: Callable[..., Stack]) -> None:
    stack = stack_with()
    visitors = [Visitor(stack.url) for _ in range(AT_A_TIME)]
    judged = ask_many(visitors, range(TURNS))
    assert len({one.trace_id for one in judged}) == TURNS
    expect_all_in_mlflow(stack, judged, timeout=120)


def test_they_all_arrive_once_when_mlflow_is_killed_in_between(
    stack_with: Callable[..., Stack], mlflow_server: MlflowServer
) -> None:
    stack = stack_with()
    visitors = [Visitor(stack.url) for _ in range(AT_A_TIME)]
    judged = ask_many(visitors, range(TURNS * 3 // 10))
    with ThreadPoolExecutor(1) as background:
        running = background.submit(ask_many, visitors, range(TURNS * 3 // 10, TURNS * 7 // 10))
        eventually(lambda: stack.model.asked(f"question {TURNS // 2}"))
        mlflow_server.kill9()
        back_at = time.monotonic() + OUTAGE_S
        judged += running.result()
    eventually(lambda: time.monotonic() >= back_at, timeout=OUTAGE_S + 1)
    mlflow_server.start()
    judged += ask_many(visitors, range(TURNS * 7 // 10, TURNS))
    assert len({one.trace_id for one in judged}) == TURNS
    expect_all_in_mlflow(stack, judged, timeout=180)

"""Instances restart one after the other while people chat: nobody notices, nothing is lost.

The short form is in every run; `SOAK=1` makes it two minutes and a hundred people.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from e2e.balancer import Balancer
from e2e.steady_reader import SteadyReader, SteadyTurn
from e2e.visitor import Visitor
from tests.cluster import Cluster
from tests.mlflow_reader import verdicts_of
from tests.scripted_model import Answer
from tests.waiting import eventually

SOAK = os.environ.get("SOAK") == "1"
PEOPLE = 100 if SOAK else 12
DURATION_S = 120.0 if SOAK else 20.0
RESTART_EVERY_S = 10.0 if SOAK else 5.0
# About four seconds: longer than a restart takes to begin, shorter than it may take to end.
TOKENS = 80
DELAY_S = 0.05


@dataclass(frozen=True)
class Judged:
    """A finished turn and the verdict that was sent for it."""

    turn: SteadyTurn
    is_correct: bool

    @property
    def trace_id(self) -> str:
        """The trace that `done` named."""
        return str(self.turn.frames[-1]["trace_id"])


def chat_until(reader: SteadyReader, person: int, cluster: Cluster, end: float) -> list[Judged]:
    """Ask and judge, one question after the other, until time is up."""
    judged: list[Judged] = []
    while time.monotonic() < end:
        number = len(judged)
        name = f"story {person}-{number}."
        told = Answer(tokens=[f"{person}-{number}-{n} " for n in range(TOKENS)], delay_s=DELAY_S)
        cluster.model.answer_when(name, told)
        turn = reader.ask(name)
        assert turn.frames[-1]["type"] == "done", turn.frames[-1]
        assert turn.text == told.text
        reader.judge(turn, number % 2 == 0)
        judged.append(Judged(turn, number % 2 == 0))
    return judged


def restart_in_turn(cluster: Cluster, end: float) -> int:
    """Restart one instance after the other at a fixed pace; returns how often."""
    restarts = 0
    due = time.monotonic() + RESTART_EVERY_S / 2
    while due < end:
        while time.monotonic() < due:
            time.sleep(0.05)
        cluster.webs[restarts % 2].restart()
        restarts += 1
        due = max(due + RESTART_EVERY_S, time.monotonic())
    return restarts


def test_rolling_restarts_under_load_lose_nothing(cluster: Cluster) -> None:
    with Balancer([web.url for web in cluster.webs]) as balancer:
        readers = [SteadyReader(Visitor(balancer.url)) for _ in range(PEOPLE)]
        end = time.monotonic() + DURATION_S
        with ThreadPoolExecutor(PEOPLE + 1) as pool:
            restarting = pool.submit(restart_in_turn, cluster, end)
            chats = [
                pool.submit(chat_until, reader, person, cluster, end)
                for person, reader in enumerate(readers)
            ]
            judged = [one for chat in chats for one in chat.result()]
            restarts = restarting.result()
    troubles = sum((reader.troubles for reader in readers), Counter())
    print(f"\n{len(judged)} turns, {restarts} restarts, on the way: {dict(troubles)}")
    assert restarts >= 2
    assert len(judged) >= PEOPLE
    assert not [one for one in judged if one.turn.is_told_by_the_record]
    asked = Counter(request.question for request in cluster.model.requests)
    assert asked == Counter(one.turn.question for one in judged), "something was asked twice"
    expect_recorded_once(cluster, judged)


def expect_recorded_once(cluster: Cluster, judged: list[Judged]) -> None:
    """Wait until MLflow has every trace with its one verdict."""
    wanted = {one.trace_id: [one.is_correct] for one in judged}
    assert len(wanted) == len(judged)

    def recorded() -> dict[str, list[object]]:
        traces = cluster.reader.traces()
        return {
            trace.info.trace_id: [verdict.value for verdict in verdicts_of(trace)]
            for trace in traces
            if trace.info.trace_id in wanted
        }

    eventually(lambda: recorded() == wanted, timeout=180, every=1.0)

"""Instances restart one after the other while people chat: nobody notices, nothing is lost.

The short form is in every run; `SOAK=1` makes it two minutes and a hundred people.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from e2e.balancer import Balancer
from e2e.steady_reader import SteadyReader, SteadyTurn
from e2e.visitor import Visitor
from tests.cluster import Cluster
from tests.mlflow_reader import verdicts_of
from tests.scripted_model import Answer
from tests.waiting import eventually

log = logging.getLogger(__name__)

SOAK = os.environ.get("SOAK") == "1"
PEOPLE = 100 if SOAK else 12
RESTARTS = 12 if SOAK else 3
RESTART_EVERY_S = 10.0 if SOAK else 0.0
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


def chat(reader: SteadyReader, person: int, cluster: Cluster, enough: Event) -> list[Judged]:
    """Ask and judge, one question after the other, until it is enough."""
    judged: list[Judged] = []
    while not enough.is_set():
        number = len(judged)
        name = f"story {person}-{number}."
        told = Answer(tokens=[f"{person}-{number}-{n} " for n in range(TOKENS)], delay_s=DELAY_S)
        cluster.model.answer_when(name, told)
        turn = reader.ask(name)
        assert turn.frames[-1]["type"] == "done", turn.frames[-1]
        assert turn.text == told.text
        reader.judge(turn, number % 2 == 0)
        judged.append(Judged(turn, number % 2 == 0))
    reader.close()
    return judged


def restart_in_turn(cluster: Cluster) -> None:
    """Restart one instance after the other, at a fixed pace where the machine can keep it."""
    for number in range(RESTARTS):
        due = time.monotonic() + RESTART_EVERY_S
        eventually(lambda: cluster.model.requests)
        cluster.webs[number % 2].restart()
        eventually(lambda due=due: time.monotonic() >= due, RESTART_EVERY_S)  # type: ignore[misc]


def test_rolling_restarts_under_load_lose_nothing(cluster: Cluster) -> None:
    with Balancer([web.url for web in cluster.webs]) as balancer:
        readers = [SteadyReader(Visitor(balancer.url)) for _ in range(PEOPLE)]
        enough = Event()
        with ThreadPoolExecutor(PEOPLE) as pool:
            chats = [
                pool.submit(chat, reader, person, cluster, enough)
                for person, reader in enumerate(readers)
            ]
            try:
                restart_in_turn(cluster)
            finally:
                enough.set()
            judged = [one for each in chats for one in each.result()]
    troubles = sum((reader.troubles for reader in readers), Counter[str]())
    log.info("%d turns, on the way: %s", len(judged), dict(troubles))
    assert troubles["closed 1012"], "nobody was sent to the other instance"
    assert len(judged) >= PEOPLE
    assert not [one for one in judged if one.turn.is_told_by_the_record]
    asked = Counter(request.question for request in cluster.model.requests)
    assert asked == Counter(one.turn.question for one in judged), "something was asked twice"
    expect_recorded_once(cluster, judged)


def expect_recorded_once(cluster: Cluster, judged: list[Judged]) -> None:
    """Wait until MLflow has every trace with its one verdict, for as long as more arrive."""
    wanted = {one.trace_id: [one.is_correct] for one in judged}
    assert len(wanted) == len(judged)

    def recorded() -> dict[str, list[object]]:
        found = {
            trace.info.trace_id: [verdict.value for verdict in verdicts_of(trace)]
            for trace in cluster.reader.traces()
        }
        return {id_: values for id_, values in found.items() if values and id_ in wanted}

    arrived: dict[str, list[object]] = {}
    while arrived != wanted:
        known = len(arrived)
        arrived = eventually(
            lambda known=known: len(found := recorded()) > known and found,  # type: ignore[misc]
            timeout=60,
            every=2.0,
        )
        assert arrived.items() <= wanted.items()

"""People change their minds while every process is killed: MLflow ends up with their last words.

The short form takes half a minute. With SOAK=1: 2,000 changes by 50 people in five minutes.
"""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
from mlflow.entities import Trace

from e2e.visitor import Visitor
from tests.servers import Stack
from tests.waiting import eventually

SOAK = os.environ.get("SOAK") == "1"
PEOPLE, CHANGES_EACH, LASTS_S, KILL_EVERY_S = (50, 40, 300.0, 12.0) if SOAK else (8, 15, 12.0, 3.0)
TURNS_EACH = 2
SEED = 20261124
REASONS = ["Incorrect", "Hard to understand", "Incomplete", "Harmful"]

# What stands under a name: its value and its rationale.
Said = dict[str, tuple[object, str | None]]


@dataclass(frozen=True)
class Change:
    """One request that changes what a person says, and what then stands under its name."""

    name: str
    method: str
    path: str
    stands: tuple[object, str | None] | None
    query: dict[str, str]
    body: dict[str, Any] | None = None


def choose(lots: random.Random) -> Change:
    """Any change a person may make: a thumb, reasons, stars, a correction, or one taken back."""
    comment = lots.choice([None, f"because {lots.randrange(10**6)}"])
    match lots.randrange(6):
        case 0 | 1:
            thumb = lots.random() < 0.5
            body = {"is_correct": thumb, **({"comment": comment} if comment else {})}
            return Change("user_feedback", "POST", "/feedback", (thumb, comment), {}, body)
        case 2:
            reasons = sorted(lots.sample(REASONS, lots.randint(1, 3)))
            body = {"name": "user_reasons", "value": reasons}
            return Change("user_reasons", "POST", "/feedback", (reasons, None), {}, body)
        case 3:
            stars = lots.randint(1, 5)
            query = {"accuracy": str(stars)}
            stands = (stars / 5, None)
            return Change("user_accuracy", "POST", "/detailed-feedback", stands, query)
        case 4:
            text = f"It should say {lots.randrange(10**6)}."
            body = {"expected_response": text}
            return Change("expected_response", "POST", "/correction", (text, None), {}, body)
        case _:
            names = ["user_feedback", "user_reasons", "user_accuracy", "expected_response"]
            name = lots.choice(names)
            return Change(name, "DELETE", "/feedback", None, {"name": name})


class Person:
    """Somebody whose last words are known, because each was repeated until it was answered."""

    def __init__(self, url: str, number: int) -> None:
        self.visitor = Visitor(url)
        self.lots = random.Random(SEED + number)
        self.said: dict[str, Said] = {}
        self.request_ids: list[str] = []
        self.repeats = 0
        for turn in range(TURNS_EACH):
            message = {"message": f"question {number} {turn}"}
            answer = self.visitor.send("POST", "/chat", json=message)
            answer.raise_for_status()
            self.said[answer.json()["trace_id"]] = {}
            self.request_ids.append(answer.json()["client_request_id"])

    def change_mind(self, over: threading.Event) -> Counter[str]:
        """Make every change of this person's, spread over the time there is."""
        made: Counter[str] = Counter()
        for _ in range(CHANGES_EACH):
            over.wait(self.lots.uniform(0, 2 * LASTS_S / CHANGES_EACH))
            trace_id = self.lots.choice(list(self.said))
            change = choose(self.lots)
            self._send_until_answered(trace_id, change)
            said = self.said[trace_id]
            if change.stands is None:
                made["withdrawals"] += 1
                said.pop(change.name, None)
            else:
                made["changes" if change.name in said else "first verdicts"] += 1
                said[change.name] = change.stands
        return made

    def _send_until_answered(self, trace_id: str, change: Change) -> None:
        key = uuid.UUID(int=self.lots.getrandbits(128)).hex

        answers: list[requests.Response] = []

        def answered() -> bool:
            try:
                answer = self.visitor.send(
                    change.method,
                    change.path,
                    params={"trace_id": trace_id, **change.query},
                    json=change.body,
                    headers={"Idempotency-Key": key},
                )
            except requests.RequestException:
                answer = None
            if answer is None or answer.status_code >= 500:
                self.repeats += 1
                return False
            answers.append(answer)
            return True

        eventually(answered, timeout=120, every=0.2)
        # Here, not in the condition: a refusal is not to be tried again.
        assert answers[-1].status_code == 200, answers[-1].text


def kill_one_after_the_other(stack: Stack, over: threading.Event) -> Counter[str]:
    """Kill a process every now and then and start it again, until it is over."""
    lots = random.Random(SEED)
    killed: Counter[str] = Counter()
    servers = [stack.web, stack.relay, stack.mlflow]
    while not over.wait(KILL_EVERY_S):
        # Each once first, then at random.
        server = servers[killed.total()] if killed.total() < 3 else lots.choice(servers)
        server.kill9()
        server.start()
        killed[server.name] += 1
    return killed


def opinions_of(trace: Trace) -> list[tuple[str, tuple[object, str | None], str | None]]:
    """What people said of a trace according to MLflow: name, value with rationale, and source."""
    return [
        (one.name, (held.value, one.rationale or None), one.source.source_id)
        for one in trace.info.assessments
        if one.source.source_type == "HUMAN" and (held := one.feedback or one.expectation)
    ]


def test_mlflow_ends_up_with_everybodys_last_words(stack_with: Callable[..., Stack]) -> None:
    stack = stack_with()
    people = [Person(stack.url, number) for number in range(PEOPLE)]
    over = threading.Event()
    with ThreadPoolExecutor(PEOPLE + 1) as pool:
        killing = pool.submit(kill_one_after_the_other, stack, over)
        changing = [pool.submit(person.change_mind, threading.Event()) for person in people]
        try:
            made = sum((one.result() for one in changing), Counter[str]())
        finally:
            over.set()
        killed = killing.result()

    for person in people:
        for request_id in person.request_ids:
            eventually(
                lambda asked=person, id_=request_id: (  # type: ignore[misc]
                    set(asked.visitor.feedback_state(id_).values()) <= {"recorded"}
                ),
                timeout=120,
            )
    wanted = {trace_id: said for person in people for trace_id, said in person.said.items()}

    def differences() -> list[str]:
        found = {trace.info.trace_id: opinions_of(trace) for trace in stack.reader.traces()}
        return [
            f"{trace_id}: wanted {said}, found {found.get(trace_id)}"
            for trace_id, said in wanted.items()
            if sorted((name, stands) for name, stands, _ in found.get(trace_id, []))
            != sorted(said.items())
        ]

    # What was taken back has no state that could be waited for.
    eventually(lambda: not differences(), timeout=60, every=1.0)
    found = {trace.info.trace_id: opinions_of(trace) for trace in stack.reader.traces()}
    sources = [
        {source for trace_id in person.said for _, _, source in found[trace_id]}
        for person in people
    ]
    # Each speaks under one name, and nobody under another's.
    assert all(len(names) <= 1 for names in sources)
    assert len(set().union(*sources)) == sum(map(len, sources))
    assert set(killed) == {"web", "relay", "mlflow"}
    repeats = sum(person.repeats for person in people)
    figures = f"{made.total()} by {PEOPLE} people: {dict(made)}; killed {dict(killed)}"
    print(f"{figures}; {repeats} repeats; {len(differences())} differences")  # noqa: T201

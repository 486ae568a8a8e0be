"""The people of the mixed soak: polite, slow, rude and malicious ones.

Each knows what the server has acknowledged to it, which must be true in the end, and fails at once
when the server says something that it must not say, whatever is being killed meanwhile.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from e2e.steady_reader import RESTARTING, SteadyReader, SteadyTurn
from e2e.visitor import ChatSocket, Visitor
from tests.scripted_model import Answer, ScriptedModel

PATIENCE_S = 300.0
TOKENS, DELAY_S = 12, 0.1
# Of people, how many are which.
MIX = {"Polite": 5, "Slow": 2, "Rude": 2, "Malicious": 1}


class Person(ABC):
    """Somebody who does something every now and then until it is over."""

    def __init__(self, url: str, number: int, model: ScriptedModel, seed: int) -> None:
        self.number = number
        self.visitor = Visitor(url)
        self.lots = random.Random(f"{seed} {number}")
        self.acknowledged: dict[str, str] = {}
        """What was asked in turns that began, by client request ID."""
        self.turns: list[SteadyTurn] = []
        """Turns that were read to their end."""
        self.verdicts: dict[str, bool] = {}
        """What was said of a turn and taken, by client request ID."""
        self.troubles: Counter[str] = Counter()
        self._model = model
        self._asked = 0

    def live(self, pace_s: float, over: threading.Event) -> None:
        """Act, at `pace_s` seconds on average, until it is over."""
        while not over.wait(self.lots.uniform(0, 2 * pace_s)):
            self.act()
        self.leave()

    @abstractmethod
    def act(self) -> None:
        """Do one thing."""

    def leave(self) -> None:
        """Close what is open."""
        self.visitor.http.close()

    def think_of_a_question(self) -> str:
        """A question nobody else asks, and whose answer is nobody else's."""
        name = f"[soak {self.number}-{self._asked}]"
        self._asked += 1
        tokens = [f"{name}:{word} " for word in range(TOKENS)]
        self._model.answer_when(name, Answer(tokens=tokens, delay_s=DELAY_S))
        return f"What is {name}?"

    @contextmanager
    def through_trouble(self) -> Iterator[None]:
        """Give up what was begun when the server is away; that is noted and no failure."""
        try:
            yield
        except (OSError, WebSocketException, requests.RequestException) as trouble:
            self.troubles[type(trouble).__name__] += 1


class Polite(Person):
    """Reads every answer to its end, judges it, and sometimes changes its mind."""

    pause_before_frame_s = 0.0

    def __init__(self, url: str, number: int, model: ScriptedModel, seed: int) -> None:
        super().__init__(url, number, model, seed)
        self._reader = SteadyReader(self.visitor, PATIENCE_S, self.pause_before_frame_s)
        self.troubles = self._reader.troubles

    def act(self) -> None:
        turn = self._reader.ask(self.think_of_a_question())
        self.acknowledged[turn.client_request_id] = turn.question
        self.turns.append(turn)
        if turn.frames[-1].get("code") == "not_saved":
            return  # It is about to end as interrupted, and cannot be judged before.
        for _ in range(self.lots.randint(0, 2)):
            verdict = self.lots.random() < 0.5
            self._reader.judge(turn, verdict)
            self.verdicts[turn.client_request_id] = verdict

    def leave(self) -> None:
        self._reader.close()
        super().leave()


class Slow(Polite):
    """The same over a line that is hardly one."""

    pause_before_frame_s = 0.3


class Rude(Person):
    """Asks and cuts the line, stops, asks twice at once, and keeps sockets for nothing."""

    def act(self) -> None:
        with (
            self.through_trouble(),
            self.visitor.open_socket() as idle,
            self.visitor.open_socket() as socket,
        ):
            self._ask(socket, idle)
            # No goodbye: what a phone does in a tunnel.
            socket.connection.socket.shutdown(SHUT_RDWR)

    def _ask(self, socket: ChatSocket, other: ChatSocket) -> None:
        question, request_id = self.think_of_a_question(), uuid.uuid4().hex
        message = {"type": "message", "content": question, "client_request_id": request_id}
        socket.send(message)
        if self.lots.random() < 0.3:
            other.send(message)
        frame = json.loads(socket.connection.recv(timeout=30))
        if frame["type"] == "error":
            assert frame["retryable"], frame
            self.troubles[frame["code"]] += 1
            return
        assert frame["type"] == "start", frame
        self.acknowledged[request_id] = question
        if self.lots.random() < 0.5:
            socket.send({"type": "stop", "client_request_id": request_id})


class Malicious(Person):
    """Tries what is not allowed: other people's things, forged names, garbage, far too much."""

    victims: tuple[Person, ...] = ()

    def __init__(self, url: str, number: int, model: ScriptedModel, seed: int) -> None:
        super().__init__(url, number, model, seed)
        self.refused: Counter[str] = Counter()

    def act(self) -> None:
        attempts = (self._reach_for_a_turn, self._send_garbage, self._come_uninvited)
        with self.through_trouble():
            self.lots.choice(attempts)()

    def _reach_for_a_turn(self) -> None:
        turns = [turn for victim in self.victims for turn in victim.turns]
        if not turns:
            return
        turn = self.lots.choice(turns)
        conversation = f"/conversations/{turn.frames[0].get('conversation_id', 'lost')}"
        for method, path in (("GET", conversation), ("DELETE", conversation)):
            self._expect(self.visitor.send(method, path), 404)
        if trace_id := turn.frames[-1].get("trace_id"):
            self._expect(self.visitor.judge(False, trace_id=str(trace_id)), 403)
        with self.visitor.open_socket() as socket:
            theirs = {"client_request_id": turn.client_request_id}
            for attempt in ({"type": "resume", "after_seq": -1}, {"type": "stop"}):
                socket.send({**attempt, **theirs})
                frame = socket.receive()
                assert frame["code"] in {"unknown_turn", "unavailable"}, frame
                self.refused[frame["code"]] += 1

    def _send_garbage(self) -> None:
        with self.visitor.open_socket() as socket:
            garbage: list[str | bytes] = [b"\x00\xff", "{", "[]", '{"type": 7}', "\U0010ffff"]
            for one in garbage * 10:
                socket.send(one)
                frame = socket.receive()
                assert (frame["type"], frame["retryable"]) == ("error", False), frame
                self.refused[frame["code"]] += 1
            with suppress(ConnectionClosed):
                socket.send("x" * 300_000)
            with pytest.raises(ConnectionClosed) as closed:
                socket.receive()
            code = closed.value.rcvd.code if closed.value.rcvd else "lost"
            assert code in {1009, *RESTARTING, "lost"}, closed
            self.refused[f"closed {code}"] += 1

    def _come_uninvited(self) -> None:
        uninvited: tuple[Any, ...] = ({"cookie": False}, {"origin": "https://elsewhere.example"})
        for how in uninvited:
            with pytest.raises(InvalidStatus) as refusal, self.visitor.open_socket(**how):
                pass
            status = refusal.value.response.status_code
            assert status in {401, 403, 503}, refusal
            self.refused[f"HTTP {status}"] += 1
        # Closed by the server: ours stays open for as long as the answer is referred to, and the
        # refusals above refer to this frame, so until Python looks for such circles.
        forged = requests.get(
            self.visitor.url + "/conversations",
            headers={"Cookie": self.visitor.cookie[:-3] + "AAA", "Connection": "close"},
            timeout=30,
        )
        assert forged.status_code == 503 or forged.json() == {"conversations": []}, forged.text

    def _expect(self, response: requests.Response, status: int) -> None:
        if response.status_code != status:
            assert response.status_code == 503, response.text
            assert response.json()["error"]["retryable"]
        self.refused[f"HTTP {response.status_code}"] += 1


def invite(url: str, count: int, model: ScriptedModel, seed: int) -> list[Person]:
    """People of every kind, in the proportions of `MIX`."""
    kinds: dict[str, type[Person]] = {
        "Polite": Polite,
        "Slow": Slow,
        "Rude": Rude,
        "Malicious": Malicious,
    }
    pattern = [kinds[name] for name, share in MIX.items() for _ in range(share)]
    people = [pattern[n % len(pattern)](url, n, model, seed) for n in range(count)]
    for person in people:
        if isinstance(person, Malicious):
            person.victims = tuple(one for one in people if one is not person)
    return people

"""The socket under load and under orders: several turns, slow readers, rate limits, shutdown."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException

from e2e.chat_page import ChatPage
from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually


def test_two_turns_over_one_socket_are_told_apart(stack: Stack, visitor: Visitor) -> None:
    gates = {name: stack.model.gate() for name in ("left", "right")}
    for name, gate in gates.items():
        stack.model.answer_when(name, Answer(tokens=[f"{name} 1", gate, f" {name} 2"]))
    with visitor.open_socket() as socket:
        turns = {name: socket.send_message(f"go {name}") for name in gates}
        by_request = {turn.client_request_id: turn for turn in turns.values()}
        for gate in gates.values():
            gate.wait_reached()
            gate.release()
        ended = 0
        while ended < 2:
            frame = socket.receive()
            by_request[frame["client_request_id"]].frames.append(frame)
            ended += frame["type"] == "done"
    for name, turn in turns.items():
        assert turn.text == f"{name} 1 {name} 2"
        assert [frame["seq"] for frame in turn.frames] == list(range(len(turn.frames)))


def test_a_reader_who_pauses_gets_every_byte_and_delays_nobody(
    stack_with: Callable[..., Stack],
) -> None:
    # Six million characters: more than the kernel keeps for a socket.
    stack = stack_with(CHAT_MAX_ANSWER_CHARS="10000000")
    visitor = Visitor(stack.url)
    gate = stack.model.gate()
    pieces = [f"{number:05d}" * 400 + " " for number in range(3000)]
    stack.model.answer_when("flood", Answer(tokens=[*pieces, gate], delay_s=0.0005))
    with visitor.open_socket() as socket:
        turn = socket.send_message("flood me")
        gate.wait_reached(timeout=60)
        with Visitor(stack.url).open_socket() as other:
            assert other.ask("and me?").text == "You said: and me?"
        gate.release()
        socket.read_until(turn)
    assert turn.last["type"] == "done"
    assert turn.text == "".join(pieces)


def test_a_token_reaches_the_reader_while_the_model_is_still_writing(
    stack: Stack, visitor: Visitor
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("first", Answer(tokens=["one", gate, "two"]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("first"), "token")
        assert turn.text == "one"
        gate.release()
        assert socket.read_until(turn).text == "onetwo"


def test_the_socket_is_not_compressed(visitor: Visitor) -> None:
    with visitor.open_socket() as socket:
        assert socket.connection.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.connection.response.headers


def test_too_many_messages_and_verdicts_are_told_to_wait(stack_with: Callable[..., Stack]) -> None:
    stack = stack_with(RATE_LIMIT_MESSAGES="3/hour", RATE_LIMIT_FEEDBACK="2/hour")
    visitor = Visitor(stack.url)
    with visitor.open_socket() as socket:
        turns = [socket.ask(f"question {number}") for number in range(3)]
        socket.send_message("one too many")
        refused = socket.receive()
    assert refused["code"] == "rate_limited"
    assert refused["retryable"] is True
    answers = [visitor.judge(True, trace_id=turn.trace_id) for turn in turns]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    with Visitor(stack.url).open_socket() as socket:
        assert socket.ask("somebody else").last["type"] == "done"


def test_a_shutdown_lets_running_turns_finish_and_closes_idle_sockets(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with()
    gate = stack.model.gate()
    stack.model.answer_when("finish", Answer(tokens=["almost", gate, " done"]))
    visitor = Visitor(stack.url)
    with visitor.open_socket() as busy, visitor.open_socket() as idle:
        turn = busy.read_until(busy.send_message("finish"), "token")
        stack.web.ask_to_end()
        with pytest.raises(ConnectionClosed) as closed:
            idle.receive(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        gate.release()
        assert busy.read_until(turn).last["type"] == "done"
        assert turn.text == "almost done"
    eventually(lambda: not stack.web.is_running, timeout=15)


def test_who_reconnects_during_a_shutdown_does_not_hold_it_up(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with()
    visitor = Visitor(stack.url)
    with visitor.open_socket() as socket:
        stack.web.ask_to_end()
        with pytest.raises(ConnectionClosed):
            socket.receive(timeout=10)
    # A browser backs off before it reconnects; the worker still accepts for up to a second.
    back_at = time.monotonic() + 0.15
    eventually(lambda: time.monotonic() > back_at)
    with ExitStack() as held:
        # Refused or sent away again: both are fine, as long as the server does end.
        with suppress(OSError, WebSocketException):
            held.enter_context(visitor.open_socket())
        eventually(lambda: not stack.web.is_running, timeout=15)


def test_a_page_finds_its_way_back_after_a_restart(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with()
    chat = open_page(stack.url)
    chat.ask_and_wait("still here?")
    stack.web.restart()
    chat.ask_and_wait("and again?")

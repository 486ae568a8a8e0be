"""What a machine does to an app: no room, a lock, no descriptors, a kill; and how it recovers.

Damaged and read-only databases are in tests/test_database_faults.py, models that misbehave and
names that cannot be resolved in tests/test_model_faults.py, clocks in tests/test_outbox.py,
test_watch.py, test_web.py and test_tracing.py; a worker killed for its memory in test_instances.py.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests
from playwright.sync_api import expect

from app.store import faults
from e2e.chat_page import ChatPage, expect_recorded, feedback_state, thumb, trace_id
from e2e.visitor import Visitor
from tests.process_figures import resident_mb
from tests.process_limits import no_new_descriptors, no_room_to_write
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

# The long form holds the lock as long as the issue says; both are longer than writers wait.
LOCKED_S = 10.0 if os.environ.get("SOAK") == "1" else 5.5


def test_on_a_full_disk_nothing_is_lost_and_with_room_again_all_goes_on_by_itself(
    chat: ChatPage, stack: Stack, visitor: Visitor
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("fill up", Answer(tokens=["one ", gate, "two"]))
    message = chat.ask_and_wait("Before the disk is full")
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("fill up"), "token")
        with no_room_to_write(stack.web.pid), no_room_to_write(stack.relay.pid):
            thumb(message, "up").click()
            expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
            refused = visitor.judge(True, client_request_id=turn.client_request_id)
            assert refused.status_code in {409, 503}
            with visitor.open_socket() as second:
                last = second.ask("is there room?").last
            assert (last["code"], last["error"]) == ("unavailable", faults.NO_ROOM)
            assert last["retryable"] is True
            history = visitor.send("GET", f"/conversations/{turn.conversation_id}")
            assert history.status_code == 200
            gate.release()
            eventually(lambda: stack.model.asked("fill up")[0].ended_at)
            assert visitor.send("GET", "/healthz").status_code == 200
        socket.read_until(turn)
    assert (turn.last["type"], turn.text) == ("done", "one two")
    eventually(lambda: stack.reader.is_stored(turn.trace_id), timeout=30)
    expect_recorded(message)
    assert stack.reader.verdict(trace_id(message)) is True


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the write lock as another program would."""
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


def test_while_the_database_is_locked_streams_go_on_and_writers_are_told(
    stack: Stack, visitor: Visitor
) -> None:
    words = [f"word{number} " for number in range(40)]
    stack.model.answer_when("stream on", Answer(tokens=words, delay_s=0.1))
    ended = stack.model.gate()
    stack.model.answer_when("end now", Answer(tokens=["bye", ended]))
    other = Visitor(stack.url)
    with (
        visitor.open_socket() as socket,
        other.open_socket() as ending,
        ThreadPoolExecutor(1) as pool,
    ):
        judged = socket.ask("Judge this")
        streaming = socket.read_until(socket.send_message("stream on"), "token")
        waiting = ending.read_until(ending.send_message("end now"), "token")
        began = time.monotonic()
        with locked(stack.web.folder / "thumbprint.db"):
            verdict = pool.submit(visitor.judge, True, trace_id=judged.trace_id)
            before = len(streaming.frames)
            while len(streaming.text.split()) < 30:
                socket.read_until(streaming, "token", timeout=5)
            assert time.monotonic() - began < LOCKED_S, "the stream stood still"
            assert len(streaming.frames) - before > 15
            assert verdict.result().status_code == 503
            assert verdict.result().json()["error"]["message"] == faults.BUSY
            ended.release()
            eventually(lambda: time.monotonic() - began > LOCKED_S, timeout=LOCKED_S)
        for reading, turn in ((socket, streaming), (ending, waiting)):
            reading.read_until(turn)
            assert turn.last["type"] == "done"
        assert streaming.text == "".join(words)
        assert visitor.judge(True, trace_id=judged.trace_id).status_code == 200
    eventually(lambda: stack.reader.verdict(judged.trace_id) is True, timeout=30)


def test_without_descriptors_open_sockets_stream_on_and_new_ones_wait_for_their_turn(
    stack: Stack, visitor: Visitor
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("keep going", Answer(tokens=["one ", gate, "two"]))
    with visitor.open_socket() as socket, ThreadPoolExecutor(1) as pool:
        turn = socket.read_until(socket.send_message("keep going"), "token")
        with no_new_descriptors(stack.web.pid):
            newcomer = pool.submit(requests.get, stack.url + "/healthz", timeout=30)
            gate.release()
            socket.read_until(turn)
            assert (turn.last["type"], turn.text) == ("done", "one two")
            again = socket.ask("no descriptor for the model's connection")
            assert again.last["type"] == "done" or again.last["code"] == "model_unreachable"
            assert not newcomer.done()
        assert newcomer.result().status_code == 200
        assert socket.ask("all well again").text == "You said: all well again"
    eventually(lambda: stack.reader.is_stored(turn.trace_id), timeout=30)


def test_a_model_that_never_ends_costs_no_memory_to_speak_of(
    stack: Stack, visitor: Visitor
) -> None:
    piece = "word " * 2000
    stack.model.answer_when("never end", Answer(tokens=[piece] * 5000))  # 50 MB
    with visitor.open_socket() as socket:
        socket.ask("warm up")
        before = resident_mb(stack.web.pid)
        turn = socket.ask("never end")
        assert (turn.last["type"], turn.last["finish_reason"]) == ("done", "length")
        assert len(turn.text) == 400_000
        eventually(lambda: stack.model.asked("never end")[0].disconnected_at)
    assert resident_mb(stack.web.pid) - before < 60

"""What the server does for one turn never makes the streams of the others stand still."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from contextlib import closing

from app.rendering import render
from e2e.visitor import ChatSocket, Turn, Visitor
from tests.scripted_model import Answer
from tests.servers import Stack

STEADY = ["tick "] * 150


def longest_gap(socket: ChatSocket, turn: Turn) -> float:
    """Read the rest of a steady turn's tokens; the longest wait between two, in seconds."""
    seen = [time.monotonic()]
    while turn.text != "".join(STEADY):
        socket.read_until(turn, "token")
        seen.append(time.monotonic())
    return max(later - earlier for earlier, later in itertools.pairwise(seen))


def test_the_end_of_a_very_long_answer_holds_nobody_up(stack: Stack, visitor: Visitor) -> None:
    text = "*a **b _c `d [e " * 15_000
    started = time.monotonic()
    render(text)
    cost = time.monotonic() - started
    stack.model.answer_when("steady", Answer(tokens=STEADY, delay_s=0.02))
    stack.model.answer_when("at length", Answer(tokens=[text]))
    with visitor.open_socket() as socket, Visitor(stack.url).open_socket() as other:
        turn = socket.read_until(socket.send_message("steady"), "token")
        long = threading.Thread(target=other.ask, args=("at length",), daemon=True)
        long.start()
        gap = longest_gap(socket, turn)
        long.join()
    assert gap < cost / 2, f"a gap of {gap:.2f} s beside rendering that takes {cost:.2f} s"


def test_a_locked_database_freezes_no_stream(stack: Stack, visitor: Visitor) -> None:
    stack.model.answer_when("steady", Answer(tokens=STEADY, delay_s=0.02))
    database = stack.web.folder / "thumbprint.db"
    with visitor.open_socket() as socket, closing(sqlite3.connect(database)) as intruder:
        turn = socket.read_until(socket.send_message("steady"), "token")
        # The watch wants to note the turn's progress every second, and now has to wait for it.
        intruder.execute("BEGIN IMMEDIATE")
        gap = longest_gap(socket, turn)
        intruder.rollback()
        assert socket.read_until(turn).last["type"] == "done"
    assert gap < 0.5

"""How a process leaves: what is being asked is answered, and nothing is torn out of its work."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

PEOPLE = 24


def test_who_is_asking_when_the_process_leaves_gets_a_true_answer_or_none(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with()
    visitors = [Visitor(stack.url) for _ in range(PEOPLE)]
    answered: Counter[int] = Counter()
    enough = Event()

    def keep_asking(visitor: Visitor) -> None:
        # One request after the other over a connection that is kept.
        while not enough.is_set():
            try:
                answered[visitor.send("GET", "/conversations").status_code] += 1
            except requests.RequestException:
                return  # The connection was closed between two requests.

    with ThreadPoolExecutor(PEOPLE) as pool:
        asking = [pool.submit(keep_asking, visitor) for visitor in visitors]
        try:
            eventually(lambda: answered[200] > PEOPLE * 3)
            stack.web.ask_to_end()
            eventually(lambda: not stack.web.is_running, timeout=15)
        finally:
            enough.set()
        for one in asking:
            one.result()
    assert set(answered) == {200}
    assert "level=ERROR" not in stack.web.log()


def test_who_still_waits_when_the_time_is_up_is_told_that_the_process_goes_away(
    stack_with: Callable[..., Stack],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        # It takes connections and never answers, so that turns take a second and a half to end.
        tracking = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        stack = stack_with(MLFLOW_TRACKING_URI=tracking, GUNICORN_CMD_ARGS="--graceful-timeout 2")
        gate = stack.model.gate()
        stack.model.answer_when("endless", Answer(tokens=["once ", gate]))
        with Visitor(stack.url).open_socket() as chat:
            turn = chat.read_until(chat.send_message("endless"), "token")
            stack.web.ask_to_end()
            with pytest.raises(ConnectionClosed) as closed:
                chat.read_until(turn)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        eventually(lambda: not stack.web.is_running, timeout=15)

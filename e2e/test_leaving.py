"""A process whose time is up says so to whoever still waits."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed

from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually


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

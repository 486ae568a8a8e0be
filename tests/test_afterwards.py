"""A socket outlives the request that became one, and keeps nothing of it."""

from __future__ import annotations

import threading
from contextvars import copy_context
from pathlib import Path

from flask import request

from app.web.afterwards import do_afterwards, expect_more
from e2e.visitor import Visitor
from tests.served_app import served
from tests.waiting import eventually
from tests.web_client import app_with, close, parts_of


def test_what_comes_after_a_request_waits_for_whoever_expects_it() -> None:
    done: list[str] = []

    def handle() -> None:
        afterwards = expect_more()
        do_afterwards(lambda: done.append("later"))
        assert done == []
        afterwards.pop()()
        assert afterwards == []

    copy_context().run(handle)
    assert done == ["later"]


def test_where_nobody_expects_more_it_is_done_at_once() -> None:
    done: list[str] = []
    copy_context().run(do_afterwards, lambda: done.append("now"))
    assert done == ["now"]


def test_an_open_socket_has_no_request_any_more_but_keeps_its_seat(tmp_path: Path) -> None:
    app = app_with(tmp_path)
    over = threading.Event()

    @app.teardown_request
    def note(_error: BaseException | None) -> None:
        if request.path == "/ws/chat":
            over.set()

    with served(app) as url, Visitor(url).open_socket() as socket:
        assert over.wait(10)
        assert len(parts_of(app).seats) == 1
        assert socket.ask("still there?").last["type"] == "done"
    eventually(lambda: not len(parts_of(app).seats))
    close(app)

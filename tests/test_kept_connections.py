"""Connections that wait for a request are closed; those that have one are left to it."""

from __future__ import annotations

import gevent
from gevent.event import Event

from app.web.kept_connections import KeptConnections

PATIENCE_S = 60.0


class Connection:
    """A connection whose requests come and are answered when the test says so."""

    def __init__(self, connections: KeptConnections) -> None:
        self._connections = connections
        self.request, self.answer = Event(), Event()
        self.told: list[str] = []
        self.handler = gevent.spawn(self._handle)

    def _handle(self) -> None:
        with self._connections.opened():
            while True:
                try:
                    with self._connections.waiting(PATIENCE_S):
                        self.request.wait()
                except StopIteration:
                    self.told.append("closed")
                    return
                self.request.clear()
                self.answer.wait()
                self.answer.clear()
                self.told.append("answered")


def served_once(connections: KeptConnections) -> Connection:
    """A connection that has had a request and waits for the next."""
    connection = Connection(connections)
    connection.request.set()
    connection.answer.set()
    gevent.sleep(0.01)
    assert connection.told == ["answered"]
    return connection


def test_a_connection_between_two_requests_is_closed_at_once() -> None:
    connections = KeptConnections()
    connection = served_once(connections)
    connections.close(grace_s=PATIENCE_S)
    connection.handler.join(timeout=5)
    assert connection.told == ["answered", "closed"]


def test_a_request_that_arrives_in_the_same_moment_is_answered() -> None:
    connections = KeptConnections()
    connection = served_once(connections)
    # The handler is about to be woken, and still looks as if it waited.
    connection.request.set()
    connections.close(grace_s=PATIENCE_S)
    gevent.sleep(0.01)
    connection.answer.set()
    gevent.sleep(0.01)
    assert connection.told == ["answered", "answered"]
    connection.handler.kill()


def test_who_has_just_connected_may_still_ask() -> None:
    connections = KeptConnections()
    asking, silent = Connection(connections), Connection(connections)
    gevent.sleep(0.01)
    connections.close(grace_s=0.05)
    asking.request.set()
    silent.handler.join(timeout=5)
    assert silent.told == ["closed"]
    asking.answer.set()
    gevent.sleep(0.01)
    assert asking.told == ["answered"]
    asking.handler.kill()

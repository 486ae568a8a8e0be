"""What the worker does to each connection before it is served."""

from __future__ import annotations

import socket

from app.web.worker import DEAD_PEER_MS, give_up_when_dead


def test_a_peer_that_takes_nothing_is_given_up_by_the_kernel() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        give_up_when_dead(client)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == DEAD_PEER_MS


def test_a_connection_within_this_machine_is_left_as_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        give_up_when_dead(ours)

"""A TCP load balancer: each connection goes to the next server that takes it, none is sticky."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from e2e.tunnel import tunnel


class Balancer:
    """Forwards bytes to one of `urls`; a context manager that listens on `balancer.url`."""

    def __init__(self, urls: Sequence[str]) -> None:
        targets = [urlsplit(url) for url in urls]
        self._targets = [(target.hostname or "127.0.0.1", target.port or 80) for target in targets]
        numbers = count()
        self._order: Callable[[], int] = lambda: next(numbers)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Unlike close(), this wakes the thread that is blocked in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def url(self) -> str:
        """The address of all servers together."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def prefer(self, url: str) -> None:
        """From now on try this server first."""
        index = next(i for i, (_, port) in enumerate(self._targets) if port == urlsplit(url).port)
        self._order = lambda: index

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        first = self._order()
        for offset in range(len(self._targets)):
            target = self._targets[(first + offset) % len(self._targets)]
            with suppress(OSError):
                server = socket.create_connection(target, timeout=10)
                server.settimeout(None)
                tunnel(client, server)
                return
        client.close()

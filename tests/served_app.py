"""An app on a real port in this process, for sockets to tests' own doubles.

Werkzeug's server gives each connection a thread; gunicorn has tests of its own in `e2e/`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from app.web.afterwards import expect_more


class Handler(WSGIRequestHandler):
    """Hangs up after a socket."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve the app; yields its address."""

    def as_gunicorn(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["gunicorn.socket"] = environ.pop("werkzeug.socket")
        afterwards = expect_more()
        try:
            return app(environ, start_response)
        except StopIteration:  # how gunicorn is told that nothing more is to be said
            while afterwards:
                afterwards.pop()()
            raise ConnectionAbortedError from None

    server = ThreadedWSGIServer("127.0.0.1", 0, as_gunicorn, Handler)
    # A handler of a socket that nobody closed must not hold the test up.
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

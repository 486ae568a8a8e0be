"""An HTTP server in MLflow's place that answers writes as a test says, for what MLflow never does.

It has one experiment under every name, and the version that MLflow's client asks for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXPERIMENT = {"experiment_id": "1", "name": "any", "lifecycle_stage": "active"}


class ScriptedTrackingServer(ThreadingHTTPServer):
    """Set `status` and `body`: whatever is asked of traces is answered with them."""

    daemon_threads = True
    status = 200
    body = "{}"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedTrackingServer

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = 200, json.dumps({"experiment": EXPERIMENT})
        if self.path == "/version":
            body = "3.17.0"
        elif "/traces" in self.path:
            status, body = self.server.status, self.server.body
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 (http.server's names)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def scripted_tracking_server() -> Iterator[ScriptedTrackingServer]:
    """One that answers until the block ends."""
    with ScriptedTrackingServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()

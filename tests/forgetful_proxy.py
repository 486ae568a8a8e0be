"""An HTTP proxy before MLflow that fails the first question for the server's version."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


@contextmanager
def forgetful_proxy(url: str) -> Iterator[str]:
    """Pass requests on to `url`, the first `GET /version` excepted: 503. Yields its own address."""
    failures = iter([503])

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            if self.path == "/version" and (failure := next(failures, None)):
                self.send_error(failure)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            answer = requests.request(
                self.command, url + self.path, data=body, headers=kept, timeout=30
            )
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = _pass_on  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()

"""One request to MLflow for the spans of all traces that are written at the same moment.

A request costs both sides more than the spans in it, and a hundred turns may end in one second.
"""

import threading
from collections import deque
from collections.abc import Callable

from mlflow.entities import Span


class BatchFailed(Exception):
    """A request with the spans of several traces failed; whose fault that was is not known."""


class SpanBatches:
    """Sends the spans of one trace, together with those of others where there are any."""

    def __init__(self, send: Callable[[list[Span]], None]) -> None:
        """`send` returns once the server has kept all of them, or raises."""
        self._send = send
        self.waiting: deque[_Entry] = deque()
        self._sending = threading.Lock()

    def send(self, spans: list[Span]) -> None:
        """Return once the server has kept them; raises what `send` raised, or `BatchFailed`."""
        entry = _Entry(spans)
        self.waiting.append(entry)
        # Whoever comes while a request is under way shares the next one with all others who came.
        with self._sending:
            if not entry.settled:
                self._send_waiting()
        if entry.error:
            raise entry.error

    def _send_waiting(self) -> None:
        together: list[_Entry] = []
        while self.waiting:
            together.append(self.waiting.popleft())
        error: Exception | None = BatchFailed("the request was given up")
        try:
            self._send([span for entry in together for span in entry.spans])
            error = None
        except Exception as failure:  # noqa: BLE001 (each of them raises it)
            error = failure
            if len(together) > 1:
                error = BatchFailed(f"{len(together)} traces: {failure}")
                error.__cause__ = failure
        finally:
            for entry in together:
                entry.settled, entry.error = True, error


class _Entry:
    """The spans of one trace, and what has become of them."""

    def __init__(self, spans: list[Span]) -> None:
        self.spans = spans
        self.settled = False
        self.error: Exception | None = None

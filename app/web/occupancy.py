"""How busy the web processes are: their open sockets and running turns, all workers together.

With several workers prometheus_client keeps every worker's figures in files and adds them up
(https://prometheus.github.io/client_python/multiprocess/), so each worker notes its own from time
to time.
"""

import threading
import time

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.values import MutexValue, ValueClass

from app.turns.engine import TurnEngine
from app.web.open_sockets import OpenSockets

NOTED_EVERY_S = 1.0


def is_shared() -> bool:
    """Whether workers share their figures; `gunicorn.conf.py` has it so when there are several."""
    return ValueClass is not MutexValue


class Occupancy:
    """The figures of one process, and what it takes to keep them true."""

    def __init__(
        self, registry: CollectorRegistry | None, engine: TurnEngine, sockets: OpenSockets
    ) -> None:
        self._engine = engine
        self._sockets = sockets
        self._open_sockets = Gauge(
            "thumbprint_open_sockets",
            "WebSockets open in this server's processes.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._running_turns = Gauge(
            "thumbprint_running_turns",
            "Turns running in this server's processes.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def note(self) -> None:
        """Note how it is now, as every scrape does for the process that answers it."""
        self._open_sockets.set(len(self._sockets))
        self._running_turns.set(len(self._engine.running))

    def start(self) -> None:
        """Go on noting it for scrapes that other workers answer."""
        if is_shared():
            threading.Thread(target=self._run, name="occupancy", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.note()
            time.sleep(NOTED_EVERY_S)

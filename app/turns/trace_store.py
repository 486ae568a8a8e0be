"""Writes the trace of an ended turn to MLflow if that is quick, else leaves it to the outbox."""

import contextvars
import logging
import threading
import time

from app.clock import Clock
from app.errors import Unavailable
from app.forgetting import note_late_write
from app.protocol import TraceState
from app.store.database import Database
from app.tracing.failures import NotDelivered
from app.tracing.spans import Trace
from app.tracing.tracking import TrackingServer

log = logging.getLogger(__name__)

# Leaves half a second for the transaction: `done` follows the last token within 2 s.
STORE_DEADLINE_S = 1.5
# Traces written to MLflow at a time: as many as its client keeps connections for. Each costs the
# process some milliseconds; a hundred turns that end together would hold up everything else.
STORES_AT_A_TIME = 10


class TraceStore:
    """The way to MLflow for the traces of one process's turns."""

    def __init__(self, database: Database, tracking: TrackingServer, clock: Clock) -> None:
        self._database = database
        self._tracking = tracking
        self._clock = clock
        self._stores = threading.Semaphore(STORES_AT_A_TIME)

    def store(self, trace_id: str, trace: Trace) -> TraceState:
        """Write it to MLflow if that is quick; returns `queued` when it is left to the outbox."""
        stored, answered, given_up = threading.Event(), threading.Event(), threading.Event()
        deadline = time.monotonic() + STORE_DEADLINE_S
        if not self._stores.acquire(timeout=STORE_DEADLINE_S):
            return "queued"

        def write() -> None:
            try:
                self._tracking.write_trace(trace)
                stored.set()
            except NotDelivered as error:
                log.warning("a trace goes to the outbox", extra={"reason": error})
            finally:
                self._stores.release()
                answered.set()
            if given_up.is_set():
                self.note_late_write(trace_id)

        # A write that outlasts the deadline may still succeed; the relay's changes nothing then.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(write,), name="store-trace", daemon=True).start()
        answered.wait(max(0.0, deadline - time.monotonic()))
        if stored.is_set():
            return "stored"
        given_up.set()
        return "queued"

    def note_late_write(self, trace_id: str) -> None:
        """Owe the deletion again if the trace just written is one that MLflow must not have."""
        try:
            self._database.write(lambda c: note_late_write(c, trace_id, self._clock()))
        except Unavailable:
            log.warning("a trace that came late may be one that was to be deleted")

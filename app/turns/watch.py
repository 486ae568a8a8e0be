"""Watches over turns: saves their progress, ends overdue ones, and those whose process died.

Every second each process notes in the database that its turns are alive, with their text so far.
A turn whose note has not changed for a while, by this process's monotonic clock, has lost its
process; whoever notices first ends it as `interrupted`.
"""

import logging
import threading
import time
from collections.abc import Callable

from app.clock import Clock, now_ms
from app.errors import Conflict, Unavailable
from app.observability import about
from app.store import turns as store
from app.store.database import Database
from app.store.turns import TurnRow
from app.tracing.spans import Recorder
from app.turns.ending import TurnEnder
from app.turns.engine import TurnEngine

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
ABANDONED_AFTER_S = 6.0


class TurnWatch:
    """The watch of one process."""

    def __init__(
        self,
        database: Database,
        engine: TurnEngine,
        ender: TurnEnder,
        recorder: Recorder,
        *,
        clock: Clock = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._engine = engine
        self._ender = ender
        self._recorder = recorder
        self._clock = clock
        self._monotonic = monotonic
        # Foreign running turns: their last note, and when we first saw it.
        self._notes: dict[str, tuple[int, float]] = {}
        self._given_up: set[str] = set()

    def start(self) -> None:
        """Watch in a thread of its own for as long as the process lives."""
        threading.Thread(target=self._run, name="turn-watch", daemon=True).start()

    def look(self) -> None:
        """Look once at every turn."""
        self._engine.end_overdue()
        running = {id_: turn.answer() for id_, turn in list(self._engine.running.items())}
        if running:
            self._database.write(lambda c: store.save_progress(c, running, self._clock()))
        for row in self._abandoned():
            with about(**store.ids_of(row)):
                self._end(row)

    def _end(self, row: TurnRow) -> None:
        log.warning("a turn was abandoned by its process")
        try:
            self._ender.end_abandoned(row, self._recorder.restart_turn(row.trace_id))
        except Conflict:
            log.info("another process has ended this turn")
        except Unavailable:
            raise
        except Exception:
            # Once is enough: the same turn would fail the same way every second.
            self._given_up.add(row.id)
            log.exception("an abandoned turn could not be ended")

    def _abandoned(self) -> list[TurnRow]:
        now = self._monotonic()
        rows = self._database.read(store.running_turns)
        known = self._engine.running.keys() | self._given_up
        foreign = [row for row in rows if row.id not in known]
        notes = {}
        silent = []
        for row in foreign:
            note, since = self._notes.get(row.id, (row.heartbeat_at, now))
            if note != row.heartbeat_at:
                note, since = row.heartbeat_at, now
            notes[row.id] = (note, since)
            if now - since >= ABANDONED_AFTER_S:
                silent.append(row)
        self._notes = notes
        return silent

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Unavailable:
                log.warning("the watch could not reach the app database")
            except Exception:
                log.exception("the watch stumbled")
            time.sleep(INTERVAL_S)

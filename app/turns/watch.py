"""Watches over turns: saves their progress, ends overdue ones, and those whose process died.

Every second each process notes in the database that its turns are alive, with their text so far.
A turn whose note has not changed for a while, by this process's monotonic clock, has lost its
process; whoever notices first ends it as `interrupted`.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping

from app.clock import Clock, now_ms
from app.errors import Conflict, Unavailable
from app.observability import about
from app.store import turns as store
from app.store.database import Database
from app.store.turns import TurnRow
from app.turns.ending import TurnEnder
from app.turns.engine import TurnEngine

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
ABANDONED_AFTER_S = 6.0
# Between two looks: whatever held us up may have held up the others' notes too.
HELD_UP_S = 3.0
# How long the last frames of an ended turn may take to come from another process.
LATE_AFTER_S = 3.0


class TurnWatch:
    """The watch of one process."""

    def __init__(
        self,
        database: Database,
        engine: TurnEngine,
        ender: TurnEnder,
        *,
        clock: Clock = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._engine = engine
        self._ender = ender
        self._clock = clock
        self._monotonic = monotonic
        # Foreign running turns: their last note, and when we first saw it.
        self._notes: dict[str, tuple[int, float]] = {}
        self._given_up: set[str] = set()
        # Turns read along here that have ended: since when their last frame is missing.
        self._late: dict[str, float] = {}

    def start(self) -> None:
        """Watch in a thread of its own for as long as the process lives."""
        threading.Thread(target=self._run, name="turn-watch", daemon=True).start()

    def start_over(self) -> None:
        """Give every turn of other processes the whole time again."""
        self._notes.clear()

    def look(self) -> None:
        """Look once at every turn."""
        self._engine.end_overdue()
        running = {id_: turn.answer() for id_, turn in list(self._engine.running.items())}
        if running:
            self._database.write(lambda c: store.save_progress(c, running, self._clock()))
        now = self._monotonic()
        notes = self._database.read(store.running_notes)
        self._leave_late(notes, now)
        for turn_id in self._abandoned(notes, now):
            row = self._find(turn_id)
            # Unless it has ended since, or its process has come back.
            if row is not None and (row.ending, row.heartbeat_at) == ("running", notes[turn_id]):
                with about(**store.ids_of(row)):
                    self._end(row)

    def _find(self, turn_id: str) -> TurnRow | None:
        return self._database.read(lambda c: store.find_turn_by_id(c, turn_id))

    def _end(self, row: TurnRow) -> None:
        log.warning("a turn was abandoned by its process")
        try:
            # Readers of other processes may have got more than was saved.
            answer = max(row.answer, self._engine.playback.text(row.id), key=len)
            end = self._ender.end_abandoned(row, answer)
            self._engine.playback.conclude(row, end)
        except Conflict:
            log.info("another process has ended this turn")
        except Unavailable:
            raise
        except Exception:
            # Once is enough: the same turn would fail the same way every second.
            self._given_up.add(row.id)
            log.exception("an abandoned turn could not be ended")

    def _leave_late(self, running: Collection[str], now: float) -> None:
        """Send readers to the record of a turn that has ended but whose last frame was lost."""
        turn_log = self._engine.turn_log
        ended = set(turn_log.attached()).difference(running)
        self._late = {turn_id: self._late.get(turn_id, now) for turn_id in ended}
        for turn_id, since in self._late.items():
            if now - since >= LATE_AFTER_S:
                turn_log.forget(turn_id)

    def _abandoned(self, notes: Mapping[str, int], now: float) -> list[str]:
        known = self._engine.running.keys() | self._given_up
        latest = {}
        silent = []
        for turn_id in notes.keys() - known:
            note, since = self._notes.get(turn_id, (notes[turn_id], now))
            if note != notes[turn_id]:
                note, since = notes[turn_id], now
            latest[turn_id] = (note, since)
            if now - since >= ABANDONED_AFTER_S:
                silent.append(turn_id)
        self._notes = latest
        return silent

    def _run(self) -> None:
        while True:
            began = self._monotonic()
            try:
                self.look()
            except Unavailable:
                log.warning("the watch could not reach the app database")
                self.start_over()
            except Exception:
                log.exception("the watch stumbled")
            time.sleep(INTERVAL_S)
            if self._monotonic() - began > HELD_UP_S:
                self.start_over()

"""Reads from Redis what other processes write: frames of turns that are read here, calls to stop.

One connection and one thread for the whole process. It waits on all streams at once; a stream of
the process's own wakes it when another turn is to be read.
"""

import logging
import threading
import time
import uuid

from redis.exceptions import RedisError

from app.turn_log.log import Stop
from app.turn_log.memory import MemoryTurnLog
from app.turn_log.streams import CALLS, TURN, Entry, Streams, parse, place_after, seq_of

log = logging.getLogger(__name__)

# Whatever comes within this time is read in one go.
INTERVAL_S = 0.016
RETRY_S = 0.5
# Redis may be away this long before the readers of its turns are told.
PATIENCE_S = 5.0


class Listener:
    """Listens, in a thread of its own."""

    def __init__(self, streams: Streams, local: MemoryTurnLog, idle_s: float) -> None:
        """`idle_s` is how long a turn that nobody reads any more is still read from Redis."""
        self._idle_s = idle_s
        self._streams = streams
        self._local = local
        self._stop: Stop = lambda _: None
        self._wake_key = f"thumbprint:wake:{uuid.uuid4().hex}"
        self._places = {CALLS: "0-0", self._wake_key: "0-0"}
        # The turns that are read, and since when nobody has wanted them.
        self.turns: dict[str, float | None] = {}
        self._heard_at = time.monotonic()
        self._is_away = False
        self._closing = False

    def start(self, stop: Stop) -> None:
        """Begin to listen; `stop` ends a turn if it runs here."""
        self._stop = stop
        threading.Thread(target=self._run, name="turn-listener", daemon=True).start()

    def close(self) -> None:
        """Listen no more, as soon as the present wait is over."""
        self._closing = True

    def add(self, turn_id: str) -> None:
        """Read this turn too, from the length it has here. Raises RedisError."""
        self.turns[turn_id] = None
        self._streams.call(self._wake_key, turn_id, most=1)

    def drop(self, turn_id: str) -> None:
        """Read this turn no more, and tell its readers that it is not known any more."""
        self.turns.pop(turn_id, None)
        self._local.forget(turn_id)

    def _run(self) -> None:
        while not self._closing:
            pause_s = INTERVAL_S
            try:
                self._listen()
                self._note_contact(None)
            except RedisError as error:
                self._note_contact(error)
                pause_s = RETRY_S
            except Exception:
                log.exception("the listener stumbled")
                pause_s = RETRY_S
            time.sleep(pause_s)

    def _listen(self) -> None:
        self._leave_idle()
        wanted = {TURN + id_: place_after(self._local.length(id_)) for id_ in tuple(self.turns)}
        for key, entries in self._streams.read(self._places | wanted):
            if key in self._places:
                self._places[key] = entries[-1][0].decode()
            if key == CALLS:
                for _, fields in entries:
                    self._stop(fields[b"turn"].decode())
            elif key in wanted:
                self._deliver(key.removeprefix(TURN), entries)

    def _deliver(self, turn_id: str, entries: list[Entry]) -> None:
        length = self._local.length(turn_id)
        fresh = [entry for entry in entries if seq_of(entry) >= length]
        if turn_id not in self.turns or not fresh:
            return
        if seq_of(fresh[0]) != length:
            log.warning("the stream of a turn has a gap", extra={"turn_id": turn_id})
            self.drop(turn_id)
            return
        frames, ended = parse(fresh)
        if ended:
            self.turns.pop(turn_id, None)
        self._local.append(turn_id, frames, ended=ended)

    def _leave_idle(self) -> None:
        now = time.monotonic()
        for turn_id, idle_since in tuple(self.turns.items()):
            if self._local.is_read(turn_id):
                self.turns[turn_id] = None
            elif idle_since is None:
                self.turns[turn_id] = now
            elif now - idle_since > self._idle_s:
                self.drop(turn_id)

    def _note_contact(self, error: RedisError | None) -> None:
        if bool(error) != self._is_away:
            self._is_away = bool(error)
            log.warning("reading frames from Redis: %s", error or "works again")
        if error is None:
            self._heard_at = time.monotonic()
        elif time.monotonic() - self._heard_at > PATIENCE_S:
            for turn_id in tuple(self.turns):
                self.drop(turn_id)

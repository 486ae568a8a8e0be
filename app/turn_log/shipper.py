"""Ships the frames of this process's turns to Redis, a moment after its own readers have them.

Redis is a copy for the readers of other processes. When it is away nothing waits for it, and when
it is back, emptied or not, every turn that is still kept here is shipped from where Redis stands.
"""

import logging
import threading
import time

from redis.exceptions import RedisError

from app.turn_log.memory import MemoryTurnLog
from app.turn_log.streams import Piece, Streams

log = logging.getLogger(__name__)

# Frames of the same turn that come within this time leave together.
INTERVAL_S = 0.016
RETRY_S = 0.5


class Shipper:
    """Ships turns, in a thread of its own."""

    def __init__(self, streams: Streams, local: MemoryTurnLog) -> None:
        self._streams = streams
        self._local = local
        # Of every turn that is being shipped: how many frames Redis has, as far as we know.
        self._lengths: dict[str, int] = {}
        self._due: set[str] = set()
        self._news = threading.Event()
        self._in_hand = False
        self._is_away = False
        self._closing = False

    def start(self) -> None:
        """Begin to ship."""
        threading.Thread(target=self._run, name="turn-shipper", daemon=True).start()

    def begin(self, turn_id: str) -> None:
        """Ship this turn from its first frame."""
        self._lengths[turn_id] = 0

    def ship(self, turn_id: str) -> None:
        """Ship what the turn has by now."""
        self._due.add(turn_id)
        self._news.set()

    def close(self) -> None:
        """Ship no more."""
        self._closing = True
        self._news.set()

    def settle(self, timeout_s: float) -> None:
        """Return when nothing is left to ship, or after the timeout."""
        give_up_at = time.monotonic() + timeout_s
        while (self._due or self._in_hand) and time.monotonic() < give_up_at:
            time.sleep(0.01)

    def _run(self) -> None:
        while not self._closing:
            self._news.wait()
            self._news.clear()
            pause_s = INTERVAL_S
            try:
                self._in_hand = True
                if not self._ship_due():
                    pause_s = RETRY_S
            except Exception:
                log.exception("the shipper stumbled")
                pause_s = RETRY_S
            finally:
                self._in_hand = False
            time.sleep(pause_s)

    def _ship_due(self) -> bool:
        """Ship all that is due; false when Redis would not have some of it."""
        due, self._due = self._due, set()
        pieces = [piece for turn_id in due if (piece := self._take(turn_id))]
        if not pieces:
            return True
        results: list[int | Exception]
        try:
            results = self._streams.append(pieces)
        except RedisError as error:
            results = [error for _ in pieces]
        failures = [result for result in results if isinstance(result, Exception)]
        if bool(failures) != self._is_away:
            self._is_away = bool(failures)
            log.warning("shipping frames to Redis: %s", failures[0] if failures else "works again")
        for piece, result in zip(pieces, results, strict=True):
            self._note(piece, result)
        return not failures

    def _take(self, turn_id: str) -> Piece | None:
        length = self._lengths.get(turn_id)
        found = None if length is None else self._local.read(turn_id, length - 1)
        if length is None or found is None or not (found[0] or found[1]):
            if found is None:
                self._lengths.pop(turn_id, None)  # by now nobody wants it any more
            return None
        return Piece(turn_id, length, *found)

    def _note(self, piece: Piece, result: int | Exception) -> None:
        """Learn from Redis's answer how much of the turn it has."""
        whole = piece.length + len(piece.frames)
        if isinstance(result, Exception):
            self.ship(piece.turn_id)
        elif result == whole and not piece.ended:
            self._lengths[piece.turn_id] = whole
        elif result in (whole, -1):
            # Shipped to its end; or another process, which took ours for dead, has ended it.
            self._lengths.pop(piece.turn_id, None)
        else:
            # Redis has lost the turn, or had got more than we knew: go on from there.
            self._lengths[piece.turn_id] = min(result, whole)
            self.ship(piece.turn_id)

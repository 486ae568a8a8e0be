"""A turn log that several processes share through Redis: any of them can read and stop any turn.

Each process keeps the frames of its own turns in memory and serves its readers from there, so
those never wait for Redis. It ships them to Redis for the others, who read along what their own
readers want. The database says how a turn ended; Redis only carries frames and may be lost.
"""

import logging
import threading
from collections.abc import Collection, Sequence

from redis.exceptions import RedisError

from app.turn_log.listener import Listener
from app.turn_log.log import Stop, Wake
from app.turn_log.memory import MemoryTurnLog
from app.turn_log.shipper import Shipper
from app.turn_log.streams import CALLS, Piece, Streams

log = logging.getLogger(__name__)


class SharedTurnLog:
    """The turn log of one of many processes."""

    def __init__(self, url: str, idle_s: float = 10.0) -> None:
        """`url` is that of the Redis server; connects when used.

        `idle_s` is how long a turn that nobody reads any more is still read along.
        """
        self._streams = Streams(url)
        self._local = MemoryTurnLog()
        self._shipper = Shipper(self._streams, self._local)
        self._listener = Listener(self._streams, self._local, idle_s)
        self._attaching = threading.Lock()

    def start(self, stop: Stop) -> None:
        """Begin to ship and to listen."""
        self._shipper.start()
        self._listener.start(stop)

    def close(self) -> None:
        """Neither ship nor listen any more."""
        self._shipper.close()
        self._listener.close()

    def create(self, turn_id: str, *, shared: bool = True) -> None:
        """Begin the log of a turn that this process runs."""
        self._local.create(turn_id)
        if shared:
            self._shipper.begin(turn_id)

    def append(self, turn_id: str, frames: Sequence[str], *, ended: bool) -> bool:
        """Add frames: to a turn of this process at once, to another's by way of Redis."""
        if turn_id in self._listener.turns:
            return self._append_elsewhere(turn_id, frames, ended)
        added = self._local.append(turn_id, frames, ended=ended)
        if added:
            self._shipper.ship(turn_id)
        return added

    def read(self, turn_id: str, after_seq: int) -> tuple[Sequence[str], bool] | None:
        """Frames after `after_seq`, from memory."""
        return self._local.read(turn_id, after_seq)

    def subscribe(self, turn_id: str, wake: Wake) -> None:
        """Call `wake` whenever there is news."""
        self._local.subscribe(turn_id, wake)

    def unsubscribe(self, turn_id: str, wake: Wake) -> None:
        """Stop calling `wake`."""
        self._local.unsubscribe(turn_id, wake)

    def attach(self, turn_id: str, *, running: bool) -> bool:
        """Read along a turn of another process, from its first frame."""
        if self._local.read(turn_id, -1) is not None:
            return True
        try:
            frames, ended = self._streams.fetch(turn_id)
            if not frames and not running:
                return False
            with self._attaching:
                if self._local.read(turn_id, -1) is None:  # nobody was faster
                    self._local.create(turn_id)
                    self._local.append(turn_id, frames, ended=ended)
                    if not ended:
                        self._listener.add(turn_id)
        except RedisError as error:
            _warn("a turn cannot be read from Redis", turn_id, error)
            self._listener.drop(turn_id)
            return False
        return True

    def attached(self) -> Collection[str]:
        """The turns that are read along."""
        return tuple(self._listener.turns)

    def forget(self, turn_id: str) -> None:
        """Drop a turn here and in Redis."""
        self._listener.drop(turn_id)
        try:
            self._streams.delete(turn_id)
        except RedisError as error:
            _warn("a turn cannot be removed from Redis", turn_id, error)

    def stop_elsewhere(self, turn_id: str) -> bool:
        """Call out to the process that runs the turn."""
        try:
            self._streams.call(CALLS, turn_id)
        except RedisError as error:
            _warn("no other process can be told to stop a turn", turn_id, error)
            return False
        return True

    def reaches_others(self) -> bool:
        """Whether Redis answers."""
        try:
            self._streams.ping()
        except RedisError:
            return False
        return True

    def settle(self, timeout_s: float) -> None:
        """Return when everything is shipped, or after the timeout."""
        self._shipper.settle(timeout_s)

    def _append_elsewhere(self, turn_id: str, frames: Sequence[str], ended: bool) -> bool:
        length = self._local.length(turn_id)
        try:
            [result] = self._streams.append([Piece(turn_id, length, frames, ended)])
        except RedisError as error:
            _warn("a turn cannot be written to Redis", turn_id, error)
            return False
        return result == length + len(frames)


def _warn(what: str, turn_id: str, error: RedisError) -> None:
    log.warning(what, extra={"turn_id": turn_id, "reason": error})

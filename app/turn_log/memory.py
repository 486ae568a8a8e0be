"""A turn log in the memory of one process: the whole log of an app that has only one."""

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence

from app.turn_log.log import Stop, Wake

log = logging.getLogger(__name__)

# How long the frames of an ended turn stay for readers that reconnect.
KEPT_AFTER_END_S = 300.0


class _Record:
    __slots__ = ("ended_at", "frames", "wakes")

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.ended_at: float | None = None
        self.wakes: set[Wake] = set()


class MemoryTurnLog:
    """The frames of this process's turns; ended turns are forgotten after a while."""

    def __init__(self, kept_after_end_s: float = KEPT_AFTER_END_S) -> None:
        self._records: dict[str, _Record] = {}
        self._ended: deque[tuple[float, str]] = deque()
        self._kept_after_end_s = kept_after_end_s

    def start(self, stop: Stop) -> None:
        """There is no other process."""

    def close(self) -> None:
        """There is nothing to close."""

    def create(self, turn_id: str, *, shared: bool = True) -> None:
        """Begin the log of a turn."""
        self._forget_old()
        self._records[turn_id] = _Record()

    def append(self, turn_id: str, frames: Sequence[str], *, ended: bool) -> bool:
        """Add frames and wake the readers."""
        record = self._records.get(turn_id)
        if record is None or record.ended_at is not None:
            return False
        record.frames.extend(frames)
        if ended:
            record.ended_at = time.monotonic()
            self._ended.append((record.ended_at, turn_id))
        self._wake_readers(turn_id, record)
        return True

    def read(self, turn_id: str, after_seq: int) -> tuple[Sequence[str], bool] | None:
        """Frames after `after_seq`; frame `n` of the list has `seq` n."""
        record = self._records.get(turn_id)
        if record is None:
            return None
        return record.frames[after_seq + 1 :], record.ended_at is not None

    def length(self, turn_id: str) -> int:
        """How many frames a turn has here."""
        record = self._records.get(turn_id)
        return len(record.frames) if record else 0

    def subscribe(self, turn_id: str, wake: Wake) -> None:
        """Call `wake` whenever frames were appended."""
        if record := self._records.get(turn_id):
            record.wakes.add(wake)

    def unsubscribe(self, turn_id: str, wake: Wake) -> None:
        """Stop calling `wake`."""
        if record := self._records.get(turn_id):
            record.wakes.discard(wake)

    def is_read(self, turn_id: str) -> bool:
        """Whether anybody waits for frames of this turn."""
        record = self._records.get(turn_id)
        return bool(record and record.wakes)

    def attach(self, turn_id: str, *, running: bool) -> bool:
        """There is no other process to have it from."""
        return False

    def attached(self) -> Collection[str]:
        """Nothing is."""
        return ()

    def forget(self, turn_id: str) -> None:
        """Drop a turn and tell its readers."""
        if record := self._records.pop(turn_id, None):
            self._wake_readers(turn_id, record)

    def stop_elsewhere(self, turn_id: str) -> bool:
        """There is no other process to ask."""
        return False

    def reaches_others(self) -> bool:
        """There are none to miss."""
        return True

    def settle(self, timeout_s: float) -> None:
        """There is no other process to wait for."""

    def _wake_readers(self, turn_id: str, record: _Record) -> None:
        for wake in tuple(record.wakes):
            try:
                wake()
            except Exception:
                # One reader's failure must not cost the others their frames.
                log.exception("a reader could not be woken", extra={"turn_id": turn_id})

    def _forget_old(self) -> None:
        horizon = time.monotonic() - self._kept_after_end_s
        while self._ended and self._ended[0][0] < horizon:
            ended_at, turn_id = self._ended.popleft()
            record = self._records.get(turn_id)
            if record and record.ended_at == ended_at:  # else it was put back since
                del self._records[turn_id]

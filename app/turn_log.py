"""The turn log: each turn's frames, append-only, in `seq` order, for any number of readers.

A turn writes text as it comes; one flusher a process turns what has gathered into frames, the
first at once and afterwards at most one per turn and interval, and wakes the readers. So a frame
is built once however many people watch, and a slow reader never slows the turn.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from app.protocol import token_frame

log = logging.getLogger(__name__)

# One refresh of a 60 Hz screen: nobody sees tokens faster than this.
FLUSH_INTERVAL_S = 0.016
# How long the frames of an ended turn stay for readers that reconnect.
KEPT_AFTER_END_S = 300.0

# Proxies close connections that are silent for longer; nginx's default is 60 s.
SILENCE_S = 15.0

Wake = Callable[[], None]
BuildFrame = Callable[[int], str]


class TurnLog(Protocol):
    """Where the frames of turns are kept; the same contract whatever the storage."""

    def create(self, turn_id: str) -> None:
        """Begin the log of a turn."""

    def append(self, turn_id: str, frames: Sequence[str], *, ended: bool) -> None:
        """Add frames at the end and wake the readers; `ended` says the last one is terminal."""

    def read(self, turn_id: str, after_seq: int) -> tuple[Sequence[str], bool] | None:
        """Frames after `after_seq` and whether the turn has ended; None when it is not known."""

    def subscribe(self, turn_id: str, wake: Wake) -> None:
        """Call `wake` whenever frames were appended."""

    def unsubscribe(self, turn_id: str, wake: Wake) -> None:
        """Stop calling `wake`."""


class _Record:
    __slots__ = ("ended_at", "frames", "wakes")

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.ended_at: float | None = None
        self.wakes: set[Wake] = set()


class MemoryTurnLog:
    """A turn log in the memory of this process; ended turns are forgotten after a while."""

    def __init__(self, kept_after_end_s: float = KEPT_AFTER_END_S) -> None:
        self._records: dict[str, _Record] = {}
        self._ended: deque[tuple[float, str]] = deque()
        self._kept_after_end_s = kept_after_end_s

    def create(self, turn_id: str) -> None:
        """Begin the log of a turn."""
        self._forget_old()
        self._records[turn_id] = _Record()

    def append(self, turn_id: str, frames: Sequence[str], *, ended: bool) -> None:
        """Add frames and wake the readers."""
        record = self._records[turn_id]
        record.frames.extend(frames)
        if ended:
            record.ended_at = time.monotonic()
            self._ended.append((record.ended_at, turn_id))
        for wake in tuple(record.wakes):
            try:
                wake()
            except Exception:
                # One reader's failure must not cost the others their frames.
                log.exception("a reader could not be woken", extra={"turn_id": turn_id})

    def read(self, turn_id: str, after_seq: int) -> tuple[Sequence[str], bool] | None:
        """Frames after `after_seq`; frame `n` of the list has `seq` n."""
        record = self._records.get(turn_id)
        if record is None:
            return None
        return record.frames[after_seq + 1 :], record.ended_at is not None

    def subscribe(self, turn_id: str, wake: Wake) -> None:
        """Call `wake` whenever frames were appended."""
        if record := self._records.get(turn_id):
            record.wakes.add(wake)

    def unsubscribe(self, turn_id: str, wake: Wake) -> None:
        """Stop calling `wake`."""
        if record := self._records.get(turn_id):
            record.wakes.discard(wake)

    def _forget_old(self) -> None:
        horizon = time.monotonic() - self._kept_after_end_s
        while self._ended and self._ended[0][0] < horizon:
            ended_at, turn_id = self._ended.popleft()
            record = self._records.get(turn_id)
            if record and record.ended_at == ended_at:  # else it was put back since
                del self._records[turn_id]


def follow(turn_log: TurnLog, turn_id: str, after_seq: int) -> Iterator[Sequence[str]]:
    """Yield the frames after `after_seq` as they come, until the turn has ended.

    Blocks the calling thread between frames; what comes together is yielded together, and an
    empty list whenever nothing has come for `SILENCE_S`.
    """
    news = threading.Event()
    turn_log.subscribe(turn_id, news.set)
    try:
        while (found := turn_log.read(turn_id, after_seq)) is not None:
            frames, ended = found
            after_seq += len(frames)
            if frames:
                yield frames
            if ended:
                return
            if not news.wait(SILENCE_S):
                yield []
            news.clear()
    finally:
        turn_log.unsubscribe(turn_id, news.set)


class TurnWriter:
    """Writes one turn to the log. Text and frames come out in the order they went in."""

    def __init__(self, flusher: "Flusher", turn_id: str, client_request_id: str) -> None:
        self.turn_id = turn_id
        self._flusher = flusher
        self._client_request_id = client_request_id
        # Filled by the turn's thread, emptied by the flusher's; a deque needs no lock for that.
        self._pending: deque[str | tuple[BuildFrame, bool]] = deque()
        self._next_seq = 0

    def write(self, text: str) -> None:
        """Add text of the answer; it leaves with whatever else gathers."""
        self._pending.append(text)
        self._flusher.schedule(self)

    def write_frame(self, build: BuildFrame, *, ends_turn: bool = False) -> None:
        """Add a whole frame, built once its `seq` is known."""
        self._pending.append((build, ends_turn))
        self._flusher.schedule(self)

    def take_frames(self) -> tuple[list[str], bool]:
        """Turn what is pending into frames, and say if the last one ends the turn.

        For the flusher alone.
        """
        frames: list[str] = []
        text = ""
        ended = False
        while self._pending:
            item = self._pending.popleft()
            if isinstance(item, str):
                text += item
                continue
            if text:
                frames.append(self._token_frame(text))
                text = ""
            build, ended = item
            frames.append(build(self._take_seq()))
        if text:
            frames.append(self._token_frame(text))
        return frames, ended

    def _token_frame(self, text: str) -> str:
        return token_frame(self._client_request_id, self._take_seq(), text)

    def _take_seq(self) -> int:
        self._next_seq += 1
        return self._next_seq - 1


class Flusher:
    """Moves what turns have written into the log; one per process."""

    def __init__(self, turn_log: TurnLog, interval_s: float = FLUSH_INTERVAL_S) -> None:
        self._log = turn_log
        self._interval_s = interval_s
        self._due: deque[TurnWriter] = deque()
        self._something_due = threading.Event()
        threading.Thread(target=self._run, name="flusher", daemon=True).start()

    def schedule(self, writer: TurnWriter) -> None:
        """Have `writer` flushed at the next tick, or at once when none was due."""
        self._due.append(writer)
        self._something_due.set()

    def _run(self) -> None:
        while True:
            self._something_due.wait()
            self._something_due.clear()
            while self._due:
                self._flush(self._due.popleft())
            time.sleep(self._interval_s)

    def _flush(self, writer: TurnWriter) -> None:
        try:
            frames, ended = writer.take_frames()
            if frames:
                self._log.append(writer.turn_id, frames, ended=ended)
        except Exception:
            # One turn's failure must not stop the frames of all others.
            named = {"turn_id": writer.turn_id}
            log.exception("frames of a turn could not be appended", extra=named)

"""Turns what answers have written into frames: the first text at once, then batched.

One flusher a process turns what has gathered into frames, at most one per turn and interval. So a
frame is built once however many people watch, and many leave in a burst, which costs the least.
What ends an answer does not wait for the interval.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from app.clock import Clock, now_ms
from app.native_thread import cheap_lock
from app.protocol import token_frame
from app.turn_log.log import TurnLog

log = logging.getLogger(__name__)

# Text waits for half of it on average, which is less than one refresh of a 60 Hz screen.
FLUSH_INTERVAL_S = 0.022
# How often the flusher comes by in an interval: so text that had none before it waits for half of
# it at most, and the last of many turns does not wait until all others have had their frames. With
# four ticks a hundred tokens a second took a twentieth more CPU.
TICKS = 2
# So many texts are kept apart before they become one: asked each second, thousands take long.
MOST_APART = 64

BuildFrame = Callable[[int], str]


class TurnWriter:
    """Writes one turn to the log. Text and frames come out in the order they went in.

    What it has made frames of is the answer: so what is stored is exactly what readers are sent.
    """

    __slots__ = (
        "_client_request_id",
        "_clock",
        "_flusher",
        "_next_seq",
        "_pending",
        "_sealed",
        "_texts",
        "flushing",
        "is_due",
        "latest_at",
        "next_at",
        "pieces",
        "turn_id",
    )

    def __init__(
        self, flusher: "Flusher", turn_id: str, client_request_id: str, clock: Clock = now_ms
    ) -> None:
        self.turn_id = turn_id
        self._flusher = flusher
        self._client_request_id = client_request_id
        self._clock = clock
        # Filled by the turn's thread, emptied by the flusher's; a deque needs no lock for that.
        # None seals it: text that comes after is dropped.
        self._pending: deque[str | tuple[BuildFrame, bool] | None] = deque()
        self._sealed = False
        self._next_seq = 0
        self._texts: list[str] = []
        self.pieces = 0
        """Pieces of text in frames by now."""
        self.next_at = 0.0
        """When its next frame may leave, on the monotonic clock; for the flusher alone."""
        self.latest_at = 0
        """When the latest text was put in a frame, in milliseconds since the epoch; 0: never."""
        self.is_due = False
        """Whether the flusher comes by for what is pending; for the flusher alone."""
        self.flushing = cheap_lock()
        """Held from taking frames to having them in the log, so that they stay in order."""

    def write(self, text: str) -> None:
        """Add text of the answer; it leaves with whatever else gathers."""
        self._pending.append(text)
        self._flusher.schedule(self)

    def write_frame(self, build: BuildFrame, *, ends_turn: bool = False) -> None:
        """Add a whole frame, built once its `seq` is known; the last one leaves at once."""
        self._pending.append((build, ends_turn))
        if ends_turn:
            self._flusher.flush(self)
        else:
            self._flusher.schedule(self)

    def seal(self) -> None:
        """Put into the log what is pending, without waiting; text that comes later is dropped."""
        self._pending.append(None)
        self._flusher.flush(self)

    def text(self) -> str:
        """All text that is in frames; once sealed, the whole of it."""
        return "".join(self._texts)

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
                if not self._sealed:
                    text += item
                    self.pieces += 1
                continue
            if text:
                frames.append(self._token_frame(text))
                text = ""
            if item is None:
                self._sealed = True
                continue
            build, ended = item
            frames.append(build(self._take_seq()))
        if text:
            frames.append(self._token_frame(text))
        return frames, ended

    def _token_frame(self, text: str) -> str:
        self._texts.append(text)
        if len(self._texts) > MOST_APART:
            self._texts = [self.text()]  # a new list: whoever reads the old one reads it whole
        self.latest_at = self._clock()
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
        self.busy = False
        """Whether something that was written is not in the log yet."""
        threading.Thread(target=self._run, name="flusher", daemon=True).start()

    def schedule(self, writer: TurnWriter) -> None:
        """Have `writer` flushed when its time comes: at once if nobody is due."""
        # Asked after the text was added: as long as it is due, that text is still to be taken.
        if writer.is_due:
            return
        writer.is_due = self.busy = True
        self._due.append(writer)
        if not self._something_due.is_set():
            self._something_due.set()

    def flush(self, writer: TurnWriter) -> None:
        """Move what `writer` has into the log now."""
        try:
            with writer.flushing:
                frames, ended = writer.take_frames()
                if frames and not self._log.append(writer.turn_id, frames, ended=ended):
                    log.warning("a turn takes no frames", extra={"turn_id": writer.turn_id})
        except Exception:
            # One turn's failure must not stop the frames of all others.
            named = {"turn_id": writer.turn_id}
            log.exception("frames of a turn could not be appended", extra=named)

    def _run(self) -> None:
        tick_s = self._interval_s / TICKS
        next_tick = 0.0
        while True:
            self._something_due.wait()
            self._something_due.clear()
            self._flush_due(time.monotonic())
            self.busy = bool(self._due)
            if self.busy:
                self._something_due.set()
            # Ticks keep their times, or many streams would wait for the work as well. But there is
            # always a pause: the busier we are, the more a frame has to gather.
            now = time.monotonic()
            next_tick = max(next_tick + tick_s, now + tick_s / 2)
            time.sleep(next_tick - now)

    def _flush_due(self, now: float) -> None:
        """Flush whoever is due and has had no frame of late; the others stay due.

        But each tick takes its share: else turns that once had their frames at the same tick would
        for ever, and the last of them would wait for all others.
        """
        due = [self._due.popleft() for _ in range(len(self._due))]
        ready = [writer for writer in due if writer.next_at <= now]
        waiting = [writer for writer in due if writer.next_at > now]
        early = max(0, len(due) // TICKS - len(ready))
        self._due.extend(waiting[early:])
        # Half a tick less than an interval, lest one that comes a little early be one too early.
        next_at = now + self._interval_s * (1 - 0.5 / TICKS)
        for writer in ready + waiting[:early]:
            writer.next_at = next_at
            writer.is_due = False
            self.flush(writer)

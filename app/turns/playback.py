"""Finds the frames of a turn for its readers: running here, running elsewhere, or long ended.

The frames of a turn are numbered once, by the process that runs it. Where they are gone the turn
is told from its record, with a numbering of its own, so it can only be read from the beginning.
"""

import orjson

from app.errors import BadRequest, NotFound
from app.protocol import start_frame, token_frame
from app.store.turns import TurnEnd, TurnRow
from app.turn_log import FramesLost, TurnLog
from app.turns.ending import last_frame
from app.turns.running import TurnRef


class TurnExpired(NotFound):
    """The frames a reader had got part of are gone; the record still tells the whole turn."""

    code = "turn_expired"

    def __init__(self) -> None:
        super().__init__("The frames of this turn are gone.")


class Playback:
    """What the turn log holds of turns, and what the database says where it holds nothing."""

    def __init__(self, turn_log: TurnLog) -> None:
        self._log = turn_log

    def find(self, row: TurnRow, after_seq: int) -> TurnRef:
        """The log whose frames after `after_seq` are to be read.

        Raises `TurnExpired` when these are gone, or may have died with the process that had them;
        `BadRequest` for an `after_seq` past the last frame; `FramesLost` when another process runs
        the turn and cannot be reached, or has died just now.
        """
        running = row.ending == "running"
        found = self._log.read(row.id, after_seq)
        if found is None and self._log.attach(row.id, running=running):
            found = self._log.read(row.id, after_seq)
        if found is None:
            if running:
                raise FramesLost
            if after_seq >= 0:
                raise TurnExpired
            return self._restore(row)
        frames, ended = found
        if frames or (not ended and self._may_have(row.id, after_seq)):
            return TurnRef(row.id, row.client_request_id, row.conversation_id)
        # A process that died may have given its own readers a frame more than all others got.
        if row.ending == "interrupted":
            raise TurnExpired
        if running and ended:
            raise FramesLost  # it has ended since the row was read, which may be how
        raise BadRequest(f"Expected an `after_seq` before the turn's end, got {after_seq}.")

    def is_over(self, turn_id: str) -> bool:
        """Whether readers here have its last frame, which may say that its end is not saved."""
        found = self._log.read(turn_id, -1)
        return found is not None and found[1]

    def text(self, turn_id: str) -> str:
        """The answer as far as readers of a turn of another process have it; "" when unknown."""
        if not self._log.attach(turn_id, running=True):
            return ""
        frames, _ = self._log.read(turn_id, -1) or ((), False)
        return "".join(orjson.loads(frame).get("content", "") for frame in frames)

    def conclude(self, row: TurnRow, end: TurnEnd) -> None:
        """Let readers of a turn of another process know that it has ended, and how.

        They get its last frame when they have all of its text. Else its frames are dropped, and
        they find the rest in its record.
        """
        said = self.text(row.id)
        frames, _ = self._log.read(row.id, -1) or ((), False)
        if frames and said == end.answer:
            last = last_frame(end, row.client_request_id, row.trace_id, len(frames))
            if self._log.append(row.id, [last], ended=True):
                return
        self._log.forget(row.id)

    def _may_have(self, turn_id: str, seq: int) -> bool:
        """Whether a reader may have got this frame of a running turn."""
        if turn_id in self._log.attached():
            return True  # from the process that runs it, which is a moment ahead
        return seq < 0 or self._log.read(turn_id, seq - 1) != ([], False)

    def _restore(self, row: TurnRow) -> TurnRef:
        """Put an ended turn into a log of its own, its text as one token frame."""
        ref = TurnRef(f"{row.id}-record", row.client_request_id, row.conversation_id)
        if self._log.read(ref.turn_id, -1) is None:
            frames = [start_frame(row.client_request_id, row.conversation_id)]
            if row.answer:
                frames.append(token_frame(row.client_request_id, 1, row.answer))
            frames.append(last_frame(row, row.client_request_id, row.trace_id, len(frames)))
            self._log.create(ref.turn_id, shared=False)
            self._log.append(ref.turn_id, frames, ended=True)
        return ref

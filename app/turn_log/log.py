"""What every turn log keeps to, wherever it keeps its frames, and how one is read to its end."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from app.errors import Unavailable

# Proxies close connections that are silent for longer; nginx's default is 60 s.
SILENCE_S = 15.0

Wake = Callable[[], None]
Stop = Callable[[str], object]


class TurnLog(Protocol):
    """Where the frames of turns are kept; the same contract whatever the storage."""

    def start(self, stop: Stop) -> None:
        """Begin to exchange frames with other processes; `stop` ends a turn that one runs here."""

    def close(self) -> None:
        """Exchange nothing any more; what was exchanged stays."""

    def create(self, turn_id: str, *, shared: bool = True) -> None:
        """Begin the log of a turn; unless it is `shared`, other processes have no use for it."""

    def append(self, turn_id: str, frames: Sequence[str], *, ended: bool) -> bool:
        """Add frames at the end and wake the readers; `ended` says the last one is terminal.

        Returns whether they were added: to a turn that has ended nothing is.
        """

    def read(self, turn_id: str, after_seq: int) -> tuple[Sequence[str], bool] | None:
        """Frames after `after_seq` and whether the turn has ended; None when it is not known."""

    def subscribe(self, turn_id: str, wake: Wake) -> None:
        """Call `wake` whenever there is news: frames, or that the turn is not known any more."""

    def unsubscribe(self, turn_id: str, wake: Wake) -> None:
        """Stop calling `wake`."""

    def attach(self, turn_id: str, *, running: bool) -> bool:
        """Make the frames of another process's turn readable here, those to come included.

        False when that process's frames cannot be had; for a running turn this means that other
        processes cannot be reached, for one that has ended that its frames are gone.
        """

    def attached(self) -> Collection[str]:
        """The turns of other processes that are read along here and have not ended."""

    def forget(self, turn_id: str) -> None:
        """Drop the frames of a turn whose end will not come, here and for everyone."""

    def stop_elsewhere(self, turn_id: str) -> bool:
        """Have the process that runs the turn stop it; False when it cannot be reached."""

    def reaches_others(self) -> bool:
        """Whether other processes can be reached at this moment."""

    def settle(self, timeout_s: float) -> None:
        """Return when other processes can have everything written here, or after the timeout."""


class FramesLost(Unavailable):
    """The frames of a turn have gone while they were read, or are fewer than the reader has."""

    def __init__(self) -> None:
        super().__init__(
            "This answer is in the hands of another process. Try again in a moment.",
            code="turn_elsewhere",
        )


def follow(turn_log: TurnLog, turn_id: str, after_seq: int) -> Iterator[Sequence[str]]:
    """Yield the frames after `after_seq` as they come, until the turn has ended.

    Blocks the calling thread between frames; what comes together is yielded together, and an
    empty list whenever nothing has come for `SILENCE_S`. Raises `FramesLost`.
    """
    news = threading.Event()
    turn_log.subscribe(turn_id, news.set)
    try:
        while found := turn_log.read(turn_id, after_seq):
            frames, ended = found
            after_seq += len(frames)
            if frames:
                yield frames
            elif ended:
                break
            if ended:
                return
            if not news.wait(SILENCE_S):
                yield []
            news.clear()
        raise FramesLost
    finally:
        turn_log.unsubscribe(turn_id, news.set)

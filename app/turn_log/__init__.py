"""The turn log: each turn's frames, append-only, in `seq` order, for any number of readers.

A turn writes text as it comes; the flusher makes frames of it, puts them into the log and wakes
the readers. So a slow reader never slows the turn. `memory` keeps the frames of one process;
`shared` (imported only when REDIS_URL is set) lets several processes read each other's turns.
"""

from app.turn_log.flusher import BuildFrame, Flusher, TurnWriter
from app.turn_log.log import FramesLost, TurnLog, Wake, follow
from app.turn_log.memory import MemoryTurnLog

__all__ = [
    "BuildFrame",
    "Flusher",
    "FramesLost",
    "MemoryTurnLog",
    "TurnLog",
    "TurnWriter",
    "Wake",
    "follow",
]

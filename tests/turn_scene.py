"""A turn engine on a real database, its model and tracking server doubles that obey."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from app.protocol import Ask
from app.store import turns
from app.store.database import Database
from app.tracing.spans import Recorder
from app.tracing.tracking import TrackingServer
from app.turn_log import MemoryTurnLog, TurnLog, follow
from app.turn_log.shared import SharedTurnLog
from app.turns.ending import TurnEnder
from app.turns.engine import TurnEngine
from app.turns.rules import TurnRules
from app.turns.running import TurnRef
from app.turns.watch import TurnWatch
from tests.doubles import ModelDouble, MovableClock, TrackingDouble
from tests.waiting import eventually


class TurnScene:
    """Everything one process needs to run turns."""

    def __init__(
        self,
        folder: Path,
        *,
        database: Database | None = None,
        model: Any = None,
        history_turns: int = 12,
        timeout_s: float = 60.0,
        tracking: TrackingServer | None = None,
        redis_url: str | None = None,
        most_answer_chars: int = 400_000,
    ) -> None:
        self.database = database or Database(f"sqlite:///{folder / 'app.db'}")
        self.database.migrate()
        self.clock = MovableClock()
        self.uptime = 0.0
        self.tracking = TrackingDouble()
        self.model = ModelDouble()
        self.recorder = Recorder({"thumbprint.environment": "test"})
        self.ender = TurnEnder(
            self.database,
            tracking or self.tracking,
            self.recorder,
            clock=self.clock,
            patience_s=1.0,
        )
        self.turn_log: TurnLog = SharedTurnLog(redis_url) if redis_url else MemoryTurnLog()
        self.engine = TurnEngine(
            database=self.database,
            model=model or self.model,
            recorder=self.recorder,
            ender=self.ender,
            turn_log=self.turn_log,
            rules=TurnRules(
                "Be brief.",
                history_turns,
                timeout_s,
                most_answer_chars,
                app_version="7",
                model="double",
            ),
            clock=self.clock,
            monotonic=lambda: self.uptime,
        )
        self.turn_log.start(self.engine.stop_here)
        self.watch = TurnWatch(
            self.database,
            self.engine,
            self.ender,
            clock=self.clock,
            monotonic=lambda: self.uptime,
        )

    def ask(self, question: str = "Why?", user: str = "ann", **rest: Any) -> TurnRef:
        """Ask, without waiting for the answer."""
        self.clock.advance(1)
        return self.engine.ask(user, Ask(question, **rest))

    def frames(self, ref: TurnRef, after_seq: int = -1) -> list[dict[str, Any]]:
        """Every frame of a turn, once it has ended."""
        together = follow(self.turn_log, ref.turn_id, after_seq)
        return [json.loads(frame) for frames in together for frame in frames]

    def answer(self, question: str = "Why?", **rest: Any) -> tuple[TurnRef, dict[str, Any]]:
        """Ask, and wait for the last frame."""
        ref = self.ask(question, **rest)
        last = self.frames(ref)[-1]
        self.wait_idle()
        return ref, last

    def row(self, ref: TurnRef) -> Any:
        """The turn in the database."""
        return self.database.read(lambda c: turns.find_turn(c, "ann", ref.client_request_id))

    def trace(self) -> dict[str, Any]:
        """The last trace that was written."""
        found: dict[str, Any] = json.loads(self.tracking.traces[-1])
        return found

    def wait_idle(self) -> None:
        """Wait until no turn is running."""
        eventually(lambda: not self.engine.running)

    def close(self) -> None:
        """Let every turn end, and close the database."""
        for completion in self.model.completions:
            completion.cancel()
        if self.tracking.hold:
            self.tracking.hold.set()
        self.wait_idle()
        # One that outlasted its turn may have the database note that.
        eventually(lambda: "store-trace" not in {one.name for one in threading.enumerate()})
        self.turn_log.close()
        self.database.close()


def text_of(frames: list[dict[str, Any]]) -> str:
    """The answer that the token frames make."""
    return "".join(frame["content"] for frame in frames if frame["type"] == "token")

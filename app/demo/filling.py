"""Plays the demo's plan through the app's own code: turns, traces, verdicts, deliveries."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app import outbox
from app.clock import Clock, now_ms
from app.demo import DEMO_TAG, PEOPLE
from app.demo.actor import Actor, StageClock
from app.demo.plan import VERSIONS, Conversation, Said, Turn, Vocabulary, make_plan
from app.errors import Conflict
from app.feedback import (
    EXPECTED_RESPONSE,
    USER_FEEDBACK,
    USER_REASONS,
    FeedbackDesk,
    Opinion,
    TurnKey,
)
from app.protocol import Ask
from app.relay import Relay
from app.settings import Settings
from app.store.conversations import list_conversations
from app.store.database import Database
from app.tracing.spans import Recorder
from app.tracing.tracking import TrackingServer
from app.turn_log import MemoryTurnLog, follow
from app.turns.ending import TurnEnder
from app.turns.engine import TurnEngine
from app.turns.rules import TurnRules

# Rounds of a quarter of a second in which a relay may finish what it has in hand.
PATIENCE = 40

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What was made, and how many deliveries still wait for MLflow."""

    conversations: int
    turns: int
    waiting: int


class Filler:
    """Fills one app with the demo."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        tracking: TrackingServer,
        clock: Clock = now_ms,
    ) -> None:
        self._database = database
        self._tracking = tracking
        self._vocabulary = Vocabulary(settings.feedback_dimensions, settings.reasons)
        self._real_clock = clock
        self._clock = StageClock()
        self._actor = Actor(self._clock)
        self._desk = FeedbackDesk(database, self._clock)
        self._log = MemoryTurnLog()
        recorder = Recorder(
            {"thumbprint.environment": settings.app_environment, DEMO_TAG: "true"},
            self._clock.nanoseconds,
        )
        ender = TurnEnder(
            database,
            tracking,
            recorder,
            implicit_signals=settings.implicit_signals,
            clock=self._clock,
        )
        self._engines = {
            version: TurnEngine(
                database=database,
                model=self._actor,
                recorder=recorder,
                ender=ender,
                turn_log=self._log,
                rules=TurnRules(
                    system_prompt=settings.chat_system_prompt,
                    history_turns=settings.chat_history_turns,
                    timeout_s=settings.chat_turn_timeout_s,
                    most_answer_chars=settings.chat_max_answer_chars,
                    implicit_signals=settings.implicit_signals,
                    app_version=version.name,
                    model=version.model,
                ),
                clock=self._clock,
            )
            for version in VERSIONS
        }
        self._asked = 0

    def fill(self, show: Progress = lambda *_: None, most: int | None = None) -> Filled:
        """Make the demo data (of it only the `most` latest conversations, when given).

        `show` is told how many conversations there are, and how many there will be. Raises
        `Conflict` when the app has demo data already.
        """
        if is_filled(self._database):
            raise Conflict("There is demo data already; `make demo-clean` removes it.")
        plan = make_plan(self._real_clock(), self._vocabulary)[-(most or 0) :]
        for done, conversation in enumerate(plan, 1):
            self._play(conversation)
            show(done, len(plan))
        return Filled(len(plan), self._asked, self._waiting())

    def deliver(self, show: Progress = lambda *_: None) -> int:
        """Bring what is owed to MLflow, side by side with a relay, until all of it is there.

        Returns how many deliveries still wait: when MLflow does not answer, or after `PATIENCE`
        rounds in which there was nothing to do for us.
        """
        relay = Relay(self._database, self._tracking)
        most = self._waiting()
        idle = 0
        while (waiting := self._waiting()) and idle < PATIENCE:
            show(max(0, most - waiting), most)
            if pause_s := relay.deliver_next():
                if not self._tracking.answers():
                    break
                idle += 1
                time.sleep(pause_s)
        return waiting

    def _waiting(self) -> int:
        return self._database.read(lambda c: outbox.status(c, self._real_clock())).waiting

    def _play(self, conversation: Conversation) -> None:
        self._clock.now = conversation.starts_at
        conversation_id: str | None = None
        asked: str | None = None
        for turn in conversation.turns:
            replaces = asked if turn.again else None
            conversation_id, asked = self._ask(conversation, turn, conversation_id, replaces)
            self._clock.advance(turn.think_ms)
            key = TurnKey(client_request_id=asked)
            self._say(conversation.person, key, turn.said)
            self._clock.advance(turn.think_ms)

    def _ask(
        self,
        conversation: Conversation,
        turn: Turn,
        conversation_id: str | None,
        replaces: str | None,
    ) -> tuple[str, str]:
        """Have one turn run to its end; its conversation's ID and its own."""
        engine = self._engines[conversation.version]
        self._actor.prepare(conversation.version, turn)
        self._asked += 1
        asked = f"demo-{conversation.starts_at}-{self._asked}"
        ref = engine.ask(conversation.person, Ask(turn.question, conversation_id, asked, replaces))
        if turn.outcome == "stopped":
            self._actor.wait_until_cut_short()
            engine.stop(conversation.person, asked)
        for _ in follow(self._log, ref.turn_id, -1):
            pass
        engine.wait_until_idle(10)
        return ref.conversation_id, asked

    def _say(self, person: str, key: TurnKey, said: Said) -> None:
        if said.first_thumb is not None:
            self._desk.record(person, key, [Opinion(USER_FEEDBACK, said.first_thumb)])
            self._clock.advance(3_000)
        if opinions := _opinions(said):
            self._desk.record(person, key, opinions)
        if said.withdrawn:
            self._clock.advance(5_000)
            self._desk.withdraw(person, key, USER_FEEDBACK)


def is_filled(database: Database) -> bool:
    """Whether the app has demo data."""
    return database.read(lambda c: any(list_conversations(c, person) for person in PEOPLE))


def _opinions(said: Said) -> list[Opinion]:
    opinions = []
    if said.thumb is not None:
        opinions.append(Opinion(USER_FEEDBACK, said.thumb, said.comment))
    if said.reasons:
        opinions.append(Opinion(USER_REASONS, said.reasons))
    opinions += [Opinion(f"user_{name}", stars / 5) for name, stars in said.stars.items()]
    if said.correction:
        opinions.append(Opinion(EXPECTED_RESPONSE, said.correction, kind="expectation"))
    if said.copied:
        opinions.append(Opinion("implicit_copy", True, source="CODE"))
    return opinions

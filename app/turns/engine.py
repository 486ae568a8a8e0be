"""Starts turns, finds them again, and stops them.

A turn runs in a thread of its own (a greenlet under gunicorn), apart from whoever reads it: a
dropped socket never ends an answer, and a message sent twice never asks the model twice.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.clock import Clock, now_ms
from app.errors import Conflict, ModelError, NotFound, Unavailable
from app.feedback import Opinion, keep
from app.llm.agent import Message, Model
from app.observability import about
from app.protocol import Ask, Ending, start_frame
from app.store import turns as store
from app.store.database import Database
from app.store.turns import NewTurn, TurnRow
from app.tracing.spans import Recorder
from app.turn_log import Flusher, FramesLost, TurnLog, TurnWriter
from app.turns.context import Context, find_context
from app.turns.ending import TurnEnder, tags_of
from app.turns.playback import Playback
from app.turns.rules import TurnRules
from app.turns.running import RunningTurn, TurnRef

log = logging.getLogger(__name__)

# How long a process that leaves waits for other processes to have its last frames.
SETTLE_S = 2.0


class TurnEngine:
    """Runs the turns of one process."""

    def __init__(
        self,
        *,
        database: Database,
        model: Model,
        recorder: Recorder,
        ender: TurnEnder,
        turn_log: TurnLog,
        rules: TurnRules,
        clock: Clock = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.turn_log = turn_log
        self.running: dict[str, RunningTurn] = {}
        self._database = database
        self._model = model
        self._recorder = recorder
        self._ender = ender
        self._flusher = Flusher(turn_log)
        self.playback = Playback(turn_log)
        self._rules = rules
        self._clock = clock
        self._monotonic = monotonic
        self.draining = False

    def ask(self, user_id: str, ask: Ask, admit: Callable[[], None] = lambda: None) -> TurnRef:
        """Start a turn, or find the one that this client request ID started already.

        `admit` is called before a new turn starts, and raises to refuse it (rate limits).
        Raises `NotFound` for a conversation or replaced turn that is not the user's, `Conflict`
        when the ID was used for another message, `Unavailable` while shutting down.
        """
        client_request_id = ask.client_request_id or f"req-{uuid.uuid4().hex}"
        context = self._database.read(
            lambda c: find_context(c, user_id, client_request_id, ask, self._rules.history_turns)
        )
        if existing := context.existing:
            if (existing.question, existing.replaces) != (ask.content, ask.replaces):
                raise Conflict("This client request ID was used for another message.")
            return self.playback.find(existing, -1)
        if self.draining:
            raise Unavailable(
                "The server is restarting. Try again in a moment.", code="shutting_down"
            )
        admit()
        trace = self._recorder.start_turn()
        turn = NewTurn(
            user_id=user_id,
            client_request_id=client_request_id,
            question=ask.content,
            conversation_id=context.conversation_id,
            replaces=ask.replaces,
            trace_id=trace.trace_id,
            now=self._clock(),
            app_version=self._rules.app_version,
            model=self._rules.model,
        )
        # Before the row: who sends the same message at the same moment finds that, and follows.
        self.turn_log.create(turn.id)
        try:
            row = self._database.write(lambda c: self._insert(c, turn, context))
        except Exception as error:
            trace.discard()
            self.turn_log.append(turn.id, [], ended=True)
            if isinstance(error, IntegrityError) and self._is_known(user_id, client_request_id):
                # The same message came twice at once and the other copy was faster.
                return self.ask(user_id, ask)
            if isinstance(error, IntegrityError) and context.conversation_id:
                raise NotFound(
                    "This conversation has just been deleted.", code="unknown_conversation"
                ) from error
            raise
        messages = context.messages(self._rules.system_prompt, ask.content)
        trace.describe(client_request_id, user_id, row.conversation_id, messages, tags_of(row))
        ref = TurnRef(row.id, client_request_id, row.conversation_id)
        running = RunningTurn(
            ref,
            trace,
            TurnWriter(self._flusher, ref.turn_id, client_request_id, self._clock),
            started_at=turn.now,
            deadline=self._monotonic() + self._rules.timeout_s,
            clock=self._clock,
            most_chars=self._rules.most_answer_chars,
        )
        self.running[ref.turn_id] = running
        running.write_frame(lambda _: start_frame(client_request_id, ref.conversation_id))
        _spawn(running, lambda: self._run(running, messages))
        return ref

    def find(self, user_id: str, client_request_id: str) -> TurnRow:
        """The user's turn with that client request ID. Raises `NotFound`."""
        row = self._database.read(lambda c: store.find_turn(c, user_id, client_request_id))
        if row is None:
            raise NotFound("No turn of yours has this client request ID.", code="unknown_turn")
        return row

    def resume(self, user_id: str, client_request_id: str, after_seq: int) -> TurnRef:
        """Find a turn whose frames after `after_seq` are to be read.

        Raises `NotFound` for an unknown turn, and what `Playback.find` raises.
        """
        row = self.find(user_id, client_request_id)
        try:
            return self.playback.find(row, after_seq)
        except FramesLost:
            # It may have ended after its row was read; read again, the row says how.
            row = self.find(user_id, client_request_id)
            if row.ending == "running":
                raise  # to look for its frames again would wait for Redis again
            return self.playback.find(row, after_seq)

    def stop(self, user_id: str, client_request_id: str) -> None:
        """End a running turn now, wherever it runs; one that has ended stays as it is.

        Raises `NotFound`, or `FramesLost` when another process runs it and cannot be reached.
        """
        row = self.find(user_id, client_request_id)
        if row.ending == "running" and row.id not in self.running:
            # Not ours; or it has begun or ended here since the row was read, and shows it by now.
            row = self.find(user_id, client_request_id)
        if row.id in self.running:
            self.stop_here(row.id)
            return
        goes_on = row.ending == "running" and not self.playback.is_over(row.id)
        if goes_on and not self.turn_log.stop_elsewhere(row.id):
            raise FramesLost

    def stop_here(self, turn_id: str) -> None:
        """Stop a turn if it is this process that runs it."""
        if turn := self.running.get(turn_id):
            self.end_early(turn, "stopped")

    def end_early(self, turn: RunningTurn, ending: Ending, error: ModelError | None = None) -> None:
        """End a running turn from outside its thread; returns at once."""
        if turn.close():
            _spawn(turn, lambda: self._end(turn, ending, error))

    def end_overdue(self) -> None:
        """End the running turns that have passed their deadline."""
        now = self._monotonic()
        message = "The model took too long to answer."
        for turn in list(self.running.values()):
            if now > turn.deadline:
                self.end_early(turn, "failed", ModelError(message, code="model_timeout"))

    def interrupt_running(self) -> None:
        """End what is still running, with its text so far: the process has no more time."""
        message = "The server restarted in the middle of this answer."
        for turn in list(self.running.values()):
            self.end_early(turn, "interrupted", ModelError(message, code="interrupted"))

    def refuse_new_turns(self) -> None:
        """From now on `ask` raises `Unavailable`; running turns go on."""
        self.draining = True

    def wait_until_idle(self, timeout_s: float) -> None:
        """Return when no turn is running and all frames are where readers are, or after it."""
        give_up_at = time.monotonic() + timeout_s
        while (self.running or self._flusher.busy) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        self.turn_log.settle(SETTLE_S)

    def _is_known(self, user_id: str, client_request_id: str) -> bool:
        return (
            self._database.read(lambda c: store.find_turn(c, user_id, client_request_id))
            is not None
        )

    def _insert(self, connection: Connection, turn: NewTurn, context: Context) -> TurnRow:
        row = store.insert_turn(connection, turn)
        if context.replaced and self._rules.implicit_signals:
            signal = Opinion("implicit_regenerate", True, source="CODE")
            if replaced := store.find_turn_by_id(connection, context.replaced.id, lock=True):
                keep(connection, replaced, signal, turn.now)
        return row

    def _run(self, turn: RunningTurn, messages: list[Message]) -> None:
        try:
            completion = self._model.complete(messages)
            if not turn.begin(completion):
                return  # It was ended before the model was asked.
            if completion.model:
                turn.trace.start_llm(completion.model, messages)
            with turn.trace.active():
                for piece in completion:
                    if not turn.add(piece):
                        break
            if turn.was_cut:
                completion.cut()
        except ModelError as error:
            log.warning("a turn failed", exc_info=True)
            ending: Ending = "failed"
            failure: ModelError | None = error
        except Exception as error:
            log.exception("a turn failed")
            ending = "failed"
            failure = ModelError("Something went wrong on our side.", code="internal")
            failure.__cause__ = error
        else:
            ending, failure = "complete", None
        if turn.close():
            self._end(turn, ending, failure)

    def _end(self, turn: RunningTurn, ending: Ending, error: ModelError | None) -> None:
        try:
            self._ender.end(turn, ending, error)
        finally:
            self.running.pop(turn.ref.turn_id, None)


def _spawn(turn: RunningTurn, work: Callable[[], None]) -> None:
    def run() -> None:
        with about(**turn.ids()):
            work()

    threading.Thread(target=run, daemon=True).start()

"""Ends a turn: makes its trace and its final state safe, and only then says so.

The trace goes to MLflow at once when that is quick, and otherwise into the outbox, in the same
transaction that ends the turn. So whatever the last frame says is already true.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import Connection

from app import outbox
from app.clock import Clock, now_ms
from app.errors import Conflict, ModelError, Unavailable
from app.feedback import Opinion, keep
from app.native_thread import NativeThread
from app.protocol import Ending, done_frame, error_frame
from app.rendering import render
from app.store import turns as store
from app.store.database import Database
from app.store.turns import TurnEnd, TurnRow
from app.tracing.spans import Recorder, Trace
from app.tracing.tracking import TrackingServer
from app.turns.running import EndedTurn, RunningTurn
from app.turns.trace_store import TraceStore

log = logging.getLogger(__name__)

# Longer than a write of ours that has begun may take to arrive.
OUTLASTS_WRITES_MS = 15_000
# Up to this long an answer is rendered faster than it is handed to another thread and back.
SHORT_CHARS = 1000
# A database that restarts is back within seconds; `done` waits for it rather than give up.
DATABASE_PATIENCE_S = 10.0
RETRY_S = 0.25


class TurnEnder:
    """Ends turns, whether they completed, failed or were ended early."""

    def __init__(
        self,
        database: Database,
        tracking: TrackingServer,
        recorder: Recorder,
        *,
        implicit_signals: bool = True,
        observe: Callable[[EndedTurn], None] = lambda _: None,
        clock: Clock = now_ms,
        patience_s: float = DATABASE_PATIENCE_S,
    ) -> None:
        """`observe` is told of each turn once its end is saved.

        `patience_s` is how long the database may be away when a turn ends.
        """
        self._observe = observe
        self._patience_s = patience_s
        self._implicit_signals = implicit_signals
        self._database = database
        self._traces = TraceStore(database, tracking, clock)
        self._recorder = recorder
        self._clock = clock
        self._native_thread = NativeThread()

    def end(self, turn: RunningTurn, ending: Ending, error: ModelError | None = None) -> None:
        """End a turn that the caller has closed, and write its last frame."""
        ref, trace_id = turn.ref, turn.trace.trace_id
        try:
            end = self._make_safe(turn, ending, error)
        except Exception:
            log.exception("the ending of a turn could not be saved")
            turn.write_frame(
                lambda seq: error_frame(
                    "not_saved",
                    "This answer could not be saved; after a reload it may be incomplete.",
                    True,
                    client_request_id=ref.client_request_id,
                    seq=seq,
                ),
                ends_turn=True,
            )
        else:
            turn.write_frame(
                lambda seq: last_frame(end, ref.client_request_id, trace_id, seq), ends_turn=True
            )
            self._note(turn.measure(ending))

    def end_abandoned(self, row: TurnRow, answer: str) -> TurnEnd:
        """End a turn whose process died, with what is known of its answer.

        The relay writes its trace. Raises `Conflict` when another process was faster.
        """
        error = ModelError(
            "The server was interrupted in the middle of this answer.", code="interrupted"
        )
        trace = self._trace_again(row, "interrupted", answer, error)
        end = TurnEnd(
            turn_id=row.id,
            ending="interrupted",
            answer=answer,
            html=self._render(answer),
            trace_state="queued",
            error_code=error.code,
            error_message=error.message,
            error_retryable=True,
        )
        # When it was last alive: how long it took to notice is no part of the answer.
        self._database.write(lambda c: self._save(c, end, row.trace_id, trace, row.heartbeat_at))
        self._note(EndedTurn("interrupted"))
        return end

    def _trace_again(
        self, row: TurnRow, ending: Ending, answer: str, error: ModelError | None
    ) -> Trace:
        """The trace of a turn under its own ID, from what is known of it here."""
        ended_at = row.ended_at or row.heartbeat_at
        trace = self._recorder.restart_turn(row.trace_id, row.created_at, ended_at)
        trace.describe(
            row.client_request_id,
            row.user_id,
            row.conversation_id,
            [{"role": "user", "content": row.question}],
            tags_of(row),
        )
        return trace.end(ending, answer, error=error)

    def _note(self, ended: EndedTurn) -> None:
        log.info("a turn ended", extra=asdict(ended))
        self._observe(ended)

    def _make_safe(self, turn: RunningTurn, ending: Ending, error: ModelError | None) -> TurnEnd:
        completion = turn.completion
        if completion and ending != "complete":
            completion.cancel()
        answer = turn.answer()
        trace = turn.trace.end(
            ending, answer, usage=completion.usage if completion else None, error=error
        )
        html = self._render(answer)
        end = TurnEnd(
            turn_id=turn.ref.turn_id,
            ending=ending,
            answer=answer,
            html=html,
            trace_state=self._traces.store(turn.trace.trace_id, trace),
            finish_reason=None if error else _finish_reason(turn, ending),
            error_code=error.code if error else None,
            error_message=error.message if error else None,
            error_retryable=error.retryable if error else None,
            first_token_at=turn.first_token_at,
        )
        self._save_for_sure(end, turn.trace.trace_id, trace)
        return end

    def _save_for_sure(self, end: TurnEnd, trace_id: str, trace: Trace) -> None:
        give_up_at = time.monotonic() + self._patience_s
        failed = False
        while True:
            try:
                return self._database.write(lambda c: self._save(c, end, trace_id, trace))
            except Unavailable:
                if time.monotonic() > give_up_at:
                    raise
                failed = True
            except Conflict:
                # Perhaps by us: the database may go away just after it has done as it was told.
                if failed and self._database.read(lambda c: store.has_ended_as(c, end)):
                    return None
                self._restore_trace(end.turn_id, trace_id)
                raise
            time.sleep(RETRY_S)

    def _restore_trace(self, turn_id: str, trace_id: str) -> None:
        """Owe MLflow the trace of the ending that stands: by now it may have ours."""
        row = self._database.read(lambda c: store.find_turn_by_id(c, turn_id))
        if row is None:  # deleted meanwhile
            return self._traces.note_late_write(trace_id)
        error = ModelError(row.error_message or "", code=row.error_code) if row.error_code else None
        payload = {"trace": self._trace_again(row, row.ending, row.answer, error).to_json()}
        return self._database.write(
            lambda c: outbox.put(
                c, "trace", trace_id, payload, self._clock(), wait_ms=OUTLASTS_WRITES_MS
            )
        )

    def _save(
        self,
        connection: Connection,
        end: TurnEnd,
        trace_id: str,
        trace: Trace,
        ended_at: int | None = None,
    ) -> None:
        now = self._clock()
        row = store.finish_turn(connection, end, ended_at or now)
        if row is None:
            raise Conflict("This turn was ended by another process.")
        if end.trace_state == "queued":
            outbox.put(connection, "trace", trace_id, {"trace": trace.to_json()}, now)
        if end.ending == "stopped" and self._implicit_signals:
            keep(connection, row, Opinion("implicit_stop", True, source="CODE"), now)

    def _render(self, answer: str) -> str:
        if len(answer) <= SHORT_CHARS:
            return render(answer)
        # A very long answer takes half a second, in which every other stream would stand still.
        return self._native_thread.run(lambda: render(answer))


def _finish_reason(turn: RunningTurn, ending: Ending) -> str:
    if ending == "stopped":
        return "stopped"
    return turn.completion.finish_reason if turn.completion else "stop"


def tags_of(row: TurnRow) -> dict[str, str]:
    """What the trace of a turn is found by; a turn from before a column existed has no tag."""
    tags = {"version": row.app_version, "model": row.model, "segment": row.segment}
    return {f"thumbprint.{name}": value for name, value in tags.items() if value}


def last_frame(end: TurnEnd | TurnRow, client_request_id: str, trace_id: str, seq: int) -> str:
    """The terminal frame of an ended turn: `done`, or `error` when it failed."""
    if end.error_code is None:
        return done_frame(
            client_request_id,
            seq,
            trace_id,
            end.trace_state,
            end.finish_reason or "stop",
            end.html or "",
        )
    return error_frame(
        end.error_code,
        end.error_message or "",
        bool(end.error_retryable),
        client_request_id=client_request_id,
        seq=seq,
        trace_id=trace_id,
        trace_state=end.trace_state,
    )

"""The relay: delivers what the outbox owes to MLflow (`python -m app.relay`).

At least once, and idempotent, so once in effect. Any number of relays may run. While MLflow is away
the relay waits with growing pauses, and tries one row after each.
"""

import logging
import random
import signal
from typing import Any

from sqlalchemy import Connection

from app import forgetting, outbox
from app.clock import Clock, now_ms
from app.errors import SettingsError, Unavailable
from app.feedback import owe_again
from app.observability import about, configure_logging
from app.outbox import Parcel
from app.setting_types import without_password
from app.settings import load_settings
from app.stop_signal import StopSignal
from app.store import feedback as feedback_store
from app.store import turns
from app.store.database import Database
from app.tracing.failures import NotDelivered
from app.tracing.tracking import TrackingServer, Verdict, trace_from_json

log = logging.getLogger(__name__)

IDLE_S = 0.25
LONGEST_PAUSE_S = 5.0
# How often the server may fail over one row, while it answers, before the row is a dead letter:
# with the pauses in between, about three quarters of an hour.
MOST_ATTEMPTS = 100


class Relay:
    """Claims, delivers and completes outbox rows."""

    def __init__(self, database: Database, tracking: TrackingServer, clock: Clock = now_ms) -> None:
        self._database = database
        self._tracking = tracking
        self._clock = clock
        self._failures_in_a_row = 0

    def run(self, stopping: StopSignal) -> None:
        """Deliver until `stopping` is given."""
        pause_s = 0.0
        while not stopping.wait(pause_s):
            try:
                pause_s = self.deliver_next()
            except Unavailable:
                pause_s = LONGEST_PAUSE_S
            except Exception:
                log.exception("the relay stumbled")
                pause_s = LONGEST_PAUSE_S

    def deliver_next(self) -> float:
        """Deliver one row if one is due; returns how long to wait before the next, in seconds."""
        if not self._database.read(lambda c: outbox.has_due(c, self._clock())):
            return IDLE_S
        parcel = self._database.write(lambda c: outbox.claim(c, self._clock()))
        if parcel is None:
            return IDLE_S
        try:
            self._deliver(parcel)
        except NotDelivered as error:
            return self._give_back(parcel, error)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 (it is logged with the refusal)
            # A row nobody can deliver; tried for ever, it would hold up all the others.
            refusal = NotDelivered(f"{type(error).__name__}: {error}", refused=True)
            refusal.__cause__ = error
            return self._give_back(parcel, refusal)
        self._database.write(lambda c: self._complete(c, parcel))
        if self._failures_in_a_row:
            self._failures_in_a_row = 0
            log.info("MLflow is back")
        return 0.0

    def _deliver(self, parcel: Parcel) -> None:
        payload = parcel.payload
        if parcel.kind == "trace":
            self._tracking.write_trace(trace_from_json(payload["trace"]))
            return
        if parcel.kind == "deletion":
            self._tracking.delete_trace(parcel.trace_id)
            return
        row = self._database.read(lambda c: feedback_store.find_feedback(c, payload["id"]))
        if row is not None and row.revision > payload["revision"]:
            return  # A later row carries what has replaced this.
        if payload["verdict"] is None:
            self._tracking.withdraw(parcel.trace_id, payload["id"])
        else:
            self._tracking.write_verdict(Verdict(**payload["verdict"]))

    def _complete(self, connection: Connection, parcel: Parcel) -> None:
        payload: dict[str, Any] = parcel.payload
        if not outbox.complete(connection, parcel):
            self._mend(connection, parcel)
        elif parcel.kind == "trace":
            turns.mark_trace_stored(connection, parcel.trace_id)
        elif parcel.kind == "deletion":
            forgetting.note_deletion(connection, parcel, self._clock())
        else:
            feedback_store.mark_recorded(connection, payload["id"], payload["revision"])

    def _mend(self, connection: Connection, parcel: Parcel) -> None:
        """Owe MLflow what stands now, because a delivery outlasted its lease.

        Another relay may have delivered the same and newer things meanwhile, and this one has
        written over them.
        """
        log.warning("a delivery outlasted its lease", extra={"outbox_row": parcel.id})
        if parcel.kind == "feedback":
            owe_again(connection, parcel.payload["id"], self._clock())
        elif parcel.kind == "trace":
            forgetting.note_late_write(connection, parcel.trace_id, self._clock())

    def _give_back(self, parcel: Parcel, error: NotDelivered) -> float:
        refused = error.refused or (not error.unreachable and parcel.attempts >= MOST_ATTEMPTS)
        with about(**self._database.read(lambda c: _ids_of(c, parcel))):
            if refused:
                log.error("a delivery is a dead letter now", exc_info=error)
            else:
                log.warning("a delivery is postponed", extra={"reason": error})
        if refused:
            self._database.write(lambda c: self._bury(c, parcel, str(error)))
            return 0.0
        # What gets no answer while the server does has only itself to blame.
        is_away = error.unreachable and not self._tracking.answers()
        self._database.write(lambda c: self._put_off(c, parcel, str(error), is_away=is_away))
        if not is_away:
            return 0.0
        self._failures_in_a_row += 1
        ceiling = min(LONGEST_PAUSE_S, 0.25 * 2.0 ** min(self._failures_in_a_row, 10))
        return ceiling * random.uniform(0.5, 1)

    def _put_off(
        self, connection: Connection, parcel: Parcel, reason: str, *, is_away: bool
    ) -> None:
        put_off = outbox.release if is_away else outbox.postpone
        if not put_off(connection, parcel, reason, self._clock()):
            self._mend(connection, parcel)  # What got no answer may have been done all the same.

    def _bury(self, connection: Connection, parcel: Parcel, reason: str) -> None:
        if outbox.bury(connection, parcel, reason) and parcel.kind == "feedback":
            payload = parcel.payload
            feedback_store.mark_refused(connection, payload["id"], payload["revision"], reason)


def _ids_of(connection: Connection, parcel: Parcel) -> dict[str, str]:
    """By what the log names a delivery: the IDs of its turn, unless that was deleted since."""
    turn = turns.find_turn_by_trace(connection, parcel.trace_id)
    known = turns.ids_of(turn) if turn else {"trace_id": parcel.trace_id}
    return {"outbox_row": str(parcel.id), "kind": parcel.kind, **known}


def main() -> None:
    """Run a relay until SIGTERM or SIGINT."""
    try:
        settings = load_settings()
    except SettingsError as error:
        raise SystemExit(error.message) from None
    configure_logging(user_text=settings.log_user_text)
    stopping = StopSignal(signal.SIGTERM, signal.SIGINT)
    # A delivery whose note was lost is done again, to the same effect.
    database = Database(settings.database, durable=False)
    try:
        database.migrate()
    except Unavailable as error:
        raise SystemExit(error.message) from None
    tracking = TrackingServer(settings.tracking_uri, settings.mlflow_experiment_name)
    log.info("relaying to %s", without_password(settings.tracking_uri))
    Relay(database, tracking).run(stopping)


if __name__ == "__main__":
    main()

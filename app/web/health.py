"""Says whether the app is alive and what it depends on can be reached."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from flask import Blueprint, Response, jsonify
from sqlalchemy import text

from app.errors import Unavailable
from app.web.services import services

blueprint = Blueprint("health", __name__)

# Whoever asks takes a process that is slow to answer for dead, mostly after a second. What does not
# decide is not waited for longer than this.
PATIENCE_S = 0.4


@blueprint.get("/healthz")
def healthz() -> Response:
    """Alive: the process answers."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Ready: new turns are taken. What the chat works without is named and does not decide."""
    checks = {"database": _database(), "mlflow": _mlflow()}
    if services().settings.redis_url:
        checks["redis"] = _redis()
    ready = checks["database"] == "ok" and not services().engine.draining
    return jsonify(status="ready" if ready else "unavailable", checks=checks), 200 if ready else 503


def _database() -> str:
    try:
        # A table of its own, so that the file is read: SQLite answers `SELECT 1` without.
        services().database.read(lambda c: c.execute(text("SELECT * FROM alembic_version")).all())
    except Unavailable as error:
        return error.message
    return "ok"


def _mlflow() -> str:
    if _soon(services().tracking.answers):
        return "ok"
    return "unreachable, or slow; while it is away traces and feedback wait in the outbox"


def _redis() -> str:
    if _soon(services().engine.turn_log.reaches_others):
        return "ok"
    return "unreachable, or slow; without it turns are followed and stopped in their process only"


def _soon(question: Callable[[], bool]) -> bool:
    """The answer to `question`, or False when it does not come in time."""
    answer: SimpleQueue[bool] = SimpleQueue()
    threading.Thread(target=lambda: answer.put(question()), daemon=True).start()
    try:
        return answer.get(timeout=PATIENCE_S)
    except Empty:
        return False

"""Says whether the app is alive and what it depends on can be reached."""

from flask import Blueprint, Response, jsonify
from sqlalchemy import text

from app.errors import Unavailable
from app.tracing.tracking import NotDelivered
from app.web.services import services

blueprint = Blueprint("health", __name__)


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
    try:
        services().tracking.ping()
    except NotDelivered:
        return "unreachable; traces and feedback wait in the outbox"
    return "ok"


def _redis() -> str:
    if services().engine.turn_log.reaches_others():
        return "ok"
    return "unreachable; turns can be followed and stopped in their own process only"

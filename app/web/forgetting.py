"""Lets a person be forgotten over HTTP."""

from flask import Response, jsonify
from flask_openapi.blueprint import APIBlueprint
from sqlalchemy import Connection

from app.clock import now_ms
from app.forgetting import Forgotten, forget
from app.web.errors import STATUSES
from app.web.identity import current_user, forget_user
from app.web.services import services

blueprint = APIBlueprint("forgetting", __name__, abp_responses=STATUSES)


@blueprint.post("/forget-me", summary="Delete everything of yours")
def forget_me() -> Response:
    """Delete your conversations and feedback here, and your traces in MLflow if that is allowed.

    `in_mlflow` is `deleting` when the traces listed are certain to go, and `kept` otherwise.
    """
    user_id, delete_traces = current_user(), services().settings.forget_deletes_traces
    services().limiter.count_feedback(user_id)

    def work(connection: Connection) -> Forgotten:
        return forget(connection, user_id, now_ms(), delete_traces=delete_traces)

    forgotten = services().database.write(work)
    forget_user()
    return jsonify(
        status="success",
        conversations=forgotten.conversations,
        traces=forgotten.traces,
        in_mlflow="deleting" if delete_traces else "kept",
    )

"""Feedback over HTTP: the MLflow documentation's shape, answered truthfully.

`saved` means durable here, `recorded` means in MLflow.
"""

from typing import Annotated, Self

from flask import Response, jsonify
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from app.feedback import USER_FEEDBACK, Judged, Opinion, TurnKey, state_of
from app.protocol import CLIENT_REQUEST_ID, TRACE_ID
from app.web.identity import current_user
from app.web.services import services

blueprint = APIBlueprint("feedback", __name__)

LONGEST_COMMENT = 5000


class TurnQuery(BaseModel):
    """Which turn: by `trace_id` or by `client_request_id`."""

    trace_id: Annotated[str, StringConstraints(pattern=f"^{TRACE_ID.pattern}$")] | None = None
    client_request_id: (
        Annotated[str, StringConstraints(pattern=f"^{CLIENT_REQUEST_ID.pattern}$")] | None
    ) = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.trace_id is None) == (self.client_request_id is None):
            raise ValueError("expected exactly one of trace_id and client_request_id")
        return self

    def key(self) -> TurnKey:
        """The turn's key."""
        return TurnKey(self.trace_id, self.client_request_id)


class NamedQuery(TurnQuery):
    """Which feedback of which turn."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=250)] = USER_FEEDBACK


class FeedbackBody(BaseModel):
    """A thumb, with an optional comment."""

    model_config = ConfigDict(strict=True)
    is_correct: bool
    comment: Annotated[str, StringConstraints(max_length=LONGEST_COMMENT)] | None = None


@blueprint.post("/feedback", summary="Judge a turn")
def give(query: TurnQuery, body: FeedbackBody) -> Response:
    """Keep a thumb; the same person's second one changes the first."""
    services().limiter.count_feedback(current_user())
    comment = (body.comment or "").replace("\0", "").strip() or None
    opinion = Opinion(USER_FEEDBACK, body.is_correct, rationale=comment)
    return _answer(services().feedback.record(current_user(), query.key(), [opinion]))


@blueprint.get("/feedback", summary="What you said of a turn, and how far it has come")
def show(query: TurnQuery) -> Response:
    """Answer with the current feedback."""
    return _answer(services().feedback.show(current_user(), query.key()))


@blueprint.delete("/feedback", summary="Withdraw feedback")
def withdraw(query: NamedQuery) -> Response:
    """Take feedback back; taking back what was never said is fine."""
    services().limiter.count_feedback(current_user())
    return _answer(services().feedback.withdraw(current_user(), query.key(), query.name))


def _answer(judged: Judged) -> Response:
    return jsonify(
        status="success",
        trace_id=judged.trace_id,
        client_request_id=judged.client_request_id,
        feedback=[
            {
                "name": row.name,
                "value": row.value,
                "rationale": row.rationale,
                "state": state_of(row),
            }
            for row in judged.feedback
        ],
    )

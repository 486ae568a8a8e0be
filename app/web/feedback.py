"""Feedback over HTTP: the MLflow documentation's shapes, answered truthfully.

`saved` means durable here, `recorded` means in MLflow. The source of an assessment is who asks,
never a parameter.
"""

from typing import Any

from flask import Response, jsonify, request
from flask_openapi.blueprint import APIBlueprint

from app.errors import InvalidValue
from app.feedback import (
    EXPECTED_RESPONSE,
    IMPLICIT,
    USER_FEEDBACK,
    USER_REASONS,
    Judged,
    Opinion,
    state_of,
)
from app.settings import Settings
from app.store.feedback import FeedbackRow
from app.web.errors import STATUSES
from app.web.feedback_bodies import (
    ChangeHeaders,
    CorrectionBody,
    FeedbackBody,
    NamedQuery,
    TurnQuery,
    detailed_query,
)
from app.web.identity import current_user
from app.web.queries import refuse_duplicates
from app.web.services import services


def make_blueprint(settings: Settings) -> APIBlueprint:
    """The feedback routes, for the dimensions and reasons that the settings name."""
    blueprint = APIBlueprint("feedback", __name__, abp_responses=STATUSES)
    blueprint.before_request(refuse_duplicates)
    blueprint.post("/feedback", summary="Judge a turn")(give)
    blueprint.get("/feedback", summary="What you said of a turn, and how far it has come")(show)
    blueprint.delete("/feedback", summary="Withdraw feedback")(withdraw)
    blueprint.post("/correction", summary="Say what the answer should have been")(correct)
    detailed = detailed_query(settings.feedback_dimensions)

    @blueprint.post("/detailed-feedback", summary="Rate a turn with stars")
    def rate(header: ChangeHeaders, query: detailed) -> Response:  # type: ignore[valid-type]
        """Keep one assessment per dimension; the comment is the rationale of the first."""
        return _rate(header, query, settings.feedback_dimensions)

    return blueprint


def give(header: ChangeHeaders, query: TurnQuery, body: FeedbackBody) -> Response:
    """Keep a thumb or a named value; the same person's next one changes it."""
    metadata = body.metadata or {}
    if body.is_correct is not None:
        opinion = Opinion(USER_FEEDBACK, body.is_correct, _text(body.comment), metadata)
    else:
        name = body.name or ""
        if name == USER_REASONS:
            _check_reasons(body.value or [])
        opinion = Opinion(
            name,
            body.value,
            _text(body.rationale),
            metadata,
            source="CODE" if name.startswith(IMPLICIT) else "HUMAN",
        )
    return jsonify(_record(header, query, [opinion]))


def show(query: TurnQuery) -> Response:
    """Answer with the current feedback."""
    return jsonify(envelope(services().feedback.show(current_user(), query.key())))


def withdraw(header: ChangeHeaders, query: NamedQuery) -> Response:
    """Take feedback back; taking back what was never said is fine."""
    services().limiter.count_feedback(current_user())
    judged = services().feedback.withdraw(
        current_user(), query.key(), query.name, header.idempotency_key
    )
    return jsonify(envelope(judged))


def correct(header: ChangeHeaders, query: TurnQuery, body: CorrectionBody) -> Response:
    """Keep the correction as an MLflow expectation."""
    opinion = Opinion(EXPECTED_RESPONSE, body.expected_response, kind="expectation")
    return jsonify(_record(header, query, [opinion]))


def envelope(judged: Judged) -> dict[str, Any]:
    """The answer of every feedback route."""
    return {
        "status": "success",
        "trace_id": judged.trace_id,
        "client_request_id": judged.client_request_id,
        "feedback": [as_json(row) for row in judged.feedback],
    }


def as_json(row: FeedbackRow) -> dict[str, Any]:
    """One feedback as clients see it."""
    return {
        "name": row.name,
        "value": row.value,
        "rationale": row.rationale,
        "state": state_of(row),
    }


def _rate(header: ChangeHeaders, query: Any, dimensions: tuple[str, ...]) -> Response:
    for name in request.args:
        # The MLflow page's client names its user; ours is who asks, so that is passed over.
        if name != "user_id" and name not in type(query).model_fields:
            raise InvalidValue(f"{name}: expected one of {', '.join(dimensions)}")
    stars = {name: getattr(query, name) for name in dimensions}
    given = {name: score for name, score in stars.items() if score is not None}
    if not given:
        raise InvalidValue(f"expected 1 to 5 for at least one of {', '.join(dimensions)}")
    comments = [_text(query.comment)] + [None] * len(given)
    opinions = [
        Opinion(f"user_{name}", score / 5, comment)
        for (name, score), comment in zip(given.items(), comments, strict=False)
    ]
    return jsonify(_record(header, query, opinions) | {"feedback_recorded": given})


def _record(header: ChangeHeaders, query: TurnQuery, opinions: list[Opinion]) -> dict[str, Any]:
    services().limiter.count_feedback(current_user())
    judged = services().feedback.record(
        current_user(), query.key(), opinions, header.idempotency_key
    )
    return envelope(judged)


def _check_reasons(given: list[str]) -> None:
    reasons = services().settings.reasons
    known = [*reasons["up"], *reasons["down"]]
    for reason in given:
        if reason not in known:
            raise InvalidValue(f"value: expected reasons from {', '.join(known)}; got {reason!r}")


def _text(text: str | None) -> str | None:
    return (text or "").strip() or None

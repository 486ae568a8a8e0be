"""Says every failure over HTTP in one shape: {"error": {"code", "message"}}.

What is safe to show is shown; everything else reaches the log and becomes `internal`.
"""

import logging

from flask import Flask, Response, jsonify, make_response, request
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException

from app.errors import InvalidValue, ThumbprintError, TooManyRequests

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """What went wrong, for programs and for people."""

    code: str
    message: str
    retryable: bool


class Failure(BaseModel):
    """The body of every answer that is a failure."""

    error: Problem


# For /openapi.json: what any route may answer.
STATUSES: ResponseDict = {
    200: {"description": "As the README shows it."},
    **dict.fromkeys((400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503), Failure),
}


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(ThumbprintError, respond)
    app.register_error_handler(HTTPException, _respond_to_http)
    app.register_error_handler(Exception, _respond_to_surprise)


def respond(error: ThumbprintError) -> Response:
    """Return the response that says `error`."""
    response = make_response(jsonify(error=error.as_json()), error.status)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def explain_validation(error: ValidationError) -> Response:
    """Return 422 naming each wrong field, what was expected and what came."""
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or "body"
        expected = problem["msg"].removeprefix("Value error, ")
        came = "" if problem["type"] == "missing" else f", got {_shown(problem['input'])}"
        lines.append(f"{field}: {expected}{came}")
    return respond(InvalidValue("; ".join(lines[:10])))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _respond_to_http(error: HTTPException) -> Response:
    if error.response is not None:
        return make_response(error.response)
    code = (error.name or "error").lower().replace(" ", "_")
    body = {"code": code, "message": error.description or error.name, "retryable": False}
    response = make_response(jsonify(error=body), error.code or 500)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "location"):
            response.headers[name] = value
    return response


def _respond_to_surprise(error: Exception) -> Response:
    # The rule, not the address: people's IDs have no business in the log.
    asked = {"method": request.method, "route": str(request.url_rule)}
    log.error("a request failed", exc_info=error, extra=asked)
    return respond(ThumbprintError("Something went wrong on our side."))

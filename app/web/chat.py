"""Chat over HTTP: the same turns as the socket's, as Server-Sent Events or as one JSON answer.

Clients written for the MLflow documentation's examples work against these routes unmodified.
SSE: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from collections.abc import Iterator

import orjson
from flask import Response, jsonify, make_response, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict

from app.errors import BadRequest, ModelError
from app.protocol import CLIENT_REQUEST_ID, Ask, error_frame, parse_ask
from app.turn_log import FramesLost, TurnLog, follow
from app.turns.running import TurnRef
from app.web.address import client_address
from app.web.errors import STATUSES
from app.web.identity import current_user
from app.web.services import services

blueprint = APIBlueprint("chat", __name__, abp_responses=STATUSES)


class ChatRequest(BaseModel):
    """A person's message."""

    model_config = ConfigDict(strict=True)

    message: str
    conversation_id: str | None = None
    client_request_id: str | None = None
    replaces: str | None = None


class StopRequest(BaseModel):
    """The running turn to end."""

    model_config = ConfigDict(strict=True)

    client_request_id: str


@blueprint.post("/chat", summary="Ask, and wait for the whole answer")
def chat(body: ChatRequest) -> Response:
    """Answer with one JSON object once the turn has ended."""
    ref = _start(_parse(body))
    answer: list[str] = []
    last: dict[str, object] = {}
    for frames in follow(services().engine.turn_log, ref.turn_id, -1):
        for frame in map(orjson.loads, frames):
            if frame["type"] == "token":
                answer.append(frame["content"])
            last = frame
    whole = {
        "response": "".join(answer),
        "trace_id": last.get("trace_id"),
        "trace_state": last.get("trace_state"),
        "finish_reason": last.get("finish_reason"),
        "client_request_id": ref.client_request_id,
        "conversation_id": ref.conversation_id,
    }
    if last["type"] == "error":
        error = ModelError(
            str(last["error"]), code=str(last["code"]), retryable=bool(last["retryable"])
        )
        # With what there is of the answer, and the IDs by which it may be judged.
        return make_response(jsonify(error=error.as_json(), **whole), error.status)
    return jsonify(whole)


@blueprint.post("/chat/stream", summary="Ask, and stream the turn's frames as SSE")
def chat_stream(body: ChatRequest) -> Response:
    """Stream `data:` lines, each one frame; `id:` is its `seq`, for `Last-Event-ID`."""
    ask, after_seq = _parse(body), _last_event_id()
    if after_seq >= 0 and ask.client_request_id:
        ref = services().engine.resume(current_user(), ask.client_request_id, after_seq)
    else:
        ref, after_seq = _start(ask), -1
    return Response(
        _events(services().engine.turn_log, ref, after_seq),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


@blueprint.post("/chat/stop", summary="End a running turn early")
def chat_stop(body: StopRequest) -> Response:
    """End the turn; its stream ends with `done`, finish_reason `stopped`."""
    if not CLIENT_REQUEST_ID.fullmatch(body.client_request_id):
        raise BadRequest("Expected `client_request_id` to be 1-50 characters of [A-Za-z0-9_-].")
    services().engine.stop(current_user(), body.client_request_id)
    return jsonify(status="success", client_request_id=body.client_request_id)


def _parse(body: ChatRequest) -> Ask:
    return parse_ask(body.model_dump(), "message", services().settings.chat_max_message_chars)


def _start(ask: Ask) -> TurnRef:
    user_id, address, limiter = current_user(), client_address(), services().limiter
    return services().engine.ask(user_id, ask, lambda: limiter.count_message(user_id, address))


def _last_event_id() -> int:
    value = request.headers.get("Last-Event-ID", "").strip()
    if not value:
        return -1
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise BadRequest(f"Expected Last-Event-ID to be a frame's seq, got {value[:40]!r}.")
    return int(value)


def _events(turn_log: TurnLog, ref: TurnRef, after_seq: int) -> Iterator[str]:
    seq = after_seq
    try:
        for frames in follow(turn_log, ref.turn_id, after_seq):
            events = []
            for frame in frames:
                seq += 1
                events.append(f"id: {seq}\ndata: {frame}\n\n")
            # A comment while the model is silent, so that no proxy takes the connection for dead.
            yield "".join(events) or ": waiting\n\n"
    except FramesLost as error:
        about = ref.client_request_id
        last = error_frame(error.code, error.message, error.retryable, client_request_id=about)
        yield f"data: {last}\n\n"

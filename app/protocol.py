"""The wire contract: frames in, frames out. Pure rules, no I/O.

A client frame is parsed into `Ask`, `Stop` or `Resume`; a server frame is built as the exact
text every reader of the turn receives, so that it is encoded once. See the README.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from app.errors import BadRequest

Ending = Literal["running", "complete", "stopped", "failed", "interrupted"]
TraceState = Literal["stored", "queued"]

CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,50}")
TRACE_ID = re.compile(r"tr-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Ask:
    """A person's message. `replaces` regenerates the turn with that client request ID."""

    content: str
    conversation_id: str | None = None
    client_request_id: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the running turn early."""

    client_request_id: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Send the frames of a turn that came after `after_seq` (-1: all of them)."""

    client_request_id: str
    after_seq: int


ClientFrame = Ask | Stop | Resume


def parse_client_frame(raw: str | bytes | None, max_message_chars: int) -> ClientFrame:
    """Parse one WebSocket message.

    Raises `BadRequest` whose message says what was expected and what came.
    """
    if not isinstance(raw, str):
        raise BadRequest(
            "Expected a text frame with JSON, got a binary frame.", code="binary_frame"
        )
    try:
        frame = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadRequest("Expected a JSON object, got invalid JSON.", code="invalid_json") from None
    if not isinstance(frame, dict):
        raise BadRequest(f"Expected a JSON object, got {_kind(frame)}.", code="invalid_json")
    match frame.get("type"):
        case "message":
            return parse_ask(frame, "content", max_message_chars)
        case "stop":
            return Stop(_client_request_id(frame, required=True))
        case "resume":
            after_seq = frame.get("after_seq")
            if type(after_seq) is not int or after_seq < -1:
                raise BadRequest(
                    f"Expected `after_seq` to be an integer of at least -1, got {_kind(after_seq)}."
                )
            return Resume(_client_request_id(frame, required=True), after_seq)
        case other:
            came = f"{other[:40]!r}" if isinstance(other, str) else _kind(other)
            raise BadRequest(
                f"Expected `type` to be message, stop or resume, got {came}.", code="unknown_type"
            )


def parse_ask(body: dict[str, Any], field: str, max_message_chars: int) -> Ask:
    """Build an `Ask` from JSON whose text is in `field`. Raises `BadRequest`."""
    content = body.get(field)
    if not isinstance(content, str):
        raise BadRequest(f"Expected `{field}` to be a string, got {_kind(content)}.")
    content = _storable(content)
    if not content.strip():
        raise BadRequest("Expected a message with text, got an empty one.", code="empty_message")
    if len(content) > max_message_chars:
        raise BadRequest(
            f"Expected at most {max_message_chars} characters, got {len(content)}.",
            code="message_too_long",
        )
    conversation_id = body.get("conversation_id")
    if conversation_id is not None and not isinstance(conversation_id, str):
        raise BadRequest(
            f"Expected `conversation_id` to be a string, got {_kind(conversation_id)}."
        )
    return Ask(
        content,
        _storable(conversation_id or "") or None,
        _client_request_id(body, required=False) or None,
        _client_request_id(body, required=False, field="replaces") or None,
    )


def _storable(text: str) -> str:
    # NUL cannot be stored or searched for by PostgreSQL, lone surrogates not by anyone.
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _client_request_id(
    body: dict[str, Any], *, required: bool, field: str = "client_request_id"
) -> str:
    value = body.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not CLIENT_REQUEST_ID.fullmatch(value):
        raise BadRequest(
            f"Expected `{field}` to be 1-50 characters of [A-Za-z0-9_-], got "
            + (f"{value[:60]!r}." if isinstance(value, str) else f"{_kind(value)}.")
        )
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    names |= {int: "a number", float: "a number", type(None): "nothing"}
    return names[type(value)]


def start_frame(client_request_id: str, conversation_id: str) -> str:
    """First frame of a turn, `seq` 0."""
    return _encode(
        type="start", conversation_id=conversation_id, client_request_id=client_request_id, seq=0
    )


def token_frame(client_request_id: str, seq: int, content: str) -> str:
    """Text of one or more tokens; concatenated in `seq` order it is the answer."""
    return _encode(type="token", content=content, client_request_id=client_request_id, seq=seq)


def done_frame(
    client_request_id: str,
    seq: int,
    trace_id: str,
    trace_state: TraceState,
    finish_reason: str,
    html: str,
) -> str:
    """Last frame of a turn that completed or was stopped: its trace is safe."""
    return _encode(
        type="done",
        trace_id=trace_id,
        trace_state=trace_state,
        finish_reason=finish_reason,
        html=html,
        client_request_id=client_request_id,
        seq=seq,
    )


def error_frame(
    code: str,
    message: str,
    retryable: bool,
    *,
    client_request_id: str | None = None,
    seq: int | None = None,
    trace_id: str | None = None,
    trace_state: TraceState | None = None,
) -> str:
    """Last frame of a failed turn (with `seq`), or an error outside any turn (without)."""
    optional = {
        "client_request_id": client_request_id,
        "seq": seq,
        "trace_id": trace_id,
        "trace_state": trace_state,
    }
    present = {name: value for name, value in optional.items() if value is not None}
    return _encode(type="error", code=code, error=message, retryable=retryable, **present)


def _encode(**frame: object) -> str:
    return orjson.dumps(frame).decode()

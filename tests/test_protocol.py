"""Frames in and out, as the wire contract has them."""

from __future__ import annotations

import json

import pytest

from app.errors import BadRequest
from app.protocol import (
    Ask,
    Resume,
    Stop,
    done_frame,
    error_frame,
    parse_ask,
    parse_client_frame,
    start_frame,
    token_frame,
)

LIMIT = 20


def parse(**frame: object) -> object:
    return parse_client_frame(json.dumps(frame), LIMIT)


def refusal(raw: str | bytes | None) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse_client_frame(raw, LIMIT)
    return caught.value


def test_a_message_becomes_an_ask_with_everything_it_named() -> None:
    frame = parse(
        type="message", content="hi", conversation_id="c1", client_request_id="r-2", replaces="r-1"
    )
    assert frame == Ask("hi", "c1", "r-2", "r-1")


def test_what_a_message_leaves_out_is_none() -> None:
    assert parse(type="message", content="hi") == Ask("hi")
    assert parse(type="message", content="hi", conversation_id=None, replaces=None) == Ask("hi")


def test_stop_and_resume_name_their_turn() -> None:
    assert parse(type="stop", client_request_id="r1") == Stop("r1")
    assert parse(type="resume", client_request_id="r1", after_seq=-1) == Resume("r1", -1)


def test_fields_nobody_knows_are_ignored() -> None:
    assert parse(type="stop", client_request_id="r1", later="x") == Stop("r1")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x00\x01", "binary_frame"),
        (None, "binary_frame"),
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("NaN", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("[]", "invalid_json"),
        ("null", "invalid_json"),
        ("7", "invalid_json"),
        ('"message"', "invalid_json"),
        ("{}", "unknown_type"),
        ('{"type":null}', "unknown_type"),
        ('{"type":{"a":1}}', "unknown_type"),
        ('{"type":["message"]}', "unknown_type"),
        ('{"type":1.5}', "unknown_type"),
        ('{"type":"shout"}', "unknown_type"),
        ('{"type":"Message","content":"x"}', "unknown_type"),
        ('{"type":"message"}', "invalid_frame"),
        ('{"type":"message","content":5}', "invalid_frame"),
        ('{"type":"message","content":null}', "invalid_frame"),
        ('{"type":"message","content":["x"]}', "invalid_frame"),
        ('{"type":"message","content":""}', "empty_message"),
        ('{"type":"message","content":" \\n\\t"}', "empty_message"),
        ('{"type":"message","content":"\\u0000"}', "empty_message"),
        (json.dumps({"type": "message", "content": "x" * 21}), "message_too_long"),
        ('{"type":"message","content":"x","conversation_id":7}', "invalid_frame"),
        ('{"type":"message","content":"x","client_request_id":7}', "invalid_frame"),
        ('{"type":"message","content":"x","client_request_id":""}', "invalid_frame"),
        ('{"type":"message","content":"x","client_request_id":"a b"}', "invalid_frame"),
        ('{"type":"message","content":"x","client_request_id":"a\\n"}', "invalid_frame"),
        ('{"type":"message","content":"x","client_request_id":"é"}', "invalid_frame"),
        ('{"type":"message","content":"x","replaces":"../x"}', "invalid_frame"),
        ('{"type":"stop"}', "invalid_frame"),
        ('{"type":"stop","client_request_id":null}', "invalid_frame"),
        (json.dumps({"type": "stop", "client_request_id": "x" * 51}), "invalid_frame"),
        ('{"type":"resume","client_request_id":"r"}', "invalid_frame"),
        ('{"type":"resume","client_request_id":"r","after_seq":-2}', "invalid_frame"),
        ('{"type":"resume","client_request_id":"r","after_seq":true}', "invalid_frame"),
        ('{"type":"resume","client_request_id":"r","after_seq":"3"}', "invalid_frame"),
        ('{"type":"resume","client_request_id":"r","after_seq":1.0}', "invalid_frame"),
        ('{"type":"resume","client_request_id":"","after_seq":0}', "invalid_frame"),
    ],
)
def test_a_frame_that_cannot_be_understood_is_refused_with_its_code(
    raw: str | bytes | None, code: str
) -> None:
    error = refusal(raw)
    assert error.code == code
    assert error.message.startswith("Expected ")
    assert error.message.endswith(".")


def test_a_refusal_never_repeats_much_of_what_came() -> None:
    for frame in (
        {"type": "x" * 100_000},
        {"type": "stop", "client_request_id": "y" * 100_000},
    ):
        assert len(refusal(json.dumps(frame)).message) < 200


def test_the_length_limit_counts_characters_not_bytes() -> None:
    assert parse(type="message", content="😀" * LIMIT) == Ask("😀" * LIMIT)


def test_nul_and_lone_surrogates_are_taken_out_because_nobody_can_store_them() -> None:
    ask = parse_ask({"content": "a\0b\ud800c"}, "content", LIMIT)
    assert ask.content == "ab?c"
    ask.content.encode()


def test_the_text_field_is_named_by_the_transport() -> None:
    assert parse_ask({"message": "hi"}, "message", LIMIT) == Ask("hi")
    with pytest.raises(BadRequest, match="`message`"):
        parse_ask({"content": "hi"}, "message", LIMIT)


def test_server_frames_are_json_objects_with_what_the_contract_lists() -> None:
    assert json.loads(start_frame("r", "c")) == {
        "type": "start",
        "conversation_id": "c",
        "client_request_id": "r",
        "seq": 0,
    }
    assert json.loads(token_frame("r", 3, 'q"\n😀')) == {
        "type": "token",
        "content": 'q"\n😀',
        "client_request_id": "r",
        "seq": 3,
    }
    assert json.loads(done_frame("r", 4, "tr-1", "queued", "length", "<p>")) == {
        "type": "done",
        "trace_id": "tr-1",
        "trace_state": "queued",
        "finish_reason": "length",
        "html": "<p>",
        "client_request_id": "r",
        "seq": 4,
    }


def test_an_error_frame_outside_any_turn_has_only_what_it_can_know() -> None:
    assert json.loads(error_frame("invalid_json", "Expected…", False)) == {
        "type": "error",
        "code": "invalid_json",
        "error": "Expected…",
        "retryable": False,
    }


def test_the_last_frame_of_a_failed_turn_says_where_its_trace_is() -> None:
    frame = error_frame(
        "model_timeout", "m", True, client_request_id="r", seq=0, trace_id="t", trace_state="stored"
    )
    assert json.loads(frame) == {
        "type": "error",
        "code": "model_timeout",
        "error": "m",
        "retryable": True,
        "client_request_id": "r",
        "seq": 0,
        "trace_id": "t",
        "trace_state": "stored",
    }

"""However often and wherever the connection is cut: the same text, and `done` exactly once.

A hundred and fifty cases in every run, five hundred with SOAK=1.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.visitor import Frame, Visitor
from tests.scripted_model import Answer
from tests.servers import Stack

CASES = 500 if os.environ.get("SOAK") == "1" else 150

Transport = Literal["socket", "sse"]

tokens = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    min_size=1,
    max_size=12,
)
cuts = st.lists(
    st.tuples(st.sampled_from(["socket", "sse"]), st.integers(min_value=0, max_value=4)),
    max_size=6,
)
last_leg = st.sampled_from(["socket", "sse"])


def read_frames(
    visitor: Visitor, transport: Transport, question: str, request_id: str, after_seq: int
) -> Iterator[Frame]:
    """Connect anew, ask or resume, and yield frames until the caller hangs up."""
    if transport == "socket":
        with visitor.open_socket() as socket:
            if after_seq < 0:
                message = {"type": "message", "content": question}
                socket.send({**message, "client_request_id": request_id})
            else:
                resume = {"type": "resume", "client_request_id": request_id}
                socket.send({**resume, "after_seq": after_seq})
            while True:
                yield socket.receive()
    headers = {"Last-Event-ID": str(after_seq)} if after_seq >= 0 else {}
    body = {"message": question, "client_request_id": request_id}
    options: dict[str, Any] = {"json": body, "headers": headers, "stream": True}
    with visitor.send("POST", "/chat/stream", **options) as response:
        assert response.status_code == 200, response.text
        for line in response.iter_lines():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


@pytest.fixture(scope="module")
def person(shared_stack: Stack) -> Visitor:
    return Visitor(shared_stack.url)


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(tokens=tokens, cuts=cuts, last_leg=last_leg)
def test_any_number_of_cuts_leaves_the_text_whole_and_one_done(
    shared_stack: Stack,
    person: Visitor,
    tokens: list[str],
    cuts: list[tuple[Transport, int]],
    last_leg: Transport,
) -> None:
    request_id = uuid.uuid4().hex
    question = f"question {request_id}"
    shared_stack.model.clear()
    shared_stack.model.answer_when(request_id, Answer(tokens=tokens, delay_s=0.002))
    seen: list[Frame] = []
    for transport, frames_to_read in [*cuts, (last_leg, 10_000)]:
        if seen and seen[-1]["type"] == "done":
            break
        leg = read_frames(person, transport, question, request_id, len(seen) - 1)
        for _ in range(frames_to_read):
            seen.append(next(leg))
            if seen[-1]["type"] in {"done", "error"}:
                break
        leg.close()  # type: ignore[attr-defined]
    assert [frame["seq"] for frame in seen] == list(range(len(seen)))
    assert [frame["type"] for frame in seen].count("done") == 1
    assert "".join(f["content"] for f in seen if f["type"] == "token") == "".join(tokens)
    assert len(shared_stack.model.asked(request_id)) == 1

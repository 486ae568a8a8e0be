"""The scripted model speaks OpenAI's protocol as the openai SDK reads it, faults included."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import openai
import pytest

from tests.scripted_model import Answer, Fault, ScriptedModel
from tests.waiting import eventually


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture
def client(model: ScriptedModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model.base_url, api_key="key", max_retries=0, timeout=10) as client:
        yield client


def stream(
    client: openai.OpenAI, question: str
) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
    return client.chat.completions.create(
        model="scripted",
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )


def test_an_unscripted_question_is_echoed_token_by_token(client: openai.OpenAI) -> None:
    chunks = list(stream(client, "hello there"))
    contents = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [content for content in contents if content] == ["You", " said:", " hello", " there"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 4)


def test_a_rule_goes_before_the_queue_and_its_last_answer_stays(
    model: ScriptedModel, client: openai.OpenAI
) -> None:
    model.enqueue(Answer(tokens=["queued"]))
    model.answer_when("weather", Answer(status=500), Answer(tokens=["rain"]))
    with pytest.raises(openai.InternalServerError):
        text(client, "the weather?")
    assert text(client, "the weather?") == "rain"
    assert text(client, "the weather?") == "rain"
    assert text(client, "other") == "queued"
    assert len(model.asked("weather")) == 3
    assert model.requests[0].headers["authorization"] == "Bearer key"


def text(client: openai.OpenAI, question: str) -> str:
    chunks = (chunk for chunk in stream(client, question) if chunk.choices)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_gate_holds_the_stream_until_it_is_released(
    model: ScriptedModel, client: openai.OpenAI
) -> None:
    gate = model.gate()
    model.enqueue(Answer(tokens=["a", gate, "b"]))
    chunks = stream(client, "go")
    assert next(chunks).choices[0].delta.content == ""
    assert next(chunks).choices[0].delta.content == "a"
    gate.wait_reached()
    assert len(model.requests[0].sent_at) == 1
    gate.release()
    assert next(chunks).choices[0].delta.content == "b"
    chunks.close()


def test_a_closed_stream_is_noticed_while_the_model_waits(
    model: ScriptedModel, client: openai.OpenAI
) -> None:
    gate = model.gate()
    model.enqueue(Answer(tokens=["a", gate]))
    chunks = stream(client, "go")
    next(chunks)
    gate.wait_reached()
    assert model.requests[0].disconnected_at is None
    chunks.close()
    eventually(lambda: model.requests[0].disconnected_at, timeout=0.25)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_statuses_arrive_as_the_sdks_errors(
    model: ScriptedModel, client: openai.OpenAI, status: int, expected: type[openai.APIStatusError]
) -> None:
    model.enqueue(Answer(status=status, headers={"Retry-After": "7"}))
    with pytest.raises(expected) as caught:
        stream(client, "go")
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_cut_connection_breaks_the_stream_after_its_tokens(
    model: ScriptedModel, client: openai.OpenAI
) -> None:
    gate = model.gate()
    model.enqueue(Answer(tokens=["a", gate, Fault.CUT]))
    chunks = stream(client, "go")
    next(chunks)
    assert next(chunks).choices[0].delta.content == "a"
    gate.release()
    with pytest.raises(Exception, match=r"peer closed|reset|[Cc]onnection"):
        list(chunks)


def test_a_stream_may_end_without_saying_so(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.enqueue(Answer(tokens=["a", Fault.END]))
    chunks = list(stream(client, "go"))
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None]


def test_garbage_and_bursts_arrive(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.enqueue(Answer(tokens=["x"] * 5000, burst=True), Answer(tokens=["a", b"data: {nope\n\n"]))
    assert text(client, "burst") == "x" * 5000
    with pytest.raises(ValueError, match="Expecting"):
        text(client, "garbage")


def test_it_answers_without_streaming_and_lists_its_model(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="scripted", messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.choices[0].message.content == "You said: hi"
    assert [entry.id for entry in client.models.list()] == ["scripted"]


def test_a_stopped_model_refuses_and_a_started_one_keeps_its_port(
    model: ScriptedModel, client: openai.OpenAI
) -> None:
    address = model.base_url
    model.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", model.port))
    model.start()
    assert model.base_url == address
    assert text(client, "hi") == "You said: hi"

"""Reading a model over real HTTP: its tokens, its faults, and being told to stop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.errors import ModelError, SettingsError
from app.llm import connect
from app.llm.agent import Completion, Message
from app.llm.endpoint import EndpointModel
from app.settings import Settings, load_settings
from tests.processes import free_port
from tests.scripted_model import Answer, Fault, ScriptedModel
from tests.waiting import eventually

QUESTION = [Message(role="system", content="Be brief."), Message(role="user", content="Why?")]
DONE = b"data: [DONE]\n\n"


OPENED: list[EndpointModel] = []


@pytest.fixture(autouse=True)
def close_models() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def opened(settings: Settings) -> EndpointModel:
    OPENED.append(EndpointModel(settings))
    return OPENED[-1]


def model_of(scripted: ScriptedModel, timeout_s: float = 20.0) -> EndpointModel:
    settings = load_settings(
        _env_file=None,
        openai_base_url=scripted.base_url,
        openai_api_key="secret-key",
        chat_model="scripted",
        chat_turn_timeout_s=timeout_s,
    )
    return opened(settings)


def complete(scripted: ScriptedModel, answer: Answer, timeout_s: float = 20.0) -> Completion:
    scripted.enqueue(answer)
    return model_of(scripted, timeout_s).complete(QUESTION)


def failure(completion: Completion) -> tuple[str, ModelError]:
    """The text so far, and how it failed."""
    pieces: list[str] = []
    with pytest.raises(ModelError) as caught:
        pieces.extend(completion)
    return "".join(pieces), caught.value


def event(**chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(text: str, **choice: object) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, **choice}])


def test_tokens_come_in_order_with_usage_and_finish_reason(scripted_model: ScriptedModel) -> None:
    completion = complete(scripted_model, Answer(tokens=["Be", "cause", " 😀", "\n"]))
    assert "".join(completion) == "Because 😀\n"
    assert completion.finish_reason == "stop"
    assert completion.usage is not None
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (3, 4)


def test_the_request_is_what_an_endpoint_expects(scripted_model: ScriptedModel) -> None:
    list(complete(scripted_model, Answer(tokens=["x"])))
    (request,) = scripted_model.requests
    assert request.headers["authorization"] == "Bearer secret-key"
    assert request.messages == QUESTION
    assert request.body["model"] == "scripted"
    assert request.body["stream"] is True
    assert request.body["stream_options"] == {"include_usage": True}


def test_nothing_is_sent_before_the_answer_is_read(scripted_model: ScriptedModel) -> None:
    complete(scripted_model, Answer(tokens=["x"]))
    assert scripted_model.requests == []


def test_an_answer_cut_by_its_length_says_so(scripted_model: ScriptedModel) -> None:
    completion = complete(scripted_model, Answer(tokens=["x"], finish_reason="length"))
    assert "".join(completion) == "x"
    assert completion.finish_reason == "length"


def test_an_answer_that_its_provider_withheld_is_no_whole_one(
    scripted_model: ScriptedModel,
) -> None:
    answer = Answer(tokens=["So", " far"], finish_reason="content_filter")
    text, error = failure(complete(scripted_model, answer))
    assert (text, error.code) == ("So far", "model_filtered")


def test_each_token_is_there_before_the_next_is_sent(scripted_model: ScriptedModel) -> None:
    gate = scripted_model.gate()
    pieces = iter(complete(scripted_model, Answer(tokens=["one", gate, "two"])))
    assert next(pieces) == "one"
    gate.release()
    assert "".join(pieces) == "two"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "model_failed", True),
        (401, "model_unauthorized", False),
        (403, "model_unauthorized", False),
        (404, "model_failed", True),
        (429, "model_rate_limited", True),
        (500, "model_failed", True),
        (503, "model_failed", True),
    ],
)
def test_a_refusal_has_its_code_and_is_tried_once(
    scripted_model: ScriptedModel, status: int, code: str, retryable: bool
) -> None:
    _, error = failure(complete(scripted_model, Answer(status=status)))
    assert (error.code, error.retryable) == (code, retryable)
    assert "secret-key" not in error.message
    assert len(scripted_model.requests) == 1


def test_an_endpoint_that_is_not_there_is_unreachable() -> None:
    _, error = failure(model_of(ScriptedModel(free_port())).complete(QUESTION))
    assert (error.code, error.retryable) == ("model_unreachable", True)


@pytest.mark.parametrize("said", [[], ["Half"]])
def test_silence_beyond_the_timeout_is_a_timeout(
    scripted_model: ScriptedModel, said: list[str]
) -> None:
    gate = scripted_model.gate()
    text, error = failure(complete(scripted_model, Answer(tokens=[*said, gate]), timeout_s=0.3))
    assert (text, error.code) == ("".join(said), "model_timeout")


def test_silence_before_any_response_is_a_timeout(scripted_model: ScriptedModel) -> None:
    answer = Answer(tokens=["x"], hold=scripted_model.gate())
    _, error = failure(complete(scripted_model, answer, timeout_s=0.3))
    assert error.code == "model_timeout"


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.END])
def test_an_answer_that_breaks_off_is_cut_off_with_its_text_so_far(
    scripted_model: ScriptedModel, fault: Fault
) -> None:
    text, error = failure(complete(scripted_model, Answer(tokens=["Half", fault])))
    assert (text, error.code, error.retryable) == ("Half", "model_cut_off", True)


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {not json}\n\n",
        b"data: \xff\xfe\n\n",
        b"data: 5\n\n",
        b"data: []\n\n",
        b'data: {"choices": 5}\n\n',
        b'data: {"choices": [5]}\n\n',
        b'data: {"choices": [{"delta": "x"}]}\n\n',
        b'data: {"choices": [{"delta": {"content": ["x"]}}]}\n\n',
        b"data: " + b"x" * 1_500_000,
    ],
)
def test_what_cannot_be_understood_fails_the_answer(
    scripted_model: ScriptedModel, garbage: bytes
) -> None:
    text, error = failure(complete(scripted_model, Answer(tokens=["Half", garbage, "more"])))
    assert (text, error.code) == ("Half", "model_failed")


def test_text_that_came_together_with_an_error_is_kept(scripted_model: ScriptedModel) -> None:
    together = delta("Half") + event(error={"message": "oh"})
    text, error = failure(complete(scripted_model, Answer(tokens=[together])))
    assert (text, error.code) == ("Half", "model_failed")


def test_an_error_in_the_middle_of_the_stream_fails_the_answer(
    scripted_model: ScriptedModel,
) -> None:
    broken = event(error={"message": "CUDA out of memory at 0xdead", "code": 500})
    text, error = failure(complete(scripted_model, Answer(tokens=["Half", broken])))
    assert (text, error.code) == ("Half", "model_failed")
    assert "CUDA" not in error.message


def test_an_answer_that_failed_leaves_no_timer_behind(scripted_model: ScriptedModel) -> None:
    answer = Answer(tokens=["So ", event(error={"message": "overloaded"})])
    _, error = failure(complete(scripted_model, answer))
    assert error.__traceback__  # which holds on to what was reading
    eventually(lambda: not any(isinstance(one, threading.Timer) for one in threading.enumerate()))


@pytest.mark.parametrize(
    "harmless",
    [
        b": keep-alive\n\n",
        b"event: ping\ndata: {}\n\n",
        b"id: 7\n\n",
        b"retry: 10\n\n",
        b"\n\n\n",
        event(choices=[]),
        event(choices=None),
        event(choices=[{"index": 0, "delta": None}]),
        event(choices=[{"index": 0, "delta": {"role": "assistant", "content": None}}]),
        event(choices=[{"index": 0, "delta": {}}], usage=None),
        event(choices=[], usage={"total_tokens": 7}),
        event(choices=[], usage={"prompt_tokens": None, "completion_tokens": None}),
        event(choices=[], error=None),
    ],
)
def test_what_endpoints_send_besides_text_does_no_harm(
    scripted_model: ScriptedModel, harmless: bytes
) -> None:
    completion = complete(scripted_model, Answer(tokens=["a", harmless, "b"]))
    assert "".join(completion) == "ab"
    assert completion.usage is None or completion.usage.output_tokens >= 0


def test_lines_may_be_split_at_every_byte(scripted_model: ScriptedModel) -> None:
    stream = delta("ü") + delta("😀") + delta("end", finish_reason="stop") + DONE
    for cut in range(0, len(stream) + 1, 7):
        answer = Answer(tokens=[stream[:cut], stream[cut:], Fault.END])
        assert "".join(complete(scripted_model, answer)) == "ü😀end"
    one_by_one = [bytes((byte,)) for byte in stream]
    answer = Answer(tokens=[*one_by_one, Fault.END])
    assert "".join(complete(scripted_model, answer)) == "ü😀end"


def test_lines_may_end_as_windows_ends_them_and_the_last_not_at_all(
    scripted_model: ScriptedModel,
) -> None:
    stream = (delta("a") + delta("b")).replace(b"\n", b"\r\n")
    answer = Answer(tokens=[stream, b"data: [DONE]", Fault.END])
    assert "".join(complete(scripted_model, answer)) == "ab"


def test_an_answer_without_done_counts_as_whole_when_it_gave_a_reason(
    scripted_model: ScriptedModel,
) -> None:
    answer = Answer(tokens=[delta("a", finish_reason="length"), Fault.END])
    completion = complete(scripted_model, answer)
    assert "".join(completion) == "a"
    assert completion.finish_reason == "length"


class Page(BaseHTTPRequestHandler):
    """A web server where a model should be."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome!</html>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
        """Say nothing."""


def test_a_page_instead_of_a_stream_is_not_an_answer_that_stopped_in_its_middle() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        text, error = failure(model_of(ScriptedModel(server.server_port)).complete(QUESTION))
    assert (text, error.code) == ("", "model_failed")


def test_cancelling_wakes_whoever_reads_and_closes_the_connection(
    scripted_model: ScriptedModel,
) -> None:
    gate = scripted_model.gate()
    completion = complete(scripted_model, Answer(tokens=["one", gate, "two"]))
    pieces: list[str] = []
    reading = threading.Thread(target=lambda: pieces.extend(completion))
    reading.start()
    gate.wait_reached()
    eventually(lambda: pieces == ["one"])
    began = time.monotonic()
    completion.cancel()
    reading.join(5)
    assert time.monotonic() - began < 0.25
    assert pieces == ["one"]
    (request,) = scripted_model.requests
    eventually(lambda: request.disconnected_at, timeout=2)
    assert (request.disconnected_at or 0) - began < 0.25


def test_a_cancelled_answer_is_never_asked_for(scripted_model: ScriptedModel) -> None:
    completion = complete(scripted_model, Answer(tokens=["x"]))
    completion.cancel()
    assert list(completion) == []
    assert scripted_model.requests == []


def test_cancelling_an_answer_that_has_ended_is_fine(scripted_model: ScriptedModel) -> None:
    completion = complete(scripted_model, Answer(tokens=["x"]))
    assert list(completion) == ["x"]
    completion.cancel()


def test_the_next_answer_uses_a_fresh_start_after_a_cancelled_one(
    scripted_model: ScriptedModel,
) -> None:
    gate = scripted_model.gate()
    model = model_of(scripted_model)
    scripted_model.enqueue(Answer(tokens=["one", gate]), Answer(tokens=["two"]))
    first = model.complete(QUESTION)
    pieces = iter(first)
    assert next(pieces) == "one"
    first.cancel()
    assert list(pieces) == []
    assert "".join(model.complete(QUESTION)) == "two"


def test_many_answers_at_once_do_not_mix(scripted_model: ScriptedModel) -> None:
    model = model_of(scripted_model)
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        question = [Message(role="user", content=f"number {number}")]
        answers[number] = "".join(model.complete(question))

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for one in asking:
        one.start()
    for one in asking:
        one.join(20)
    assert answers == {number: f"You said: number {number}" for number in range(30)}


def test_without_its_process_the_embedded_model_is_unreachable(tmp_path: Path) -> None:
    model = opened(load_settings(_env_file=None, data_dir=tmp_path))
    with pytest.raises(ModelError) as caught:
        model.complete(QUESTION)
    assert caught.value.code == "model_unreachable"


def test_the_embedded_models_answers_are_bounded(
    scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    endpoint = {"base_url": scripted_model.base_url, "api_key": "k", "model": "tiny"}
    (tmp_path / "embedded-model.json").write_text(json.dumps(endpoint))
    model = opened(load_settings(_env_file=None, data_dir=tmp_path))
    long: Sequence[Message] = [
        QUESTION[0],
        *(
            Message(role=role, content="x" * 2000)
            for _ in range(10)
            for role in ("user", "assistant")
        ),
        QUESTION[1],
    ]
    list(model.complete(long))
    (request,) = scripted_model.requests
    assert request.body["model"] == "tiny"
    assert 0 < request.body["max_tokens"] <= 1024
    assert request.headers["authorization"] == "Bearer k"
    assert (request.messages[0], request.messages[-1]) == (QUESTION[0], QUESTION[1])
    assert sum(len(message["content"]) for message in request.messages) < 12_000
    roles = [message["role"] for message in request.messages[1:]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("tests.no_such_module:agent", "No module named"),
        ("tests.test_llm:no_such_name", "no_such_name"),
        ("tests.test_llm:QUESTION", "callable"),
    ],
)
def test_an_agent_that_cannot_be_used_is_one_clear_line(reference: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        connect(load_settings(_env_file=None, chat_agent=reference))
    assert caught.value.message.startswith("CHAT_AGENT: expected ")
    assert complaint in caught.value.message
    assert "\n" not in caught.value.message

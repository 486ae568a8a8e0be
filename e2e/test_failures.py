"""Every way the model can fail: a true sentence, the partial text kept, a retry, an ERROR trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, thumb, trace_id
from e2e.visitor import Visitor
from tests.scripted_model import Answer, Fault
from tests.servers import Stack
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(status=401), "model_unauthorized"),
        (Answer(status=403), "model_unauthorized"),
        (Answer(status=429, headers={"Retry-After": "0"}), "model_rate_limited"),
        (Answer(status=400), "model_failed"),
        (Answer(status=500), "model_failed"),
        (Answer(tokens=[b"data: {nope\n\n"]), "model_failed"),
        (Answer(tokens=[b'data: {"error": {"message": "no"}}\n\n', Fault.END]), "model_failed"),
        (Answer(tokens=["half", Fault.CUT]), "model_cut_off"),
        (Answer(tokens=["half", Fault.END]), "model_cut_off"),
    ],
    ids=["401", "403", "429", "400", "500", "garbage", "error-event", "cut", "ends-early"],
)
def test_each_model_failure_has_its_code_and_an_error_trace(
    stack: Stack, visitor: Visitor, answer: Answer, code: str
) -> None:
    stack.model.answer_when("fail for me", answer)
    with visitor.open_socket() as socket:
        turn = socket.ask("fail for me")
        assert turn.last["type"] == "error"
        assert turn.last["code"] == code
        assert isinstance(turn.last["retryable"], bool)
        assert turn.last["trace_state"] in {"stored", "queued"}
        assert turn.last["seq"] == len(turn.frames) - 1
        said = str(turn.last["error"])
        assert said.endswith((".", "!"))
        assert "scripted" not in said
        assert "Traceback" not in said
        assert socket.ask("and now?").text == "You said: and now?"
    eventually(lambda: stack.reader.is_stored(turn.trace_id))
    trace = stack.reader.trace(turn.trace_id)
    assert trace.info.state.value == "ERROR"
    assert "failed" in trace.info.tags.values()
    root = next(span for span in trace.data.spans if span.parent_id is None)
    assert [event.name for event in root.events] == ["exception"]


def test_an_unreachable_model_is_named_and_a_retry_works(chat: ChatPage, stack: Stack) -> None:
    stack.model.stop()
    try:
        message = chat.ask_and_wait("Anybody there?", ending="failed")
    finally:
        stack.model.start()
    assert chat.frames("error")[-1]["code"] == "model_unreachable"
    expect(message).to_contain_text(chat.frames("error")[-1]["error"])
    message.get_by_test_id("retry").click()
    again = chat.answers.last
    expect(again).to_have_attribute("data-ending", "complete", timeout=30_000)
    expect(answer_text(again)).to_have_text("You said: Anybody there?")


def test_a_cut_answer_keeps_its_text_and_takes_a_verdict(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("break", Answer(tokens=["This much", gate, Fault.CUT]))
    message = chat.ask("Please break")
    expect(answer_text(message)).to_have_text("This much")
    gate.release()
    expect(message).to_have_attribute("data-ending", "failed", timeout=30_000)
    expect(answer_text(message)).to_have_text("This much")
    expect(message).to_contain_text(chat.frames("error")[-1]["error"])
    thumb(message, "down").click()
    expect_recorded(message)
    assert stack.reader.verdict(trace_id(message)) is False
    chat.page.reload()
    expect(chat.answers.first).to_have_attribute("data-ending", "failed")
    expect(answer_text(chat.answers.first)).to_have_text("This much")
    expect(chat.answers.first.get_by_test_id("retry")).to_be_visible()


def test_a_retry_keeps_the_failed_answer_readable(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("twice", Answer(tokens=["Oh", Fault.CUT]), Answer(tokens=["Here."]))
    message = chat.ask_and_wait("Try twice", ending="failed")
    message.get_by_test_id("retry").click()
    expect(answer_text(chat.answers.last)).to_have_text("Here.")
    expect(chat.answers.last).to_have_attribute("data-ending", "complete")
    expect(chat.find("version-switch").last).to_contain_text("2 of 2")
    first, second = [frame for frame in chat.sent if frame["type"] == "message"]
    assert second["replaces"] == first["client_request_id"]


@pytest.mark.parametrize("silent", ["before", "between"])
def test_a_silent_model_ends_at_the_turn_timeout(
    stack_with: Callable[..., Stack], silent: str
) -> None:
    stack = stack_with(CHAT_TURN_TIMEOUT_S="2")
    gate = stack.model.gate()
    answers = {
        "before": Answer(tokens=["late"], hold=gate),
        "between": Answer(tokens=["early", gate]),
    }
    stack.model.answer_when("are you there", answers[silent])
    with Visitor(stack.url).open_socket() as socket:
        turn = socket.ask("are you there")
        assert turn.last["code"] == "model_timeout"
        assert turn.text == ("" if silent == "before" else "early")
        eventually(lambda: stack.model.asked("are you there")[-1].disconnected_at, timeout=2)
        assert socket.ask("next").text == "You said: next"


def test_a_burst_of_tokens_arrives_whole(chat: ChatPage, stack: Stack) -> None:
    words = [f"word{number} " for number in range(5000)]
    stack.model.answer_when("burst", Answer(tokens=words, burst=True))
    message = chat.ask_and_wait("A burst please")
    expect(answer_text(message)).to_contain_text("word4999")
    assert "".join(frame["content"] for frame in chat.frames("token")) == "".join(words)


def test_an_answer_cut_by_the_length_limit_says_so(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("long", Answer(tokens=["And so on"], finish_reason="length"))
    message = chat.ask_and_wait("Something long")
    assert chat.frames("done")[-1]["finish_reason"] == "length"
    expect(message).to_contain_text("length limit")

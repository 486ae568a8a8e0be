"""The main job: ask, watch the answer stream, judge it, and find the verdict on its trace."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from e2e.chat_page import (
    ChatPage,
    answer_text,
    expect_recorded,
    feedback_state,
    request_id,
    thumb,
    trace_id,
)
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

JUDGE_IN_THE_TICK_OF_DONE = """
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (event) => {
      const frame = JSON.parse(event.data);
      if (frame.type !== "done") return;
      window.verdict = fetch(`/feedback?trace_id=${frame.trace_id}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ is_correct: false, comment: "in the same tick" }),
      }).then((response) => response.status);
    });
  }
};
"""


def test_feedback_buttons_wait_for_the_done_frame(chat: ChatPage, stack: Stack) -> None:
    early, late = stack.model.gate(), stack.model.gate()
    answer = Answer(tokens=["Paris", early, " is the", " capital.", late])
    stack.model.answer_when("capital of France", answer)

    message = chat.ask("What is the capital of France?")
    expect(answer_text(message)).to_have_text("Paris")
    expect(message).to_have_attribute("data-ending", "streaming")
    expect(thumb(message, "up")).to_be_disabled()
    expect(thumb(message, "down")).to_be_disabled()
    expect(thumb(message, "up")).to_have_accessible_description(re.compile("once it is finished"))

    early.release()
    expect(answer_text(message)).to_have_text("Paris is the capital.")
    late.wait_reached()
    expect(thumb(message, "up")).to_be_disabled()
    assert not chat.frames("done")

    late.release()
    expect(message).to_have_attribute("data-ending", "complete")
    expect(thumb(message, "up")).to_be_enabled()
    expect(thumb(message, "down")).to_be_enabled()
    assert [frame["seq"] for frame in chat.received] == list(range(len(chat.received)))
    assert [frame["type"] for frame in chat.received][:2] == ["start", "token"]
    assert len(chat.frames("done")) == 1
    assert chat.received[-1]["type"] == "done"
    assert "".join(frame["content"] for frame in chat.frames("token")) == answer.text
    assert trace_id(message) == chat.received[-1]["trace_id"]


def test_a_verdict_is_saved_then_recorded_on_the_exact_trace(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("Is the verdict kept?")
    thumb(message, "down").click()
    expect(thumb(message, "down")).to_have_attribute("aria-pressed", "true")
    expect(feedback_state(message)).to_have_attribute("data-state", re.compile("saved|recorded"))
    message.get_by_test_id("comment").fill("It should have said why.")
    message.get_by_test_id("comment-save").click()
    reader = stack.reader
    eventually(lambda: reader.verdicts(trace_id(message))[0].rationale)
    expect_recorded(message)

    [verdict] = reader.verdicts(trace_id(message))
    assert verdict.name == "user_feedback"
    assert verdict.value is False
    assert verdict.rationale == "It should have said why."
    assert verdict.source_type == "HUMAN"
    assert verdict.metadata["client_request_id"] == request_id(message)
    user = reader.trace(trace_id(message)).info.trace_metadata["mlflow.trace.user"]
    assert verdict.source_id == user


def test_a_turn_leaves_one_complete_trace(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("trace of this", Answer(tokens=["Here", " it", " is."]))
    message = chat.ask_and_wait("Where is the trace of this?")
    reader = stack.reader
    eventually(lambda: reader.is_stored(trace_id(message)))

    trace = reader.trace(trace_id(message))
    [root] = [span for span in trace.data.spans if span.parent_id is None]
    assert root.name == "chat_turn"
    assert "Where is the trace of this?" in str(root.inputs)
    assert "Here it is." in str(root.outputs)
    child = reader.model_span(trace.info.trace_id)
    assert child.parent_id == root.span_id
    asked = stack.model.requests[-1].messages
    words = sum(len(entry["content"].split()) for entry in asked)
    assert trace.info.token_usage == {
        "input_tokens": words,
        "output_tokens": 3,
        "total_tokens": words + 3,
    }
    assert trace.info.client_request_id == request_id(message)
    assert trace.info.trace_metadata["mlflow.trace.session"] in chat.page.url
    assert trace.info.trace_metadata["mlflow.trace.user"]
    assert trace.info.state.value == "OK"
    assert "complete" in trace.info.tags.values()


def test_a_change_of_mind_keeps_one_assessment(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("Will I change my mind?")
    thumb(message, "up").click()
    expect_recorded(message)
    assert stack.reader.verdict(trace_id(message)) is True
    thumb(message, "down").click()
    expect(thumb(message, "up")).to_have_attribute("aria-pressed", "false")
    eventually(lambda: stack.reader.verdict(trace_id(message)) is False)
    assert len(stack.reader.verdicts(trace_id(message))) == 1


def test_a_withdrawn_verdict_leaves_nothing_behind(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("Will I withdraw this?")
    thumb(message, "up").click()
    expect_recorded(message)
    thumb(message, "up").click()
    expect(thumb(message, "up")).to_have_attribute("aria-pressed", "false")
    eventually(lambda: not stack.reader.verdicts(trace_id(message)))


def test_feedback_sent_in_the_same_tick_as_done_is_recorded(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    def judge_at_once(page: Page) -> None:
        page.add_init_script(JUDGE_IN_THE_TICK_OF_DONE)

    chat = open_page(stack.url, judge_at_once)
    message = chat.ask_and_wait("How fast may I judge?")
    assert chat.page.evaluate("window.verdict") == 200
    eventually(lambda: stack.reader.verdict(trace_id(message)) is False)
    [verdict] = stack.reader.verdicts(trace_id(message))
    assert verdict.rationale == "in the same tick"


def test_a_second_question_carries_the_conversation(chat: ChatPage, stack: Stack) -> None:
    chat.ask_and_wait("My name is Ada.")
    chat.ask_and_wait("What is my name?")
    roles = [entry["role"] for entry in stack.model.requests[-1].messages]
    assert roles == ["system", "user", "assistant", "user"]
    said = [entry["content"] for entry in stack.model.requests[-1].messages[1:3]]
    assert said == ["My name is Ada.", "You said: My name is Ada."]
    sessions = {session_of(stack, trace_id(chat.answers.nth(index))) for index in range(2)}
    assert len(sessions) == 1


def session_of(stack: Stack, trace: str) -> str:
    eventually(lambda: stack.reader.is_stored(trace))
    return stack.reader.trace(trace).info.trace_metadata["mlflow.trace.session"]


def test_a_reload_brings_back_the_conversation_and_its_verdicts(chat: ChatPage) -> None:
    message = chat.ask_and_wait("Will this **survive** a reload?")
    thumb(message, "down").click()
    expect_recorded(message)
    before = trace_id(message)
    chat.page.reload()
    again = chat.answers.first
    expect(again).to_have_attribute("data-ending", "complete")
    expect(answer_text(again)).to_contain_text("You said: Will this survive a reload?")
    expect(thumb(again, "down")).to_have_attribute("aria-pressed", "true")
    expect(feedback_state(again)).to_have_attribute("data-state", "recorded")
    assert trace_id(again) == before
    expect(chat.find("message-user")).to_contain_text("survive")


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("go on", Answer(tokens=["first half,", gate, " second half"]))
    message = chat.ask("Please go on")
    expect(answer_text(message)).to_contain_text("first half,")
    chat.page.reload()
    again = chat.answers.first
    expect(answer_text(again)).to_contain_text("first half,")
    expect(again).to_have_attribute("data-ending", "streaming")
    gate.release()
    expect(again).to_have_attribute("data-ending", "complete")
    expect(answer_text(again)).to_have_text("first half, second half")
    assert len(stack.model.asked("go on")) == 1

"""The verdict on the page under bad luck: lost posts, late answers, refusals, other versions."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, feedback_state, thumb, trace_id
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

FEEDBACK = "**/feedback?*"
UNSENT = "localStorage.length"
ONLINE = "window.dispatchEvent(new Event('online'))"


def test_a_verdict_is_kept_and_sent_when_the_server_is_back(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("Will it wait?")
    chat.page.route(FEEDBACK, lambda route: route.abort())
    thumb(message, "down").click()
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    chat.page.reload()
    message = chat.answers.first
    expect(thumb(message, "down")).to_have_attribute("aria-pressed", "true")
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    chat.page.unroute(FEEDBACK)
    chat.page.evaluate(ONLINE)
    expect_recorded(message)
    assert chat.page.evaluate(UNSENT) == 0
    assert stack.reader.verdict(trace_id(message)) is False


def test_a_verdict_left_unsent_goes_out_on_the_next_visit(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("Left behind?")
    trace = trace_id(message)
    chat.page.route(FEEDBACK, lambda route: route.abort())
    thumb(message, "up").click()
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    left = chat.page.url
    chat.page.unroute(FEEDBACK)
    chat.page.goto("/")
    expect(chat.composer).to_be_editable()
    eventually(lambda: chat.page.evaluate(UNSENT) == 0)
    eventually(lambda: stack.reader.verdict(trace) is True)
    chat.page.goto(left)
    expect(thumb(chat.answers.first, "up")).to_have_attribute("aria-pressed", "true")
    expect_recorded(chat.answers.first)


def test_a_refused_verdict_is_rolled_back_with_the_reason(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("Refuse me")
    thumb(message, "up").click()
    expect_recorded(message)
    refusal = {"error": {"code": "invalid_value", "message": "No room."}}
    chat.page.route(FEEDBACK, lambda route: route.fulfill(status=422, json=refusal))
    thumb(message, "down").click()
    expect(feedback_state(message)).to_have_attribute("data-state", "refused")
    expect(feedback_state(message)).to_contain_text("No room.")
    expect(thumb(message, "up")).to_have_attribute("aria-pressed", "true")
    assert stack.reader.verdict(trace_id(message)) is True


def test_a_late_reply_never_overwrites_a_newer_choice(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("Late?")
    held: list[Route] = []

    def hold_the_first_post(route: Route) -> None:
        if not held and route.request.method == "POST":
            held.append(route)
        else:
            route.continue_()

    chat.page.route(FEEDBACK, hold_the_first_post)
    thumb(message, "up").click()
    # Playwright hands routes over only while it is called.
    eventually(lambda: (chat.page.evaluate("1"), held)[1])
    thumb(message, "down").click()
    expect(thumb(message, "down")).to_have_attribute("aria-pressed", "true")
    held[0].continue_()
    expect_recorded(message)
    expect(thumb(message, "down")).to_have_attribute("aria-pressed", "true")
    expect(thumb(message, "up")).to_have_attribute("aria-pressed", "false")
    eventually(lambda: stack.reader.verdict(trace_id(message)) is False)


def test_each_version_has_its_own_trace_and_verdict(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("coin", Answer(tokens=["heads"]), Answer(tokens=["tails"]))
    message = chat.ask_and_wait("Toss a coin")
    heads = trace_id(message)
    thumb(message, "down").click()
    expect_recorded(message)
    chat.find("regenerate").click()
    again = chat.answers.last
    expect(answer_text(again)).to_have_text("tails")
    expect(again).to_have_attribute("data-ending", "complete")
    expect(chat.find("version-switch").last).to_contain_text("2 of 2")
    expect(thumb(again, "down")).to_have_attribute("aria-pressed", "false")
    tails = trace_id(again)
    thumb(again, "up").click()
    expect_recorded(again)
    assert heads != tails
    eventually(lambda: stack.reader.verdict(heads) is False)
    eventually(lambda: stack.reader.verdict(tails) is True)
    sessions = {
        stack.reader.trace(trace).info.trace_metadata["mlflow.trace.session"]
        for trace in (heads, tails)
    }
    assert len(sessions) == 1

    chat.page.reload()
    expect(answer_text(chat.answers.last)).to_have_text("tails")
    expect(thumb(chat.answers.last, "up")).to_have_attribute("aria-pressed", "true")
    chat.page.get_by_role("button", name="Earlier answer").click()
    expect(answer_text(chat.answers.last)).to_have_text("heads")
    expect(chat.find("version-switch").last).to_contain_text("1 of 2")
    expect(thumb(chat.answers.last, "down")).to_have_attribute("aria-pressed", "true")
    assert trace_id(chat.answers.last) == heads
    expect(chat.page.get_by_role("button", name="Later answer")).to_be_focused()


def test_a_stopped_answer_can_be_judged_after_a_reload(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("half", Answer(tokens=["half of it", gate, " and the rest"]))
    message = chat.ask("Only half")
    expect(answer_text(message)).to_have_text("half of it")
    chat.find("stop").click()
    expect(message).to_have_attribute("data-ending", "stopped")
    chat.page.reload()
    again = chat.answers.first
    expect(answer_text(again)).to_have_text("half of it")
    thumb(again, "down").click()
    expect_recorded(again)
    eventually(lambda: stack.reader.verdict(trace_id(again)) is False)

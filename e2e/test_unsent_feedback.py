"""Nothing said is lost from the click on: lost replies, closed tabs, other tabs, refusals."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Route, expect

from e2e.chat_page import ChatPage, expect_recorded, feedback_state, thumb, trace_id
from e2e.feedback_panel import chip, open_panel, panel, part_state, rate, stars, write
from tests.servers import Stack
from tests.waiting import eventually

FEEDBACK = "**/feedback?*"
UNSENT = "localStorage.length"


def test_what_is_said_offline_is_sent_when_online(chat: ChatPage, stack: Stack) -> None:
    message = open_panel(chat, "Go offline")
    expect_recorded(message)
    chat.page.context.set_offline(True)
    chip(message, "Incorrect").click()
    rate(message, "Accuracy", 1)
    write(message, "correction", "Something else.")
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    expect(part_state(chip(message, "Incorrect"))).to_have_text("Will retry")
    assert chat.page.evaluate(UNSENT) == 3
    chat.page.context.set_offline(False)
    expect_recorded(message)
    said = {
        "user_feedback": False,
        "user_reasons": ["Incorrect"],
        "user_accuracy": 0.2,
        "expected_response": "Something else.",
    }
    eventually(lambda: stack.reader.opinions(trace_id(message)) == said)
    assert chat.page.evaluate(UNSENT) == 0


def test_a_first_verdict_given_offline_is_kept_and_its_panel_opens_later(
    chat: ChatPage, stack: Stack
) -> None:
    message = chat.ask_and_wait("Offline from the start")
    chat.page.context.set_offline(True)
    thumb(message, "up").click()
    expect(thumb(message, "up")).to_have_attribute("aria-pressed", "true")
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    chat.page.context.set_offline(False)
    expect(panel(message)).to_be_visible()
    expect_recorded(message)
    assert stack.reader.verdict(trace_id(message)) is True


def test_a_server_killed_before_its_reply_leaves_one_assessment(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with()
    chat = open_page(stack.url)
    message = open_panel(chat, "Die before you reply")
    expect_recorded(message)
    keys: list[str | None] = []

    def kill_between(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) == 1:
            assert route.fetch().ok  # applied, but the page never hears of it
            stack.web.kill9()
        route.continue_()

    chat.page.route(FEEDBACK, kill_between)
    chip(message, "Harmful").click()
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    stack.web.start()
    expect_recorded(message)
    said = {"user_feedback": False, "user_reasons": ["Harmful"]}
    eventually(lambda: stack.reader.opinions(trace_id(message)) == said)
    posts = [key for key in keys if key]
    assert len(posts) > 1
    assert len(set(posts)) == 1


def test_a_tab_closed_at_once_after_the_click_has_sent_it(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    chat = open_page(stack.url)
    message = chat.ask_and_wait("Click and close")
    trace = trace_id(message)
    thumb(message, "down").evaluate("(button) => { button.click(); window.close(); }")
    chat.page.close()
    eventually(lambda: stack.reader.verdict(trace) is False)


def test_what_waits_its_turn_goes_out_as_the_tab_closes(chat: ChatPage, stack: Stack) -> None:
    message = open_panel(chat, "Switch and close")
    chip(message, "Incorrect").click()
    write(message, "correction", "Not this.")
    expect_recorded(message)
    trace = trace_id(message)
    thumb(message, "up").evaluate("(button) => { button.click(); location = 'about:blank'; }")
    eventually(lambda: stack.reader.opinions(trace) == {"user_feedback": True})


def test_a_refused_part_is_rolled_back_alone_with_its_reason(chat: ChatPage, stack: Stack) -> None:
    message = open_panel(chat, "Refuse a part")
    rate(message, "Accuracy", 4)
    expect_recorded(message)
    refusal = {"error": {"code": "invalid_value", "message": "No such rating."}}
    chat.page.route(FEEDBACK, lambda route: route.fulfill(status=422, json=refusal))
    rate(message, "Accuracy", 1)
    expect(part_state(stars(message, "Accuracy", 4))).to_have_text("Not accepted: No such rating.")
    expect(stars(message, "Accuracy", 4)).to_be_checked()
    expect(feedback_state(message)).to_have_attribute("data-state", "refused")
    assert chat.page.evaluate(UNSENT) == 0
    chat.page.unroute(FEEDBACK)
    rate(message, "Accuracy", 3)
    expect_recorded(message)
    said = {"user_feedback": False, "user_accuracy": 0.6}
    eventually(lambda: stack.reader.opinions(trace_id(message)) == said)


def test_another_tab_shows_what_is_said_here(chat: ChatPage, stack: Stack) -> None:
    message = chat.ask_and_wait("In two tabs")
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    there = other.answers.first
    expect(thumb(there, "up")).to_be_enabled()
    thumb(message, "up").click()
    expect(thumb(there, "up")).to_have_attribute("aria-pressed", "true")
    expect_recorded(there)
    thumb(there, "down").click()
    chip(there, "Harmful").click()
    expect(thumb(message, "down")).to_have_attribute("aria-pressed", "true")
    expect(chip(message, "Harmful")).to_have_attribute("aria-pressed", "true")
    said = {"user_feedback": False, "user_reasons": ["Harmful"]}
    eventually(lambda: stack.reader.opinions(trace_id(message)) == said)


def test_another_tab_shows_what_was_said_and_answered_while_it_was_still_loading(
    chat: ChatPage,
) -> None:
    message = chat.ask_and_wait("In two tabs, one of them slow")
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    there = other.answers.first
    expect(thumb(there, "up")).to_be_enabled()
    held: list[Route] = []
    other.page.route("**/feedback/view.js", lambda route: held.append(route))
    with other.page.expect_request("**/feedback/view.js"):
        thumb(message, "up").click()
    expect_recorded(message)
    assert chat.page.evaluate(UNSENT) == 0
    held[0].continue_()
    expect(thumb(there, "up")).to_have_attribute("aria-pressed", "true")
    expect_recorded(there)


def test_an_older_choice_of_one_tab_never_goes_over_a_newer_one_of_another(
    chat: ChatPage, stack: Stack
) -> None:
    message = open_panel(chat, "Older and newer", "up")
    expect_recorded(message)
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    there = other.answers.first
    expect(thumb(there, "up")).to_have_attribute("aria-pressed", "true")
    chat.page.route(FEEDBACK, lambda route: route.abort())
    write(message, "comment", "older")
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    thumb(there, "down").click()
    expect_recorded(there)
    chat.page.unroute(FEEDBACK)
    chat.page.evaluate("window.dispatchEvent(new Event('online'))")
    expect_recorded(message)
    expect(thumb(message, "down")).to_have_attribute("aria-pressed", "true")
    eventually(lambda: stack.reader.verdict(trace_id(message)) is False)
    assert chat.page.evaluate(UNSENT) == 0


def test_what_a_closed_tab_left_is_sent_by_the_one_still_open(chat: ChatPage, stack: Stack) -> None:
    message = open_panel(chat, "Left to another tab", "up")
    expect_recorded(message)
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    expect(thumb(other.answers.first, "up")).to_have_attribute("aria-pressed", "true")
    other.page.route(FEEDBACK, lambda route: route.abort())
    thumb(other.answers.first, "down").click()
    expect(feedback_state(other.answers.first)).to_have_attribute("data-state", "retrying")
    other.page.close()
    expect(thumb(message, "down")).to_have_attribute("aria-pressed", "true")
    expect_recorded(message)
    eventually(lambda: stack.reader.verdict(trace_id(message)) is False)

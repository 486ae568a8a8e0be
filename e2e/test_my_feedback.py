"""My feedback: everything one said, to be changed and taken back; and to be forgotten."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from e2e.chat_page import (
    ChatPage,
    answer_text,
    expect_recorded,
    feedback_state,
    request_id,
    thumb,
    trace_id,
)
from e2e.feedback_panel import chip, open_panel, rate, write
from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 640}, "has_touch": True},
}


WIDER_THAN_THE_PAGE = """[...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth)
  .map((one) => `${one.localName}.${one.getAttribute("class")}`)"""

TOP_OF = """(id) => document.getElementById(id).getBoundingClientRect().top
  - document.querySelector("#scroller").getBoundingClientRect().top"""


def cards(page: Page) -> Locator:
    return page.get_by_test_id("card")


def part(card: Locator, name: str) -> Locator:
    """The row of a card that shows what was said under this name."""
    return card.get_by_test_id("said").filter(has_text=name)


def expect_in_mlflow(stack: Stack, trace: str, opinions: dict[str, object]) -> None:
    eventually(lambda: stack.reader.opinions(trace) == opinions, timeout=30)


def judge_two_answers(chat: ChatPage) -> list[str]:
    """Say a lot of one answer and little of the next; returns their traces."""
    first = open_panel(chat, "About **apples**")
    chip(first, "Incomplete").click()
    rate(first, "Accuracy", 2)
    write(first, "comment", "Where are the pears?")
    write(first, "correction", "Apples and pears.")
    expect_recorded(first)
    second = open_panel(chat, "About plums", "up")
    expect_recorded(second)
    return [trace_id(first), trace_id(second)]


def open_my_feedback(chat: ChatPage) -> Page:
    chat.find("my-feedback").click()
    expect(chat.page.get_by_role("heading", name="My feedback")).to_be_visible()
    return chat.page


def test_it_lists_each_answer_with_all_that_was_said_in_words(chat: ChatPage) -> None:
    judge_two_answers(chat)
    page = open_my_feedback(chat)
    expect(cards(page)).to_have_count(2)
    expect(cards(page).first).to_contain_text("About plums")
    expect(part(cards(page).first, "Verdict")).to_contain_text("Good answer")
    card = cards(page).nth(1)
    expect(card).to_contain_text("You said: About apples")
    expect(part(card, "Verdict")).to_contain_text("Bad answer")
    expect(part(card, "Comment")).to_contain_text("Where are the pears?")
    expect(part(card, "Reasons")).to_contain_text("Incomplete")
    expect(part(card, "Accuracy").get_by_role("img", name="2 of 5 stars")).to_be_visible()
    expect(part(card, "Should have said")).to_contain_text("Apples and pears.")
    for row in card.get_by_test_id("said").all():
        expect(row.locator(".part-state")).to_have_text("Recorded")
    card.get_by_role("link", name="About **apples**").click()
    expect(answer_text(chat.answers.first)).to_be_in_viewport()
    expect(answer_text(chat.answers.first)).to_contain_text("apples")


def test_a_link_leads_to_its_answer_in_a_long_conversation(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("at length", Answer(tokens=["One line.\n\n" * 60]))
    for number in range(4):
        chat.ask_and_wait(f"Speak at length, part {number}")
    message = chat.answers.nth(2)
    thumb(message, "up").click()
    expect_recorded(message)
    judged = request_id(message)
    page = open_my_feedback(chat)
    cards(page).get_by_role("link", name="part 2").click()
    expect(chat.answers).to_have_count(4)
    expect(chat.answers.last).to_have_attribute("data-ending", "complete")
    eventually(lambda: abs(page.evaluate(TOP_OF, judged)) < 2)
    chat.page.evaluate("new Promise((done) => requestIdleCallback(done))")
    assert abs(page.evaluate(TOP_OF, judged)) < 2, "it stays there"


def test_it_changes_and_takes_back_where_it_lists(chat: ChatPage, stack: Stack) -> None:
    apples, plums = judge_two_answers(chat)
    page = open_my_feedback(chat)
    thumb(cards(page).first, "down").click()
    expect(part(cards(page).first, "Verdict")).to_contain_text("Bad answer")
    eventually(lambda: stack.reader.opinions(plums) == {"user_feedback": False})

    card = cards(page).nth(1)
    said = {"user_feedback": False, "user_reasons": ["Incomplete"], "user_accuracy": 0.4}
    for name, left in (("Should have said", said), ("Reasons", {**said, "user_reasons": None})):
        part(card, name).get_by_role("button").focus()
        page.keyboard.press("Enter")
        expect(part(card, name)).to_have_count(0)
        # The focus stays in the card, on something to go on with.
        expect(card.locator(":focus")).to_have_count(1)
        kept = {key: value for key, value in left.items() if value is not None}
        expect_in_mlflow(stack, apples, kept)
    part(card, "Comment").get_by_role("button").click()
    eventually(lambda: not stack.reader.verdicts(apples)[0].rationale)
    expect(part(card, "Comment")).to_have_count(0)

    part(card, "Verdict").get_by_role("button", name="Take all back").click()
    expect(card.get_by_test_id("said")).to_have_count(0)
    eventually(lambda: stack.reader.opinions(apples) == {})
    page.reload()
    expect(cards(page)).to_have_count(1)


def test_it_is_empty_before_anything_is_said(chat: ChatPage) -> None:
    page = open_my_feedback(chat)
    expect(page.get_by_text("Nothing yet")).to_be_visible()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_more_than_a_page_is_shown_on_request_and_grouped(
    open_page: Callable[..., ChatPage], stack: Stack, visitor: Visitor
) -> None:
    for question in ("First", "Second"):
        turn = visitor.send("POST", "/chat", json={"message": question}).json()
        for number in range(30):
            query = {"client_request_id": turn["client_request_id"]}
            body = {"name": f"{question} {number}", "value": "said"}
            assert visitor.send("POST", "/feedback", params=query, json=body).ok
    chat = open_page(stack.url)
    mine = [
        {"name": one.name, "value": f"{one.value}", "url": stack.url}
        for one in visitor.http.cookies
    ]
    chat.page.context.add_cookies(mine)  # type: ignore[arg-type]
    page = open_my_feedback(chat)
    expect(page.get_by_test_id("said")).to_have_count(30)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_test_id("said")).to_have_count(60)
    expect(cards(page)).to_have_count(2)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_a_verdict_not_sent_yet_is_mentioned_and_listed_once_it_is(chat: ChatPage) -> None:
    message = chat.ask_and_wait("Not sent yet")
    chat.page.route("**/feedback?*", lambda route: route.abort())
    thumb(message, "up").click()
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")
    page = open_my_feedback(chat)
    expect(page.get_by_text("still in this browser")).to_be_visible()
    page.unroute("**/feedback?*")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(cards(page)).to_have_count(1)
    expect(page.get_by_text("still in this browser")).to_be_hidden()


def forget(page: Page) -> None:
    page.get_by_test_id("forget").click()
    page.get_by_test_id("confirm-forget").click()
    expect(page.get_by_role("heading", name="You are forgotten here")).to_be_focused()


def test_forget_me_says_what_went_and_what_mlflow_keeps(chat: ChatPage, stack: Stack) -> None:
    traces = judge_two_answers(chat)
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    other.composer.fill("a draft")
    page = open_my_feedback(chat)
    page.get_by_test_id("forget").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Kept in MLflow")
    dialog.get_by_role("button", name="Keep everything").click()
    expect(cards(page)).to_have_count(2)
    forget(page)
    expect(page.locator("main")).to_contain_text("1 conversation was deleted here")
    expect(page.locator("main")).to_contain_text("MLflow keeps 2 traces")
    assert sorted(page.get_by_test_id("traces").locator("li").all_inner_texts()) == sorted(traces)
    assert all(stack.reader.is_stored(trace) for trace in traces)
    # The other tab leaves what it showed, and no tab keeps anything.
    expect(other.answers).to_have_count(0)
    expect(other.composer).to_have_value("")
    for tab in (page, other.page):
        assert tab.evaluate("localStorage.length + sessionStorage.length") == 0
    page.get_by_role("link", name="Begin anew").click()
    expect(chat.composer).to_be_editable()
    expect(chat.find("conversation-item")).to_have_count(0)


def test_forget_me_reaches_a_tab_that_shows_my_feedback(chat: ChatPage) -> None:
    judge_two_answers(chat)
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    other.composer.fill("a draft")
    expect(cards(open_my_feedback(other))).to_have_count(2)
    forget(open_my_feedback(chat))
    expect(other.page).to_have_url(re.compile("[^/]/$"))
    expect(other.composer).to_have_value("")
    assert other.page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_forget_me_deletes_the_traces_where_the_operator_permits(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with(FORGET_DELETES_TRACES="true")
    chat = open_page(stack.url)
    judge_two_answers(chat)
    page = open_my_feedback(chat)
    page.get_by_test_id("forget").click()
    expect(page.get_by_role("dialog")).to_contain_text("Deleted in MLflow")
    page.keyboard.press("Escape")
    forget(page)
    expect(page.locator("main")).to_contain_text("2 traces will be deleted in MLflow")
    eventually(lambda: stack.reader.traces() == [], timeout=30)


def test_forget_me_waits_for_a_running_answer(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("slowly", Answer(tokens=["Still", gate, " here."]))
    message = chat.ask("Answer slowly")
    expect(answer_text(message)).to_have_text("Still")
    other = chat.page.context.new_page()
    other.goto("/my-feedback")
    other.get_by_test_id("forget").click()
    other.get_by_test_id("confirm-forget").click()
    expect(other.get_by_role("alert")).to_be_visible()
    expect(other.get_by_role("alert")).not_to_be_empty()
    gate.release()
    expect(message).to_have_attribute("data-ending", "complete")
    forget(other)
    # This tab leaves what it showed, too; it has settled again before the test ends.
    expect(chat.answers).to_have_count(0)
    expect(chat.composer).to_be_editable()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_no_violation_on_it(
    open_page: Callable[..., ChatPage], stack: Stack, look: str
) -> None:
    chat = open_page(stack.url, **LOOKS[look])
    if look == "narrow":
        chat.page.locator("#menu").click()
    page = open_my_feedback(chat)
    expect(page.get_by_text("Nothing yet")).to_be_visible()
    expect_no_violation(page)
    page.goto("/")
    judge_two_answers(chat)
    page.goto("/my-feedback")
    expect(cards(page)).to_have_count(2)
    expect_no_violation(page)
    assert page.evaluate(WIDER_THAN_THE_PAGE) == []
    page.get_by_test_id("forget").click()
    expect_no_violation(page)
    page.keyboard.press("Escape")
    forget(page)
    expect_no_violation(page)


def expect_no_violation(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()

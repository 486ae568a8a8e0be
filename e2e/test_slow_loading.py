"""A conversation that is still loading, or could not be: what is asked there belongs there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, Route, expect

from e2e.chat_page import ChatPage, answer_text
from tests.scripted_model import Answer
from tests.servers import Stack

RECORDS = "**/conversations/*"


@contextmanager
def slow_records(page: Page) -> Iterator[None]:
    """Let no conversation's record arrive before the block ends."""
    waiting: list[Route] = []
    page.route(RECORDS, lambda route: waiting.append(route))
    yield
    assert waiting
    for route in waiting:
        route.continue_()
    page.unroute(RECORDS)


def open_again(chat: ChatPage) -> None:
    """Reload a conversation, until its record is asked for."""
    with chat.page.expect_request(RECORDS):
        chat.page.reload()


def send(chat: ChatPage, question: str) -> None:
    chat.composer.fill(question)
    chat.composer.press("Enter")


def begin_two(chat: ChatPage) -> tuple[str, str]:
    """Two conversations, the second one open; returns their addresses."""
    chat.ask_and_wait("About apples")
    apples = chat.page.url
    chat.find("new-chat").click()
    chat.ask_and_wait("About pears")
    return apples, chat.page.url


def go_to_apples(chat: ChatPage) -> None:
    with chat.page.expect_request(RECORDS):
        chat.find("conversation-item").filter(has_text="apples").get_by_role("link").click()


def test_a_question_sent_while_its_conversation_loads_is_asked_there(
    chat: ChatPage, stack: Stack
) -> None:
    chat.ask_and_wait("About apples")
    address = chat.page.url
    with slow_records(chat.page):
        open_again(chat)
        send(chat, "And about pears?")
        expect(chat.composer).to_have_value("And about pears?")
    expect(chat.answers).to_have_count(2)
    expect(answer_text(chat.answers.nth(1))).to_have_text("You said: And about pears?")
    expect(chat.answers.nth(1)).to_have_attribute("data-ending", "complete")
    expect(chat.composer).to_have_value("")
    assert chat.page.url == address
    [asked] = stack.model.asked("about pears")
    assert "About apples" in str(asked.messages)
    expect(chat.find("conversation-item")).to_have_count(1)


def test_who_goes_elsewhere_meanwhile_takes_no_question_along(chat: ChatPage, stack: Stack) -> None:
    begin_two(chat)
    with slow_records(chat.page):
        go_to_apples(chat)
        send(chat, "Are they red?")
        chat.find("new-chat").click()
        expect(chat.composer).to_have_value("")
    chat.ask_and_wait("Something else")
    expect(chat.answers).to_have_count(1)
    assert not stack.model.asked("Are they red?")
    go_to_apples(chat)
    expect(chat.composer).to_have_value("Are they red?")


def test_a_question_waits_for_the_answer_that_its_conversation_turns_out_to_be_giving(
    chat: ChatPage, stack: Stack
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("slowly", Answer(tokens=["one ", gate, "two"]))
    expect(answer_text(chat.ask("Answer slowly"))).to_contain_text("one")
    with slow_records(chat.page):
        open_again(chat)
        send(chat, "And now?")
    expect(chat.find("stop")).to_be_visible()
    expect(chat.composer).to_have_value("And now?")
    gate.release()
    expect(chat.answers.first).to_have_attribute("data-ending", "complete")
    expect(chat.composer).to_have_value("And now?")
    # A whole turn later it has still not gone off by itself.
    chat.ask_and_wait("Something else")
    assert not stack.model.asked("And now?")


def test_a_conversation_that_could_not_be_loaded_takes_questions_once_it_can(
    chat: ChatPage, stack: Stack
) -> None:
    chat.ask_and_wait("About apples")
    address = chat.page.url
    chat.page.route(RECORDS, lambda route: route.abort())
    chat.page.reload()
    expect(chat.page.get_by_text("could not be loaded")).to_be_visible()
    send(chat, "And about pears?")
    expect(chat.composer).to_have_value("And about pears?")
    chat.page.unroute(RECORDS)
    chat.page.reload()
    expect(chat.composer).to_have_value("And about pears?")
    chat.composer.press("Enter")
    expect(answer_text(chat.answers.nth(1))).to_have_text("You said: And about pears?")
    assert chat.page.url == address
    assert len(stack.model.asked("about pears")) == 1


def test_what_is_still_shown_is_regenerated_where_it_belongs(chat: ChatPage) -> None:
    _, pears = begin_two(chat)
    with slow_records(chat.page):
        go_to_apples(chat)
        chat.find("regenerate").click()
        expect(chat.answers).to_have_attribute("data-ending", "complete")
        expect(chat.find("version-switch")).to_contain_text("2 of 2")
    expect(answer_text(chat.answers)).to_have_text("You said: About apples")
    assert pears.endswith(chat.sent[-1]["conversation_id"])

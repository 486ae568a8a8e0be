"""Conversations on the page: names, addresses, history, other devices, and what a reload keeps."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, Route, expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, feedback_state, thumb, trace_id
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

NOTHING_HERE = "There is no such conversation here"


def rename(chat: ChatPage, item: Locator, title: str, key: str = "Enter") -> None:
    item.hover()
    item.get_by_test_id("conversation-rename").click()
    expect(item.get_by_role("textbox")).to_be_focused()
    chat.page.keyboard.type(title)
    chat.page.keyboard.press(key)


def delete(chat: ChatPage, item: Locator) -> None:
    item.hover()
    item.get_by_test_id("conversation-delete").click()
    dialog = chat.page.get_by_role("dialog")
    expect(dialog).to_contain_text("stay in MLflow")
    dialog.get_by_test_id("confirm-delete").click()


def test_the_open_conversation_is_renamed_everywhere_and_escape_changes_nothing(
    chat: ChatPage,
) -> None:
    chat.ask_and_wait("First title")
    item = chat.find("conversation-item")
    expect(item).to_contain_text("First title")
    rename(chat, item, "Second title")
    expect(item).to_contain_text("Second title")
    expect(chat.page).to_have_title(re.compile("Second title"))
    rename(chat, item, "Never", key="Escape")
    expect(item).to_contain_text("Second title")
    chat.page.reload()
    expect(item).to_contain_text("Second title")
    expect(chat.page).to_have_title(re.compile("Second title"))


def test_after_a_renaming_by_key_the_focus_is_on_the_conversation(chat: ChatPage) -> None:
    chat.ask_and_wait("First title")
    item = chat.find("conversation-item")
    for key, title in (("Enter", "Second title"), ("Escape", "Never")):
        rename(chat, item, title, key)
        expect(item.get_by_role("link")).to_be_focused()
        expect(item).to_contain_text("Second title")


def test_a_renaming_never_takes_the_focus_from_where_one_types_now(chat: ChatPage) -> None:
    chat.ask_and_wait("First title")
    item = chat.find("conversation-item")
    waiting: list[Route] = []
    chat.page.route("**/conversations/*", lambda route: waiting.append(route))
    rename(chat, item, "Second title", key="Shift")
    with chat.page.expect_request("**/conversations/*"):
        chat.composer.click()
    waiting[0].continue_()
    expect(item).to_contain_text("Second title")
    expect(chat.composer).to_be_focused()


def test_a_title_takes_what_the_server_takes(chat: ChatPage) -> None:
    chat.ask_and_wait("First title")
    item = chat.find("conversation-item")
    rename(chat, item, "x" * 100)
    expect(item.get_by_role("link")).to_have_text("x" * 80)


def test_keys_of_a_composition_neither_rename_nor_stop(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("compose", Answer(tokens=["one ", gate, "two"]))
    message = chat.ask("compose")
    expect(answer_text(message)).to_contain_text("one")
    # In Safari the key that ends a composition comes after it, and tells by its code alone.
    composing = {"keyCode": 229}
    chat.composer.dispatch_event("keydown", {"key": "Escape", **composing})
    gate.release()
    expect(message).to_have_attribute("data-ending", "complete")
    item = chat.find("conversation-item")
    item.hover()
    item.get_by_test_id("conversation-rename").click()
    field = item.get_by_role("textbox")
    for key in ("Enter", "Escape"):
        field.dispatch_event("keydown", {"key": key, **composing})
        expect(field).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(field).to_have_count(0)


def test_a_deleted_conversation_is_gone_here_and_its_traces_stay_in_mlflow(
    chat: ChatPage, stack: Stack
) -> None:
    message = chat.ask_and_wait("Forget this")
    trace, address = trace_id(message), chat.page.url
    thumb(message, "up").click()
    expect_recorded(message)
    delete(chat, chat.find("conversation-item"))
    expect(chat.find("conversation-item")).to_have_count(0)
    expect(chat.answers).to_have_count(0)
    assert chat.page.url.endswith("/")
    assert stack.reader.is_stored(trace)
    assert stack.reader.verdict(trace) is True
    chat.page.goto(address)
    expect(chat.page.get_by_text(NOTHING_HERE)).to_be_visible()
    chat.ask_and_wait("Still working?")
    assert chat.page.url != address


def test_a_conversation_that_is_answering_is_deleted_only_after_a_stop(
    chat: ChatPage, stack: Stack
) -> None:
    # Deleted at once, the trace of the running answer would have nobody to end it.
    gate = stack.model.gate()
    stack.model.answer_when("doomed", Answer(tokens=["one ", gate, "two"]))
    message = chat.ask("doomed")
    expect(answer_text(message)).to_contain_text("one")
    item = chat.find("conversation-item")
    delete(chat, item)
    expect(chat.page.get_by_text("still running; stop it first").first).to_be_visible()
    expect(item).to_have_count(1)
    chat.find("stop").click()
    expect(message).to_have_attribute("data-ending", "stopped")
    trace = trace_id(message)
    delete(chat, item)
    expect(item).to_have_count(0)
    expect(chat.answers).to_have_count(0)
    eventually(lambda: stack.reader.is_stored(trace))
    assert stack.reader.trace(trace).info.tags["thumbprint.ending"] == "stopped"
    chat.ask_and_wait("Still working?")
    expect(item).to_have_count(1)


def test_back_and_forward_walk_through_the_conversations(chat: ChatPage) -> None:
    chat.ask_and_wait("apples")
    apples = chat.page.url
    chat.find("new-chat").click()
    chat.ask_and_wait("pears")
    pears = chat.page.url
    assert apples != pears
    # The address of a new chat became the conversation's own when it began.
    chat.page.go_back()
    expect(chat.page).to_have_url(apples)
    expect(answer_text(chat.answers)).to_have_text("You said: apples")
    chat.page.go_forward()
    expect(chat.page).to_have_url(pears)
    expect(answer_text(chat.answers)).to_have_text("You said: pears")


def test_who_leaves_while_it_streams_comes_back_to_the_same_answer(
    chat: ChatPage, stack: Stack
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("wander", Answer(tokens=["one ", gate, "two"]))
    message = chat.ask("wander")
    expect(answer_text(message)).to_contain_text("one")
    left = chat.page.url
    chat.find("new-chat").click()
    expect(chat.answers).to_have_count(0)
    expect(chat.find("send")).to_be_visible()
    chat.ask_and_wait("meanwhile")
    chat.page.go_back()
    expect(chat.page).to_have_url(left)
    expect(answer_text(chat.answers.first)).to_contain_text("one")
    expect(chat.find("stop")).to_be_visible()
    gate.release()
    expect(chat.answers.first).to_have_attribute("data-ending", "complete")
    expect(answer_text(chat.answers.first)).to_have_text("one two")


def test_another_device_of_the_same_person_sees_history_and_verdicts(
    chat: ChatPage, open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    stack.model.answer_when("dice", Answer(tokens=["four"]), Answer(tokens=["six"]))
    message = chat.ask_and_wait("Throw the dice")
    thumb(message, "down").click()
    expect_recorded(message)
    chat.find("regenerate").click()
    expect(answer_text(chat.answers.last)).to_have_text("six")
    expect(chat.answers.last).to_have_attribute("data-ending", "complete")

    mine = chat.page.context.cookies()
    identity = {"cookies": mine, "origins": []}
    device = open_page(stack.url, storage_state=identity)
    expect(device.find("conversation-item")).to_contain_text("Throw the dice")
    device.find("conversation-item").get_by_role("link").click()
    again = device.answers.last
    expect(answer_text(again)).to_have_text("six")
    device.page.get_by_role("button", name="Earlier answer").click()
    expect(answer_text(again)).to_have_text("four")
    expect(thumb(again, "down")).to_have_attribute("aria-pressed", "true")
    expect(feedback_state(again)).to_have_attribute("data-state", "recorded")

    thumb(again, "up").click()
    expect_recorded(again)
    eventually(lambda: stack.reader.verdict(trace_id(again)) is True)
    chat.page.reload()
    chat.page.get_by_role("button", name="Earlier answer").click()
    expect(thumb(chat.answers.last, "up")).to_have_attribute("aria-pressed", "true")


def test_a_draft_survives_a_reload(chat: ChatPage) -> None:
    chat.composer.fill("half a thought")
    chat.page.reload()
    expect(chat.composer).to_have_value("half a thought")
    chat.ask_and_wait("half a thought, finished")
    expect(chat.composer).to_have_value("")
    chat.page.reload()
    expect(chat.composer).to_have_value("")


def test_a_draft_in_a_conversation_begun_here_survives_a_reload(chat: ChatPage) -> None:
    chat.ask_and_wait("Begin")
    chat.composer.fill("the next thought")
    chat.page.reload()
    expect(chat.composer).to_have_value("the next thought")
    chat.find("new-chat").click()
    expect(chat.composer).to_have_value("")


def test_a_message_too_long_is_told_and_not_sent(chat: ChatPage) -> None:
    chat.composer.fill("x" * 8001)
    expect(chat.find("send")).to_be_disabled()
    expect(chat.find("send")).to_have_accessible_description(re.compile("too long to send by 1"))
    chat.composer.press("Enter")
    expect(chat.answers).to_have_count(0)
    chat.composer.fill("😀" * 8000)
    expect(chat.find("send")).to_be_enabled()


def expanded(page: Page, name: str) -> bool:
    """What the browser tells assistive technology of a popover's button, all by itself."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    [button] = [
        node
        for node in tree["nodes"]
        if node.get("role", {}).get("value") == "button" and node["name"]["value"] == name
    ]
    [told] = [one["value"]["value"] for one in button["properties"] if one["name"] == "expanded"]
    return bool(told)


def test_on_a_phone_the_conversations_are_in_a_drawer(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    chat = open_page(stack.url, viewport={"width": 360, "height": 700})
    chat.ask_and_wait("hello")
    menu = chat.page.get_by_role("button", name="Conversations")
    assert expanded(chat.page, "Conversations") is False
    menu.click()
    expect(chat.find("conversation-item")).to_be_visible()
    assert expanded(chat.page, "Conversations") is True
    chat.page.keyboard.press("Escape")
    expect(chat.find("conversation-item")).not_to_be_visible()
    expect(menu).to_be_focused()
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_an_unknown_conversation_is_told_and_a_new_one_can_begin(chat: ChatPage) -> None:
    chat.page.goto("/c/nothing-here")
    expect(chat.page.get_by_text(NOTHING_HERE)).to_be_visible()
    chat.ask_and_wait("fresh")
    expect(chat.page.get_by_text(NOTHING_HERE)).not_to_be_visible()

"""My feedback when something goes wrong, or is longer, older or otherwise named than usual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from e2e.chat_page import ChatPage, expect_recorded, feedback_state, request_id, thumb
from e2e.test_my_feedback import cards, judge_two_answers, open_my_feedback, part
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

FEEDBACK = "**/feedback?*"
ONLINE = "window.dispatchEvent(new Event('online'))"
DIRECTION = "(one) => getComputedStyle(one).direction"


def post(chat: ChatPage, path: str, message: Locator, body: object = None, **query: Any) -> None:
    """Say something of an answer as other programs do, as the person of this page."""
    params = {"client_request_id": request_id(message), **query}
    answer = chat.page.request.post(path, params=params, data=body)
    assert answer.ok, answer.text()


def say(chat: ChatPage, message: Locator, name: str, value: object, **more: str) -> None:
    post(chat, "/feedback", message, {"name": name, "value": value, **more})


def kept_of(chat: ChatPage, turn: str) -> list[dict[str, Any]]:
    """What was said of a turn, as the server has it."""
    answer = chat.page.request.get("/feedback", params={"client_request_id": turn})
    kept: list[dict[str, Any]] = answer.json()["feedback"]
    return kept


def said_of(chat: ChatPage, turn: str) -> dict[str, tuple[object, str | None]]:
    """Value and rationale by name."""
    return {one["name"]: (one["value"], one["rationale"]) for one in kept_of(chat, turn)}


def states_of(chat: ChatPage, turn: str) -> set[str]:
    return {one["state"] for one in kept_of(chat, turn)}


def leave_unsent(chat: ChatPage, message: Locator, direction: str) -> None:
    chat.page.route(FEEDBACK, lambda route: route.fulfill(status=503, json={}))
    thumb(message, direction).click()
    expect(feedback_state(message)).to_have_attribute("data-state", "retrying")


def send_now(page: Page) -> None:
    page.unroute(FEEDBACK)
    page.evaluate(ONLINE)


def unsent_line(page: Page) -> Locator:
    return page.get_by_text("still in this browser")


def test_what_was_said_of_an_answer_comes_whole_however_long_ago(chat: ChatPage) -> None:
    first = chat.ask_and_wait("About apples")
    turn = request_id(first)
    say(chat, first, "user_feedback", False, rationale="Where are the pears?")
    second = chat.ask_and_wait("About plums")
    for number in range(49):
        say(chat, second, f"n{number}", number)
    say(chat, first, "user_reasons", ["Incomplete"])
    # What is on its way to MLflow is looked up again, turn by turn; what is there is not.
    eventually(lambda: states_of(chat, turn) == {"recorded"}, timeout=60)
    page = open_my_feedback(chat)
    card = cards(page).first
    expect(thumb(card, "down")).to_have_attribute("aria-pressed", "true")
    expect(part(card, "Comment")).to_contain_text("Where are the pears?")
    part(card, "Reasons").get_by_role("button").click()
    expect(part(card, "Reasons")).to_have_count(0)
    whole = {"user_feedback": (False, "Where are the pears?")}
    eventually(lambda: said_of(chat, turn) == whole)
    part(card, "Verdict").get_by_role("button", name="Take all back").click()
    expect(card.get_by_test_id("said")).to_have_count(0)
    eventually(lambda: said_of(chat, turn) == {})


def test_forget_me_refused_says_so_where_it_was_asked_for_and_lastingly(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    chat = open_page(stack.url, viewport={"width": 600, "height": 420})
    judge_two_answers(chat)
    chat.page.clock.install()
    chat.page.goto("/my-feedback")
    page = chat.page
    expect(cards(page)).to_have_count(2)
    refusal = {"error": {"code": "unavailable", "message": "The database is away."}}
    page.route("**/forget-me", lambda route: route.fulfill(status=503, json=refusal))
    confirm_forgetting(page)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("The database is away.")
    expect(alert).to_be_in_viewport()
    page.clock.fast_forward(60_000)
    expect(alert).to_be_in_viewport()


def test_forget_me_without_an_answer_claims_to_know_nothing(chat: ChatPage) -> None:
    page = open_my_feedback(chat)
    page.route("**/forget-me", lambda route: route.abort("timedout"))
    confirm_forgetting(page)
    expect(page.get_by_role("alert")).to_contain_text("No answer came")
    expect(page.get_by_text("could not be reached")).to_have_count(0)
    page.unroute("**/forget-me")
    confirm_forgetting(page)
    expect(page.get_by_role("heading", name="You are forgotten here")).to_be_focused()
    expect(page.get_by_role("alert")).to_have_count(0)


def confirm_forgetting(page: Page) -> None:
    page.get_by_test_id("forget").click()
    page.get_by_test_id("confirm-forget").click()


def test_an_unsent_verdict_that_is_refused_in_the_end_says_why(chat: ChatPage) -> None:
    message = chat.ask_and_wait("Soon deleted")
    leave_unsent(chat, message, "up")
    page = open_my_feedback(chat)
    expect(unsent_line(page)).to_be_visible()
    (conversation,) = page.request.get("/conversations").json()["conversations"]
    assert page.request.delete(f"/conversations/{conversation['id']}").ok
    send_now(page)
    expect(page.get_by_role("alert")).to_contain_text("No turn of yours has this ID.")
    expect(unsent_line(page)).to_be_hidden()


def test_the_line_about_unsent_words_goes_when_all_of_them_are_sent(chat: ChatPage) -> None:
    message = chat.ask_and_wait("With a card")
    thumb(message, "up").click()
    expect_recorded(message)
    leave_unsent(chat, message, "down")
    page = open_my_feedback(chat)
    expect(cards(page)).to_have_count(1)
    expect(unsent_line(page)).to_be_visible()
    send_now(page)
    expect(part(cards(page).first, "Verdict")).to_contain_text("Bad answer")
    expect(unsent_line(page)).to_be_hidden()


def test_one_verdict_sent_leaves_the_line_about_another(chat: ChatPage) -> None:
    first, second = (chat.ask_and_wait(text) for text in ("Goes out", "Stays here"))
    stuck = f"**/feedback?*{request_id(second)}*"
    for message in (first, second):
        thumb(message, "up").click()
        expect_recorded(message)
    for message in (first, second):
        leave_unsent(chat, message, "down")
    page = open_my_feedback(chat)
    expect(cards(page)).to_have_count(2)
    page.route(stuck, lambda route: route.fulfill(status=503, json={}))
    send_now(page)
    state = part(cards(page).nth(1), "Verdict").locator(".part-state")
    expect(state).to_have_text("Recorded")
    expect(unsent_line(page)).to_be_visible()
    page.unroute(stuck)
    page.evaluate(ONLINE)
    expect(unsent_line(page)).to_be_hidden()


def test_show_more_without_more_keeps_the_focus_on_the_list(chat: ChatPage) -> None:
    older = chat.ask_and_wait("Taken back meanwhile")
    say(chat, older, "user_feedback", True)
    turn = request_id(older)
    newer = chat.ask_and_wait("Fills a page")
    for number in range(50):
        say(chat, newer, f"n{number}", number)
    page = open_my_feedback(chat)
    more = page.get_by_role("button", name="Show more")
    more.focus()
    thumb_of_it = f"/feedback?client_request_id={turn}&name=user_feedback"
    assert page.request.delete(thumb_of_it).ok
    page.keyboard.press("Enter")
    expect(more).to_be_hidden()
    expect(cards(page).get_by_role("link", name="Fills a page")).to_be_focused()


def test_a_long_refusal_leaves_room_for_what_it_is_about(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    chat = open_page(stack.url, viewport={"width": 360, "height": 640})
    message = chat.ask_and_wait("Refuse me")
    thumb(message, "up").click()
    expect_recorded(message)
    page = chat.page
    page.goto("/my-feedback")
    words = "The rating could not be taken, because there are far too many of them already."
    refusal = {"error": {"code": "invalid_value", "message": words}}
    page.route(FEEDBACK, lambda route: route.fulfill(status=422, json=refusal))
    row = part(cards(page).first, "Verdict")
    for width in (360, 900):
        page.set_viewport_size({"width": width, "height": 640})
        thumb(cards(page).first, "down").click()
        expect(row).to_contain_text(words)
        for place in (".name", ".value"):
            box = row.locator(place).bounding_box()
            assert box, place
            assert box["width"] > 80, (width, place)


def test_a_comment_on_stars_is_shown_and_can_be_taken_back_alone(chat: ChatPage) -> None:
    message = chat.ask_and_wait("Rated by a program")
    turn = request_id(message)
    post(chat, "/detailed-feedback", message, accuracy=2, comment="Where are the pears?")
    page = open_my_feedback(chat)
    comment = part(cards(page).first, "Comment")
    expect(comment).to_contain_text("Where are the pears?")
    comment.get_by_role("button").click()
    expect(comment).to_have_count(0)
    expect(part(cards(page).first, "Accuracy").get_by_role("img")).to_be_visible()
    eventually(lambda: said_of(chat, turn) == {"user_accuracy": (0.4, None)})


def test_names_of_other_programs_are_only_names(chat: ChatPage) -> None:
    message = chat.ask_and_wait("Named by a program")
    say(chat, message, "user_feedback", True, rationale="my own words")
    say(chat, message, "comment", "a program's words")
    say(chat, message, "constructor", "anything")
    page = open_my_feedback(chat)
    names = cards(page).first.get_by_test_id("said").locator(".name")
    expect(names).to_have_count(4)
    # The two that no panel knows come in the order in which they were taken.
    assert sorted(names.all_inner_texts()) == ["Comment", "Comment", "Constructor", "Verdict"]
    expect(part(cards(page).first, "my own words")).to_have_count(1)
    expect(part(cards(page).first, "a program's words")).to_have_count(1)


def test_each_text_runs_in_the_direction_of_its_own_script(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("שלום", Answer(tokens=["שלום גם לך"]))
    message = chat.ask_and_wait("שלום לכולם")
    say(chat, message, "user_feedback", True, rationale="תודה רבה")
    page = open_my_feedback(chat)
    card = cards(page).first
    comment = part(card, "Comment").locator(".value")
    for text in (card.get_by_role("heading"), card.locator(".excerpt"), comment):
        expect(text).to_be_visible()
        assert text.evaluate(DIRECTION) == "rtl"
    assert part(card, "Verdict").locator(".value").evaluate(DIRECTION) == "ltr"

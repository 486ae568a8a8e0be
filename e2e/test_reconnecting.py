"""The connection is lost, the page is reloaded, another tab looks on: the answer stays one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from e2e.chat_page import ChatPage, answer_text, request_id, thumb, trace_id
from e2e.cutting_proxy import CuttingProxy
from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

# The page's own end of a loss: its sockets are closed, and new ones lead nowhere while `barred`.
HOLD_SOCKETS = """
window.sockets = [];
window.barred = false;
window.WebSocket = class extends WebSocket {
  constructor(url) {
    super(window.barred ? "/ws/nowhere" : url);
    window.sockets.push(this);
  }
};
"""
LOSE_ALL = "barred = true; for (const socket of sockets) socket.close()"
NETWORK_RETURNS = "barred = false; window.dispatchEvent(new Event('online'))"

VISIBLE = "document.dispatchEvent(new Event('visibilitychange'))"


def hold_sockets(page: Page) -> None:
    page.add_init_script(HOLD_SOCKETS)


@pytest.fixture
def proxy(stack: Stack) -> Iterator[CuttingProxy]:
    """A network between page and server that can be cut."""
    with CuttingProxy(stack.url) as proxy:
        yield proxy


def expect_whole(message: Locator, text: str) -> None:
    expect(message).to_have_attribute("data-ending", "complete", timeout=30_000)
    expect(answer_text(message)).to_have_text(text)


def test_a_network_cut_again_and_again_changes_nothing_in_the_answer(
    open_page: Callable[..., ChatPage], stack: Stack, proxy: CuttingProxy
) -> None:
    gates = [stack.model.gate() for _ in range(3)]
    steps = ("one ", gates[0], "two ", gates[1], "three ", gates[2], "four")
    stack.model.answer_when("cut me", Answer(tokens=steps))
    chat = open_page(proxy.url)
    message = chat.ask("cut me")
    for word, gate in zip(("one", "two", "three"), gates, strict=True):
        expect(answer_text(message)).to_contain_text(word)
        proxy.cut_once()
        gate.release()
    expect_whole(message, "one two three four")
    expect(chat.answers).to_have_count(1)
    assert len(stack.model.asked("cut me")) == 1
    assert len(chat.frames("done")) == 1
    assert [frame["seq"] for frame in chat.received] == list(range(len(chat.received)))


def test_an_answer_that_ended_while_the_network_was_away_is_there_when_it_returns(
    open_page: Callable[..., ChatPage], stack: Stack, proxy: CuttingProxy
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("away", Answer(tokens=["one ", gate, "two"]))
    chat = open_page(proxy.url)
    message = chat.ask("far away")
    expect(answer_text(message)).to_contain_text("one")
    proxy.cut()
    expect(chat.find("connection-state")).not_to_be_empty()
    gate.release()
    eventually(lambda: stack.model.asked("far away")[0].ended_at)
    # By its own backoff: nothing tells the page that the way is free.
    eventually(lambda: (chat.page.evaluate("1"), proxy.refused >= 2)[1], timeout=20)
    expect(message).to_have_attribute("data-ending", "streaming")
    proxy.restore()
    expect_whole(message, "one two")
    expect(chat.find("connection-state")).to_be_empty()
    expect(thumb(message, "up")).to_be_enabled()


def test_a_question_sent_into_a_dead_network_is_asked_once(
    open_page: Callable[..., ChatPage], stack: Stack, proxy: CuttingProxy
) -> None:
    chat = open_page(proxy.url)
    proxy.cut()
    message = chat.ask("while away")
    proxy.restore()
    expect_whole(message, "You said: while away")
    assert len(stack.model.asked("while away")) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
def test_a_question_that_never_got_through_is_asked_once_after_a_reload(
    open_page: Callable[..., ChatPage], stack: Stack, begun: bool
) -> None:
    chat = open_page(stack.url, hold_sockets)
    if begun:
        chat.ask_and_wait("before")
    chat.page.evaluate(LOSE_ALL)
    chat.ask("while away")
    chat.composer.fill("the next thought")
    chat.page.reload()  # the way is free again
    expect_whole(chat.answers.nth(int(begun)), "You said: while away")
    expect(chat.composer).to_have_value("the next thought")
    chat.page.reload()
    expect_whole(chat.answers.nth(int(begun)), "You said: while away")
    expect(chat.composer).to_have_value("the next thought")
    expect(chat.answers).to_have_count(1 + begun)
    assert len(stack.model.asked("while away")) == 1
    chat.find("new-chat").click()
    expect(chat.answers).to_have_count(0)
    expect(chat.composer).to_have_value("")


def test_a_question_whose_acknowledgement_was_lost_is_asked_once_whatever_is_reloaded(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    chat = open_page(stack.url, hold_sockets)
    chat.page.evaluate("sockets[0].onmessage = null")
    chat.ask("acknowledge this")
    eventually(lambda: (chat.page.evaluate("1"), chat.frames("done"))[1])
    chat.page.reload()
    expect_whole(chat.answers.first, "You said: acknowledge this")
    expect(chat.answers).to_have_count(1)
    assert len(stack.model.asked("acknowledge this")) == 1


def test_a_refused_question_is_still_there_after_a_reload(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with(RATE_LIMIT_MESSAGES="1/hour")
    chat = open_page(stack.url)
    chat.ask_and_wait("taken")
    chat.ask_and_wait("refused", ending="failed")
    chat.page.reload()
    expect(chat.find("message-user").nth(1)).to_have_text("refused")
    expect(chat.answers.nth(1)).to_have_attribute("data-ending", "failed")
    expect(chat.answers.nth(1).get_by_test_id("retry")).to_be_visible()


def test_a_refused_question_that_was_left_is_not_asked_again(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with(RATE_LIMIT_MESSAGES="1/hour")
    chat = open_page(stack.url)
    chat.ask_and_wait("taken")
    chat.find("new-chat").click()
    expect(chat.answers).to_have_count(0)
    chat.ask_and_wait("refused", ending="failed")
    chat.find("new-chat").click()
    expect(chat.answers).to_have_count(0)
    chat.page.reload()
    expect(chat.page.locator("#welcome")).to_be_visible()
    expect(chat.answers).to_have_count(0)


def test_a_question_stopped_before_it_got_through_is_not_asked_after_a_reload(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    chat = open_page(stack.url, hold_sockets)
    chat.page.evaluate(LOSE_ALL)
    chat.ask("never mind")
    chat.find("stop").click()
    chat.page.reload()
    chat.ask_and_wait("after all")
    expect(chat.answers).to_have_count(1)
    assert stack.model.asked("never mind") == []


def test_a_question_taken_while_another_conversation_is_open_is_not_asked_again(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    chat = open_page(stack.url, hold_sockets)
    chat.ask_and_wait("the first")
    chat.find("new-chat").click()
    chat.page.evaluate(LOSE_ALL)
    chat.ask("the second")
    chat.find("conversation-item").get_by_text("the first").click()
    expect_whole(chat.answers.first, "You said: the first")
    chat.page.evaluate(NETWORK_RETURNS)
    eventually(lambda: stack.model.asked("the second"))
    expect(chat.find("conversation-item").get_by_text("the second")).to_be_visible()
    chat.find("new-chat").click()
    chat.page.reload()
    expect(chat.page.locator("#welcome")).to_be_visible()
    expect(chat.answers).to_have_count(0)
    assert len(stack.model.asked("the second")) == 1


def test_a_loss_during_the_first_words_never_asks_the_model_twice(
    open_page: Callable[..., ChatPage], stack: Stack, proxy: CuttingProxy
) -> None:
    # The question gets through; its acknowledgement, the start frame, may not.
    gate = stack.model.gate()
    stack.model.answer_when("acknowledge", Answer(tokens=["yes"], hold=gate))
    chat = open_page(proxy.url)
    message = chat.ask("acknowledge this")
    gate.wait_reached()
    proxy.cut_once()
    gate.release()
    expect_whole(message, "yes")
    assert len(stack.model.asked("acknowledge")) == 1


def test_a_loss_is_told_and_the_online_event_heals_it_at_once(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("long cut", Answer(tokens=["one ", gate, "two"]))
    chat = open_page(stack.url, hold_sockets)
    message = chat.ask("long cut")
    expect(answer_text(message)).to_contain_text("one")
    chat.page.evaluate(LOSE_ALL)
    expect(chat.find("connection-state")).to_contain_text("No connection")
    gate.release()
    chat.page.evaluate(NETWORK_RETURNS)
    expect_whole(message, "one two")
    expect(chat.find("connection-state")).to_be_empty()


def test_a_first_connection_that_takes_its_time_is_not_called_lost(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    def bar_sockets(page: Page) -> None:
        page.add_init_script(HOLD_SOCKETS + "barred = true;")

    chat = open_page(stack.url, bar_sockets)
    expect(chat.find("connection-state")).to_have_text("No connection. Trying to connect…")
    chat.page.evaluate(NETWORK_RETURNS)
    expect(chat.find("connection-state")).to_be_empty()


@pytest.mark.parametrize(
    "event", ["window.dispatchEvent(new Event('online'))", VISIBLE], ids=["online", "visible"]
)
def test_the_page_connects_in_the_very_tick_it_may(
    open_page: Callable[..., ChatPage], stack: Stack, event: str
) -> None:
    chat = open_page(stack.url, hold_sockets)
    chat.page.evaluate(LOSE_ALL)
    # Between two attempts of the backoff; one that is under way would make a new one needless.
    made = f"() => sockets.at(-1).readyState < 2 ? 0 : -sockets.length + ({event}, sockets.length)"
    eventually(lambda: chat.page.evaluate(made) == 1)
    chat.page.evaluate(NETWORK_RETURNS)
    expect(chat.find("connection-state")).to_be_empty()
    chat.ask_and_wait("here again")


def test_a_proxy_that_closes_idle_sockets_costs_nothing(
    open_page: Callable[..., ChatPage], stack: Stack, proxy: CuttingProxy
) -> None:
    chat = open_page(proxy.url)
    expect_whole(chat.ask("before the pause"), "You said: before the pause")
    proxy.cut_once()
    expect_whole(chat.ask("after the pause"), "You said: after the pause")
    assert len(stack.model.asked("after the pause")) == 1
    expect(chat.find("connection-state")).to_be_empty()


def test_a_second_tab_watches_the_same_turn(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("two tabs", Answer(tokens=["one ", gate, "two"]))
    message = chat.ask("two tabs")
    expect(answer_text(message)).to_contain_text("one")
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    expect(answer_text(other.answers.first)).to_contain_text("one")
    gate.release()
    for each in (chat, other):
        expect_whole(each.answers.first, "one two")
        assert len(each.frames("done")) == 1
    assert trace_id(message) == trace_id(other.answers.first)
    assert len(stack.model.asked("two tabs")) == 1


def test_a_stop_in_another_tab_never_grows_back(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("stop elsewhere", Answer(tokens=["one ", gate, "two"]))
    message = chat.ask("stop elsewhere")
    expect(answer_text(message)).to_contain_text("one")
    other = ChatPage(chat.page.context.new_page()).open(chat.page.url)
    expect(answer_text(other.answers.first)).to_contain_text("one")
    other.page.keyboard.press("Escape")
    expect(message).to_have_attribute("data-ending", "stopped")
    expect(message).to_contain_text("Stopped by you")
    gate.release()
    eventually(lambda: stack.model.asked("stop elsewhere")[0].ended_at)
    for _ in range(2):
        chat.page.reload()
        expect(chat.answers.first).to_have_attribute("data-ending", "stopped")
        expect(answer_text(chat.answers.first)).to_have_text("one")
    expect(thumb(chat.answers.first, "up")).to_be_enabled()


def test_a_server_that_restarted_has_kept_the_answer(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with()
    chat = open_page(stack.url)
    message = chat.ask_and_wait("kept?")
    asked = request_id(message)
    stack.web.restart()
    chat.page.reload()
    expect_whole(chat.answers.first, "You said: kept?")
    visitor = Visitor(stack.url)
    visitor.http.cookies.clear()
    for cookie in chat.page.context.cookies():
        visitor.http.cookies.set(cookie["name"], cookie["value"])
    with visitor.open_socket() as socket:
        # Its frames are gone with the old process, so there is nothing to go on from ...
        socket.send({"type": "resume", "client_request_id": asked, "after_seq": 1})
        expired = socket.receive()
        assert (expired["type"], expired["code"]) == ("error", "turn_expired")
        assert expired["client_request_id"] == asked
        # ... but from the start it can be had whole.
        socket.send({"type": "resume", "client_request_id": asked, "after_seq": -1})
        frames = [socket.receive() for _ in range(3)]
    assert [frame["type"] for frame in frames] == ["start", "token", "done"]
    assert frames[1]["content"] == "You said: kept?"

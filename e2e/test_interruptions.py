"""The process dies in the middle of an answer: the turn ends honestly and can be asked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, thumb, trace_id
from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually


def only_turn(visitor: Visitor, conversation_id: str) -> dict[str, Any]:
    """The one turn of a conversation as the history tells it."""
    [turn] = visitor.send("GET", f"/conversations/{conversation_id}").json()["turns"]
    assert isinstance(turn, dict)
    return turn


def test_a_killed_process_leaves_an_interrupted_turn_with_its_text_and_trace(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with()
    visitor = Visitor(stack.url)
    gate = stack.model.gate()
    stack.model.answer_when("cut short", Answer(tokens=["the beginning", gate, " the end"]))
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("cut short"), "token")
        conversation = turn.conversation_id
        # The watch notes a turn's text every second; wait until it has.
        eventually(lambda: only_turn(visitor, conversation)["answer"] == "the beginning")
        stack.web.kill9()
    gate.release()
    stack.web.start()
    ended = eventually(
        lambda: (found := only_turn(visitor, conversation))["ending"] == "interrupted" and found,
        timeout=30,
    )
    assert ended["answer"] == "the beginning"
    assert ended["error"]["code"] == "interrupted"
    assert ended["error"]["retryable"] is True
    trace = ended["trace_id"]
    eventually(lambda: stack.reader.is_stored(trace), timeout=30)
    info = stack.reader.trace(trace).info
    assert info.tags["thumbprint.ending"] == "interrupted"
    assert str(info.state) == "ERROR"
    assert info.client_request_id == turn.client_request_id
    assert info.response_preview == "the beginning"
    assert visitor.judge(False, trace_id=trace).status_code == 200
    eventually(lambda: stack.reader.verdict(trace) is False, timeout=30)

    stack.model.answer_when("cut short", Answer(tokens=["whole"]))
    with visitor.open_socket() as socket:
        again = socket.ask("cut short", replaces=turn.client_request_id)
    assert again.text == "whole"
    assert again.conversation_id == conversation


def test_the_page_says_so_and_one_click_asks_again(
    stack_with: Callable[..., Stack], open_page: Callable[..., ChatPage]
) -> None:
    stack = stack_with()
    chat = open_page(stack.url)
    gate = stack.model.gate()
    stack.model.answer_when("dies", Answer(tokens=["half", gate, " whole"]))
    message = chat.ask("This one dies")
    expect(answer_text(message)).to_have_text("half")
    gate.wait_reached()
    stack.web.kill9()
    gate.release()
    stack.web.start()
    expect(message).to_have_attribute("data-ending", "interrupted", timeout=40_000)
    stack.model.answer_when("dies", Answer(tokens=["alive"]))
    message.get_by_test_id("retry").click()
    expect(chat.answers).to_have_attribute("data-ending", "complete", timeout=20_000)
    expect(answer_text(chat.answers)).to_have_text("alive")
    thumb(chat.answers, "up").click()
    expect_recorded(chat.answers)
    assert stack.reader.verdict(trace_id(chat.answers)) is True

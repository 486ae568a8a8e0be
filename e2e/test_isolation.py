"""What one person says and judges is nobody else's business."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from e2e.chat_page import ChatPage, answer_text
from e2e.visitor import Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually


def test_two_browsers_never_mix(open_page: Callable[..., ChatPage], stack: Stack) -> None:
    first, second = open_page(stack.url), open_page(stack.url)
    gates = [stack.model.gate(), stack.model.gate()]
    stack.model.answer_when("I am red", Answer(tokens=["red one", gates[0], " red two"]))
    stack.model.answer_when("I am blue", Answer(tokens=["blue one", gates[1], " blue two"]))
    red, blue = first.ask("I am red"), second.ask("I am blue")
    expect(answer_text(red)).to_have_text("red one")
    expect(answer_text(blue)).to_have_text("blue one")
    gates[1].release()
    expect(blue).to_have_attribute("data-ending", "complete")
    expect(red).to_have_attribute("data-ending", "streaming")
    gates[0].release()
    expect(answer_text(red)).to_have_text("red one red two")
    expect(answer_text(blue)).to_have_text("blue one blue two")
    assert "blue" not in str(first.received)
    assert "red " not in str(second.received)
    expect(red).to_have_attribute("data-ending", "complete")
    assert all(len(page.received) == 4 for page in (first, second))
    expect(first.find("conversation-item")).to_have_count(1)

    first.ask_and_wait("who are you?")
    messages = stack.model.asked("who are you?")[0].messages
    assert "blue" not in str(messages)


def test_nobody_else_can_read_judge_resume_or_stop_a_turn(stack: Stack, visitor: Visitor) -> None:
    stranger = Visitor(stack.url)
    with visitor.open_socket() as socket:
        turn = socket.ask("private")
    assert stranger.judge(True, trace_id=turn.trace_id).status_code == 403
    assert stranger.judge(True, client_request_id=turn.client_request_id).status_code == 404
    assert stranger.send("GET", f"/conversations/{turn.conversation_id}").status_code == 404
    assert stranger.send("DELETE", f"/conversations/{turn.conversation_id}").status_code == 404
    assert stranger.send("GET", "/conversations").json() == {"conversations": []}
    with stranger.open_socket() as socket:
        resume = {"type": "resume", "client_request_id": turn.client_request_id, "after_seq": -1}
        socket.send(resume)
        assert socket.receive()["code"] == "unknown_turn"
        socket.send({"type": "message", "content": "x", "conversation_id": turn.conversation_id})
        assert socket.receive()["code"] == "unknown_conversation"
    eventually(lambda: stack.reader.is_stored(turn.trace_id))
    assert stack.reader.verdicts(turn.trace_id) == []


def test_the_same_request_id_of_two_people_is_two_turns(stack: Stack, visitor: Visitor) -> None:
    stranger = Visitor(stack.url)
    with visitor.open_socket() as ours, stranger.open_socket() as theirs:
        mine = ours.ask("mine", client_request_id="shared-id")
        other = theirs.ask("other", client_request_id="shared-id")
    assert (mine.text, other.text) == ("You said: mine", "You said: other")
    assert mine.trace_id != other.trace_id


def test_a_forged_cookie_is_no_identity(stack: Stack, visitor: Visitor) -> None:
    with visitor.open_socket() as socket:
        turn = socket.ask("mine")
    forger = Visitor(stack.url)
    cookie = next(iter(forger.http.cookies))
    value = cookie.value or ""
    forger.http.cookies.clear()
    forger.http.cookies.set(cookie.name, value[:-4] + "AAAA", domain=cookie.domain)
    assert forger.judge(True, trace_id=turn.trace_id).status_code in {401, 403}

"""All one can say of an answer, by clicking, and what MLflow then has of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from playwright.sync_api import Locator, expect

from e2e.chat_page import ChatPage, expect_recorded, feedback_state, request_id, thumb, trace_id
from e2e.feedback_panel import chip, open_panel, panel, part_state, rate, stars, write
from tests.servers import Stack
from tests.waiting import eventually


def say_everything(message: Locator) -> None:
    chip(message, "Incomplete").click()
    chip(message, "Incorrect").click()
    rate(message, "Accuracy", 2)
    rate(message, "Helpfulness", 4)
    write(message, "comment", "It stops half way.")
    write(message, "correction", "All of it, in order.")


EVERYTHING = {
    "user_feedback": False,
    "user_reasons": ["Incorrect", "Incomplete"],
    "user_accuracy": 0.4,
    "user_helpfulness": 0.8,
    "expected_response": "All of it, in order.",
}


def expect_in_mlflow(stack: Stack, trace: str, opinions: Mapping[str, object]) -> None:
    eventually(lambda: stack.reader.opinions(trace) == opinions, timeout=30)


def test_each_kind_arrives_with_its_source_and_metadata(chat: ChatPage, stack: Stack) -> None:
    message = open_panel(chat, "Say all of it")
    say_everything(message)
    expect_in_mlflow(stack, trace_id(message), EVERYTHING)
    info = stack.reader.trace(trace_id(message)).info
    for one in info.assessments:
        assert one.source.source_type == "HUMAN"
        assert one.source.source_id == info.trace_metadata["mlflow.trace.user"]
        ids = {"client_request_id": request_id(message), "feedback_id": one.assessment_id}
        assert one.metadata is not None
        assert ids.items() <= one.metadata.items()
        comment = "It stops half way." if one.name == "user_feedback" else None
        assert (one.rationale or None) == comment


def test_each_part_can_be_changed_and_taken_back(chat: ChatPage, stack: Stack) -> None:
    message = open_panel(chat, "Change all of it")
    say_everything(message)
    expect_in_mlflow(stack, trace_id(message), EVERYTHING)
    chip(message, "Incorrect").click()
    rate(message, "Accuracy", 5)
    write(message, "comment", "On second thought, fine.")
    write(message, "correction", "Nearly that.")
    changed = {
        **EVERYTHING,
        "user_reasons": ["Incomplete"],
        "user_accuracy": 1.0,
        "expected_response": "Nearly that.",
    }
    expect_in_mlflow(stack, trace_id(message), changed)
    eventually(
        lambda: (
            "On second thought, fine."
            in [one.rationale for one in stack.reader.verdicts(trace_id(message))]
        )
    )
    chip(message, "Incomplete").click()
    rate(message, "Accuracy", 5)
    rate(message, "Helpfulness", 4)
    write(message, "comment", "")
    write(message, "correction", "")
    expect_in_mlflow(stack, trace_id(message), {"user_feedback": False})
    [verdict] = stack.reader.verdicts(trace_id(message))
    assert not verdict.rationale


def test_a_reload_brings_back_each_part_and_its_state(chat: ChatPage) -> None:
    message = open_panel(chat, "Bring it back")
    say_everything(message)
    expect_recorded(message)
    chat.page.reload()
    message = chat.answers.first
    expect(panel(message)).to_be_visible()
    expect(feedback_state(message)).to_have_attribute("data-state", "recorded")
    for reason, pressed in {"Incorrect": "true", "Incomplete": "true", "Harmful": "false"}.items():
        expect(chip(message, reason)).to_have_attribute("aria-pressed", pressed)
    expect(stars(message, "Accuracy", 2)).to_be_checked()
    expect(stars(message, "Helpfulness", 4)).to_be_checked()
    expect(message.get_by_role("radiogroup", name="Relevance").locator(":checked")).to_have_count(0)
    expect(message.get_by_test_id("comment")).to_have_value("It stops half way.")
    expect(message.get_by_test_id("correction")).to_have_value("All of it, in order.")
    told = [
        chip(message, "Incorrect"),
        stars(message, "Accuracy", 2),
        message.get_by_test_id("comment"),
        message.get_by_test_id("correction"),
    ]
    for part in told:
        expect(part_state(part)).to_have_text("Recorded")
    expect(part_state(stars(message, "Relevance", 1))).to_be_empty()


def test_the_panel_opens_with_a_thumb_only_and_says_more_after_a_reload(chat: ChatPage) -> None:
    message = chat.ask_and_wait("Open when pressed")
    expect(panel(message)).to_have_count(0)
    thumb(message, "up").click()
    expect(panel(message)).to_be_visible()
    expect(thumb(message, "up")).to_be_focused()
    expect(chip(message, "Complete")).to_be_visible()
    expect(chip(message, "Harmful")).to_be_hidden()
    expect(message.get_by_test_id("correction")).to_be_hidden()
    expect_recorded(message)
    chat.page.reload()
    message = chat.answers.first
    expect_recorded(message)
    expect(panel(message)).to_have_count(0)
    message.get_by_test_id("say-more").click()
    expect(panel(message)).to_be_focused()
    expect(message.get_by_test_id("say-more")).to_be_hidden()


def test_switching_thumbs_takes_back_what_no_longer_fits(chat: ChatPage, stack: Stack) -> None:
    message = open_panel(chat, "Switch over")
    say_everything(message)
    expect_recorded(message)
    thumb(message, "up").click()
    expect(chip(message, "Complete")).to_have_attribute("aria-pressed", "false")
    kept = {"user_feedback": True, "user_accuracy": 0.4, "user_helpfulness": 0.8}
    expect_in_mlflow(stack, trace_id(message), kept)
    thumb(message, "down").click()
    # The words are still there, to be saved again.
    correction = message.get_by_test_id("correction")
    expect(correction).to_have_value("All of it, in order.")
    expect(chip(message, "Incorrect")).to_have_attribute("aria-pressed", "false")
    message.get_by_test_id("correction-save").click()
    again = {**kept, "user_feedback": False, "expected_response": "All of it, in order."}
    expect_in_mlflow(stack, trace_id(message), again)


def test_the_pressed_thumb_again_takes_everything_back_but_the_words(
    chat: ChatPage, stack: Stack
) -> None:
    message = open_panel(chat, "Take it all back")
    say_everything(message)
    expect_recorded(message)
    thumb(message, "down").click()
    expect(panel(message)).to_be_hidden()
    expect(feedback_state(message)).to_have_attribute("data-state", "idle")
    expect_in_mlflow(stack, trace_id(message), {})
    thumb(message, "down").click()
    expect(message.get_by_test_id("comment")).to_have_value("It stops half way.")
    expect(stars(message, "Accuracy", 2)).not_to_be_checked()
    message.get_by_test_id("comment-save").click()
    expect_in_mlflow(stack, trace_id(message), {"user_feedback": False})
    eventually(
        lambda: stack.reader.verdicts(trace_id(message))[0].rationale == "It stops half way."
    )


def test_everything_can_be_said_with_the_keyboard(chat: ChatPage, stack: Stack) -> None:
    keyboard = chat.page.keyboard
    message = chat.ask_and_wait("Hands off the mouse")
    thumb(message, "down").focus()
    keyboard.press("Space")
    expect(panel(message)).to_be_visible()
    expect(thumb(message, "down")).to_be_focused()

    def tab_to(target: Locator) -> None:
        for _ in range(12):
            if target.evaluate("element => element === document.activeElement"):
                return
            keyboard.press("Tab")
        raise AssertionError("the Tab key does not lead there")

    tab_to(chip(message, "Incorrect"))
    keyboard.press("Enter")
    expect(chip(message, "Incorrect")).to_have_attribute("aria-pressed", "true")
    expect(chip(message, "Incorrect")).to_be_focused()
    tab_to(stars(message, "Accuracy", 1))
    keyboard.press("Space")
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    expect(stars(message, "Accuracy", 3)).to_be_checked()
    tab_to(stars(message, "Relevance", 1))
    keyboard.press("Space")
    expect(stars(message, "Relevance", 1)).to_be_checked()
    keyboard.press("Delete")
    expect(stars(message, "Relevance", 1)).not_to_be_checked()
    expect(stars(message, "Relevance", 1)).to_be_focused()
    tab_to(message.get_by_test_id("comment"))
    keyboard.type("By hand.")
    keyboard.press("Control+Enter")
    tab_to(message.get_by_test_id("correction"))
    keyboard.type("By keyboard.")
    tab_to(message.get_by_test_id("correction-save"))
    keyboard.press("Enter")
    said = {
        "user_feedback": False,
        "user_reasons": ["Incorrect"],
        "user_accuracy": 0.6,
        "expected_response": "By keyboard.",
    }
    expect_in_mlflow(stack, trace_id(message), said)
    # A button that has done its work keeps the focus, and does nothing.
    expect(message.get_by_test_id("correction-save")).to_be_focused()
    expect(message.get_by_test_id("correction-save")).to_have_attribute("aria-disabled", "true")


def test_text_that_is_too_long_is_not_cut_and_not_sent(chat: ChatPage) -> None:
    message = open_panel(chat, "Say too much")
    comment = message.get_by_test_id("comment")
    comment.fill("x" * 5003)
    expect(part_state(comment)).to_contain_text("too long by 3")
    expect(message.get_by_test_id("comment-save")).to_have_attribute("aria-disabled", "true")
    expect(comment).to_have_value("x" * 5003)


def test_a_screen_reader_hears_one_sentence_for_each_change(chat: ChatPage) -> None:
    chat.page.evaluate(
        """() => {
          window.heard = [];
          new MutationObserver(() => heard.push(document.querySelector("#announcements").innerText))
            .observe(document.querySelector("#announcements"), { childList: true });
        }"""
    )
    message = open_panel(chat, "Read it to me")
    expect_recorded(message)
    chip(message, "Incomplete").click()
    expect_recorded(message)
    expect(part_state(chip(message, "Incomplete"))).to_have_text("Recorded")
    thumb(message, "down").click()
    expect(feedback_state(message)).to_have_attribute("data-state", "idle")
    heard = chat.page.evaluate("heard")
    judged = [text for text in heard if "nswer" not in text or "say more" in text]
    # Saved or recorded, whichever the page learns first, but never both.
    assert re.fullmatch(
        r"(Below the answer you can say more\.\|)?(\w[\w ]+\|)?(Saved|Recorded in MLflow)\|"
        r"Taken back\.",
        "|".join(judged),
    ), heard


def copy_twice(chat: ChatPage) -> tuple[str, int]:
    """Copy an answer twice, then judge it; returns its trace and how often copying was sent."""
    message = chat.ask_and_wait("Copy this")
    sent: list[str] = []
    chat.page.on("request", lambda request: sent.append(request.post_data or ""))
    message.get_by_test_id("copy").click()
    message.get_by_test_id("copy").click()
    thumb(message, "up").click()
    expect_recorded(message)
    return trace_id(message), len([body for body in sent if "implicit_copy" in body])


def test_copying_is_noted_once_as_a_signal(chat: ChatPage, stack: Stack) -> None:
    trace, times = copy_twice(chat)
    assert times == 1
    eventually(lambda: len(stack.reader.verdicts(trace)) == 2)
    [signal] = [one for one in stack.reader.verdicts(trace) if one.name == "implicit_copy"]
    assert signal.value is True
    assert (signal.source_type, signal.source_id) == ("CODE", "thumbprint")


def test_copying_is_not_noted_when_signals_are_off(
    open_page: Callable[..., ChatPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with(IMPLICIT_SIGNALS="false")
    trace, times = copy_twice(open_page(stack.url))
    assert times == 0
    assert [one.name for one in stack.reader.verdicts(trace)] == ["user_feedback"]

"""axe finds nothing to object to, in every state of the page, light and dark, small and large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, thumb
from tests.scripted_model import Answer, Fault
from tests.servers import Stack

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
    "narrow": {"viewport": {"width": 320, "height": 640}},
}
RICH = "# Title\n\nText with `code` and [a link](https://example.org).\n\n```python\nx = 1\n```\n"


def expect_no_violation(chat: ChatPage) -> None:
    found = Axe().run(chat.page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_no_violation(
    open_page: Callable[..., ChatPage], stack: Stack, look: str
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("show me", Answer(tokens=[RICH, gate, "The end."]))
    stack.model.answer_when("break", Answer(tokens=["Half", Fault.CUT]))
    chat = open_page(stack.url, **LOOKS[look])
    expect_no_violation(chat)

    message = chat.ask("show me")
    expect(answer_text(message)).to_contain_text("Title")
    expect_no_violation(chat)

    gate.release()
    expect(message).to_have_attribute("data-ending", "complete")
    expect_no_violation(chat)

    thumb(message, "down").click()
    expect(chat.find("feedback-panel")).to_be_visible()
    expect_no_violation(chat)
    message.get_by_role("button", name="Incomplete").click()
    message.get_by_label("4 of 5 stars").first.check(force=True)
    message.get_by_test_id("comment").fill("Too short.")
    expect_recorded(message)
    expect_no_violation(chat)

    chat.ask_and_wait("break", ending="failed")
    expect_no_violation(chat)


def test_the_whole_job_can_be_done_with_the_keyboard(chat: ChatPage) -> None:
    keyboard = chat.page.keyboard
    expect(chat.composer).to_be_focused()
    keyboard.type("first line")
    keyboard.press("Shift+Enter")
    keyboard.type("second line")
    keyboard.press("Enter")
    message = chat.answers.first
    expect(message).to_have_attribute("data-ending", "complete")
    expect(chat.find("message-user")).to_contain_text("second line")
    button = thumb(message, "up")
    for _ in range(40):
        if button.evaluate("element => element === document.activeElement"):
            break
        keyboard.press("Shift+Tab")
    expect(button).to_be_focused()
    keyboard.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")


def test_a_click_that_asks_leaves_the_focus_in_the_field(chat: ChatPage) -> None:
    chat.page.get_by_role("button", name="Why is the sky blue?").click()
    expect(chat.answers.first).to_have_attribute("data-ending", "complete")
    expect(chat.composer).to_be_focused()
    chat.composer.fill("And at night?")
    chat.find("send").click()
    expect(chat.answers.nth(1)).to_have_attribute("data-ending", "complete")
    expect(chat.composer).to_be_focused()


def test_a_screen_reader_hears_boundaries_and_not_tokens(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    words = [f"word{number} " for number in range(50)]
    stack.model.answer_when("aloud", Answer(tokens=[*words[:25], gate, *words[25:]]))
    chat.page.evaluate(
        """() => {
          window.heard = [];
          new MutationObserver((changes) => {
            for (const { target } of changes) {
              const node = target.nodeType === 1 ? target : target.parentElement;
              const region = node?.closest("[aria-live], [role=status], [role=alert], [role=log]");
              if (region && region.ariaLive !== "off") window.heard.push(node.textContent.trim());
            }
          }).observe(document.body, { childList: true, subtree: true, characterData: true });
        }"""
    )
    message = chat.ask("Read aloud")
    expect(answer_text(message)).to_contain_text("word24")
    gate.release()
    expect(message).to_have_attribute("data-ending", "complete")
    heard = [text for text in chat.page.evaluate("window.heard") if text]
    assert heard
    assert len(heard) < 12
    assert not [text for text in heard if "word" in text]

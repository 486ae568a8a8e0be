"""The panel below an answer as a person uses it: chips, stars, comment, correction."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from e2e.chat_page import ChatPage, thumb


def open_panel(chat: ChatPage, question: str, direction: str = "down") -> Locator:
    """Ask, press a thumb, and return the answer once its panel is open."""
    message = chat.ask_and_wait(question)
    thumb(message, direction).click()
    expect(panel(message)).to_be_visible()
    return message


def panel(message: Locator) -> Locator:
    """The panel of an answer."""
    return message.get_by_test_id("feedback-panel")


def chip(message: Locator, reason: str) -> Locator:
    """The button of a reason."""
    return message.get_by_role("button", name=reason, exact=True)


def stars(message: Locator, dimension: str, count: int) -> Locator:
    """The radio button that gives this many stars."""
    group = message.get_by_role("radiogroup", name=dimension)
    return group.get_by_role("radio", name=f"{count} of 5 stars")


def rate(message: Locator, dimension: str, count: int) -> None:
    """Click a star, which lies under the picture of it."""
    stars(message, dimension, count).click(force=True)


def write(message: Locator, field: str, text: str) -> None:
    """Write the `comment` or the `correction`, and save it."""
    message.get_by_test_id(field).fill(text)
    message.get_by_test_id(f"{field}-save").click()


def part_state(part: Locator) -> Locator:
    """What the panel says of the part that holds this element."""
    return part.locator("xpath=ancestor::*[contains(@class, 'part')][1]").locator(".part-state")

"""The chat page as a person uses it and a test observes it."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, WebSocket, expect


class ChatPage:
    """One browser page on the chat; every socket frame that crosses it is kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.problems: list[str] = []
        page.on("websocket", self._watch)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note_violation)

    def _note_violation(self, line: ConsoleMessage) -> None:
        if "Content Security" in line.text:
            self.problems.append(line.text)

    def _watch(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: self.received.append(json.loads(payload)))
        socket.on("framesent", lambda payload: self.sent.append(json.loads(payload)))

    def open(self, path: str = "/") -> ChatPage:
        """Load the page and wait until one can type."""
        self.page.goto(path)
        expect(self.composer).to_be_editable()
        return self

    def ask(self, text: str) -> Locator:
        """Type and send with Enter; returns the answer's message."""
        before = self.answers.count()
        self.composer.fill(text)
        self.composer.press("Enter")
        message = self.answers.nth(before)
        expect(message).to_be_visible()
        return message

    def ask_and_wait(self, text: str, ending: str = "complete") -> Locator:
        """Ask and wait for the turn to end this way."""
        message = self.ask(text)
        expect(message).to_have_attribute("data-ending", ending, timeout=30_000)
        return message

    def find(self, test_id: str) -> Locator:
        """An element of the page by its test hook."""
        return self.page.get_by_test_id(test_id)

    @property
    def composer(self) -> Locator:
        """Where one types."""
        return self.find("composer")

    @property
    def answers(self) -> Locator:
        """Every answer on the page, oldest first."""
        return self.find("message-assistant")

    def frames(self, kind: str) -> list[dict[str, Any]]:
        """The received frames of one type."""
        return [frame for frame in self.received if frame["type"] == kind]


def answer_text(message: Locator) -> Locator:
    """The text of an answer."""
    return message.get_by_test_id("answer")


def thumb(message: Locator, direction: str) -> Locator:
    """The `up` or `down` button of an answer."""
    return message.get_by_test_id(f"thumb-{direction}")


def feedback_state(message: Locator) -> Locator:
    """The element that says how far the verdict has come."""
    return message.get_by_test_id("feedback-state")


def expect_recorded(message: Locator) -> None:
    """Wait until the page says the verdict is in MLflow."""
    expect(feedback_state(message)).to_have_attribute("data-state", "recorded", timeout=30_000)


def trace_id(message: Locator) -> str:
    """The trace the page attributes to an answer."""
    return message.get_attribute("data-trace-id") or ""


def request_id(message: Locator) -> str:
    """The client request ID of an answer."""
    return message.get_attribute("data-client-request-id") or ""

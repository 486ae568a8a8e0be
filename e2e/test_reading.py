"""What a reader sees of one answer: that it is being worked on, and code to take along."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from e2e.chat_page import ChatPage, answer_text
from tests.scripted_model import Answer
from tests.servers import Stack

CODE = "for nm in (450, 550):\n    print(nm)  # nanometres\n"


def test_long_work_shows_that_it_is_alive(open_page: Callable[..., ChatPage], stack: Stack) -> None:
    def hold_the_clock(page: Page) -> None:
        page.clock.install()

    gates = [stack.model.gate() for _ in range(2)]
    tokens = ("At", gates[1], " last")
    stack.model.answer_when("take your time", Answer(tokens=tokens, hold=gates[0]))
    chat = open_page(stack.url, hold_the_clock)
    clock = chat.page.clock
    message = chat.ask("take your time")
    progress = message.locator(".progress")
    expect(progress).to_have_text("Thinking…")
    clock.run_for(5_000)
    expect(progress).to_contain_text("Thinking… 5 s")
    clock.run_for(5_000)
    expect(progress).to_contain_text("Still working… 1")
    gates[0].release()
    expect(answer_text(message)).to_have_text("At")
    expect(progress).to_have_text("")
    # It stalls in the middle.
    clock.run_for(10_000)
    expect(progress).to_contain_text("Still working… 2")
    gates[1].release()
    expect(message).to_have_attribute("data-ending", "complete")
    expect(progress).to_have_count(0)


def test_code_names_its_language_and_is_copied_as_it_is(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    gate = stack.model.gate()
    tokens = (f"Like this:\n\n```python\n{CODE}```\n", gate, "\nDone.")
    stack.model.answer_when("some code", Answer(tokens=tokens))
    chat = open_page(stack.url, permissions=["clipboard-read", "clipboard-write"])
    message = chat.ask("some code")
    block = message.locator(".code-block")

    def expect_copied() -> None:
        expect(block.locator("figcaption")).to_contain_text("python")
        block.get_by_test_id("copy-code").click()
        expect(block.get_by_test_id("copy-code")).to_have_attribute("data-copied", "Copied")
        assert chat.page.evaluate("navigator.clipboard.readText()") == CODE
        chat.page.evaluate("navigator.clipboard.writeText('')")

    expect_copied()
    gate.release()
    expect(message).to_have_attribute("data-ending", "complete")
    expect(block.locator("[class^=tok-]").first).to_have_text("for")
    expect_copied()

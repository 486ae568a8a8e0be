"""What a reader sees of one answer: that it is being worked on, and code to take along."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from e2e.chat_page import ChatPage, answer_text
from tests.scripted_model import Answer
from tests.servers import Stack

# Scrolls up in small steps; tells how far what was in view moved besides.
SCROLL_UP = """async () => {
  const scroller = document.querySelector("#scroller");
  const { left, top, width, height } = scroller.getBoundingClientRect();
  const nextFrame = () => new Promise((done) => requestAnimationFrame(done));
  const inView = () => document.elementFromPoint(left + width / 2, top + height / 3);
  const jumps = [];
  while (scroller.scrollTop > 0) {
    const seen = inView();
    const before = seen.getBoundingClientRect().top;
    const step = Math.min(scroller.scrollTop, 250);
    scroller.scrollBy(0, -step);
    for (let frame = 0; frame < 3; frame++) await nextFrame();
    const moved = seen.getBoundingClientRect().top - before;
    if (seen.matches(".prose *")) jumps.push(Math.abs(moved - step));
  }
  return jumps;
}"""

# The conversation grows, and a late scroll event comes before the browser tells of the new size.
GROW = """async () => {
  const column = document.querySelector(".column");
  column.append(document.createElement("p"));
  column.lastChild.style.minHeight = "300px";
  document.querySelector("#scroller").dispatchEvent(new Event("scroll"));
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
}"""
LEFT_BELOW = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector("#scroller");
  return Math.round(scrollHeight - scrollTop - clientHeight);
}"""

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


def test_scrolling_up_in_a_long_conversation_moves_what_is_in_view_no_further(
    chat: ChatPage, stack: Stack
) -> None:
    stack.model.answer_when("at length", Answer(tokens=["One more line.\n\n" * 40]))
    for number in range(14):  # so many that the first are not laid out
        chat.ask_and_wait(f"Speak at length, part {number}")
    chat.page.reload()
    expect(chat.answers.last).to_have_attribute("data-ending", "complete")
    expect(answer_text(chat.answers.last).locator("p").last).to_be_in_viewport()
    jumps = chat.page.evaluate(SCROLL_UP)
    assert len(jumps) > 15
    assert max(jumps) < 2


def test_what_is_new_is_followed_until_the_reader_moves_up(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("at length", Answer(tokens=["One more line.\n\n" * 40]))
    chat.ask_and_wait("Speak at length")
    jump = chat.page.get_by_role("button", name="Jump to latest")
    for _ in range(2):
        chat.page.evaluate(GROW)
        assert chat.page.evaluate(LEFT_BELOW) == 0
    expect(jump).to_be_hidden()

    chat.page.evaluate("document.querySelector('#scroller').scrollBy(0, -200)")
    expect(jump).to_be_visible()
    chat.page.evaluate(GROW)
    expect(jump).to_be_visible()
    assert chat.page.evaluate(LEFT_BELOW) == 500
    jump.click()
    expect(jump).to_be_hidden()
    assert chat.page.evaluate(LEFT_BELOW) == 0


@pytest.mark.parametrize("ended", [False, True], ids=["streaming", "ended"])
def test_blocks_in_lists_and_quotes_are_as_wide_as_their_text(
    chat: ChatPage, stack: Stack, ended: bool
) -> None:
    gate = stack.model.gate()
    item = "1. First\n\n   ```python\n   x = 1\n   ```\n\n"
    quote = "> Second\n>\n> ```python\n> x = 1\n> ```\n\n"
    stack.model.answer_when("nested", Answer(tokens=[item, quote, gate, "End"]))
    message = chat.ask("nested")
    if ended:
        gate.release()
        expect(message).to_have_attribute("data-ending", "complete")
    for around in ("li", "blockquote"):
        text, block = message.locator(f"{around} > p"), message.locator(f"{around} > figure")
        expect(block).to_be_visible()
        assert sides(block) == sides(text)


def sides(node: Locator) -> tuple[float, float]:
    box = node.bounding_box()
    assert box
    return box["x"], box["width"]


def test_a_conversation_is_printed_whole(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("at length", Answer(tokens=["One more line.\n\n" * 150]))
    for number in range(3):
        chat.ask_and_wait(f"Speak at length, part {number}")
    chat.page.reload()
    expect(chat.answers.last).to_have_attribute("data-ending", "complete")
    pages = re.findall(rb"/Type\s*/Page\b", chat.page.pdf())
    most_lines_a_page = 30
    assert len(pages) >= 3 * 150 / most_lines_a_page


DIRECTION = "(node) => getComputedStyle(node).direction"


def test_what_is_read_from_right_to_left_is_shown_so(chat: ChatPage, stack: Stack) -> None:
    answer = "שלום לכם!\n\n- עולם\n\n> כך נאמר\n\n```python\nx = 1\n```\n"
    stack.model.answer_when("שלום", Answer(tokens=[answer]))
    message = chat.ask_and_wait("Hello?")
    for node in (chat.composer, chat.find("message-user"), answer_text(message)):
        assert node.evaluate(DIRECTION) == "ltr"
    chat.composer.fill("שלום?")
    assert chat.composer.evaluate(DIRECTION) == "rtl"
    message = chat.ask_and_wait("שלום?")
    assert chat.find("message-user").last.evaluate(DIRECTION) == "rtl"
    assert answer_text(message).evaluate(DIRECTION) == "rtl"
    assert message.locator("pre").evaluate(DIRECTION) == "ltr"
    # The bullet and the bar of a quotation are at the right.
    left, width = sides(message.locator(".prose > p"))
    assert sides(message.locator("li")) == (left, width - 24)
    assert sides(message.locator("blockquote > p")) == (left, width - 19)

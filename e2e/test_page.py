"""The page itself: nothing from elsewhere, nothing a model says can run, history in order."""

from __future__ import annotations

import re
from collections.abc import Callable

import requests
from playwright.sync_api import Page, expect

from e2e.chat_page import ChatPage, answer_text
from tests.scripted_model import Answer
from tests.servers import Stack

HOSTILE = """<img src=x onerror="window.owned=1"><script>window.owned=2</script>

[click](javascript:window.owned=3) ![pixel](https://elsewhere.example/pixel.png)

<iframe src="https://elsewhere.example"></iframe> <b onclick="window.owned=4">bold</b>
"""


def test_nothing_is_fetched_from_elsewhere(
    open_page: Callable[..., ChatPage], stack: Stack
) -> None:
    asked: list[str] = []

    def note_requests(page: Page) -> None:
        page.on("request", lambda request: asked.append(request.url))

    stack.model.answer_when("hostile", Answer(tokens=[HOSTILE]))
    chat = open_page(stack.url, note_requests)
    message = chat.ask_and_wait("Be hostile")
    expect(answer_text(message)).to_contain_text("click")
    elsewhere = [url for url in asked if not url.startswith(stack.url) and ":" in url]
    assert [url for url in elsewhere if not url.startswith(("data:", "blob:"))] == []


def test_nothing_a_model_says_can_run(chat: ChatPage, stack: Stack) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("hostile", Answer(tokens=[HOSTILE, gate]))
    message = chat.ask("Be hostile")
    expect(answer_text(message)).to_contain_text("click")
    expect_harmless(chat)
    gate.release()
    expect(message).to_have_attribute("data-ending", "complete")
    expect_harmless(chat)
    chat.page.reload()
    expect(answer_text(chat.answers.first)).to_contain_text("click")
    expect_harmless(chat)


def expect_harmless(chat: ChatPage) -> None:
    assert chat.page.evaluate("window.owned") is None
    answer = answer_text(chat.answers.first)
    assert answer.locator("script, iframe, [onclick], [onerror], [href^='javascript']").count() == 0


def test_the_headers_forbid_foreign_content_and_cache_what_never_changes(stack: Stack) -> None:
    page = requests.get(stack.url, timeout=10)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "HttpOnly" in page.headers["Set-Cookie"]
    assert "SameSite" in page.headers["Set-Cookie"]
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert assets
    for asset in assets:
        answer = requests.get(stack.url + asset, timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_the_history_lists_opens_renames_and_deletes(chat: ChatPage) -> None:
    chat.ask_and_wait("About apples")
    chat.find("new-chat").click()
    expect(chat.answers).to_have_count(0)
    chat.ask_and_wait("About pears")
    items = chat.find("conversation-item")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("pears")

    items.nth(1).click()
    expect(answer_text(chat.answers.first)).to_have_text("You said: About apples")
    chat.page.go_back()
    expect(answer_text(chat.answers.first)).to_have_text("You said: About pears")

    chat.find("conversation-delete").first.click(force=True)
    dialog = chat.page.get_by_role("dialog")
    expect(dialog).to_contain_text("MLflow")
    dialog.get_by_role("button", name=re.compile("delete", re.IGNORECASE)).click()
    expect(items).to_have_count(1)
    expect(items.first).to_contain_text("apples")
    chat.page.reload()
    expect(items).to_have_count(1)


def test_a_reader_who_scrolled_up_is_not_pulled_down(chat: ChatPage, stack: Stack) -> None:
    gates = [stack.model.gate(), stack.model.gate()]
    lines = [f"line {number}\n\n" for number in range(80)]
    answer = Answer(tokens=[*lines, gates[0], "more\n\n" * 20, gates[1], "end"])
    stack.model.answer_when("scroll", answer)
    message = chat.ask("Something to scroll")
    expect(answer_text(message)).to_contain_text("line 79")
    expect(answer_text(message).get_by_text("line 79")).to_be_in_viewport()
    chat.find("message-user").first.hover()
    chat.page.mouse.wheel(0, -20_000)
    expect(chat.find("message-user").first).to_be_in_viewport()
    gates[0].release()
    expect(answer_text(message)).to_contain_text("more")
    expect(chat.find("message-user").first).to_be_in_viewport()
    gates[1].release()
    expect(message).to_have_attribute("data-ending", "complete")
    expect(chat.find("message-user").first).to_be_in_viewport()


def test_a_regenerated_answer_replaces_and_keeps_the_first(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("dice", Answer(tokens=["four"]), Answer(tokens=["six"]))
    message = chat.ask_and_wait("Throw the dice")
    message.get_by_test_id("regenerate").click()
    expect(answer_text(chat.answers.last)).to_have_text("six")
    expect(chat.find("version-switch").last).to_contain_text("2 of 2")
    assert stack.model.asked("dice")[1].messages == stack.model.asked("dice")[0].messages

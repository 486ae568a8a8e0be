"""The whole app on the real built-in model, as a fresh clone runs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.chat_page import ChatPage, answer_text, expect_recorded, thumb, trace_id
from tests.processes import ServerProcess
from tests.servers import Stack
from tests.waiting import eventually


@pytest.fixture
def embedded_stack(stack_with: Callable[..., Stack]) -> Iterator[Stack]:
    """A stack that knows no OPENAI_BASE_URL, and the model process beside it."""
    stack = stack_with(OPENAI_BASE_URL="", OPENAI_API_KEY="", CHAT_MODEL="")
    endpoint: Path = stack.web.folder / "embedded-model.json"
    command = [sys.executable, "-m", "app.embedded_model"]
    model = ServerProcess(
        command, stack.web.environment, stack.web.folder, "model", endpoint.exists
    )
    try:
        model.start()
        yield stack
    finally:
        model.terminate()


def test_the_demonstration_model_answers_and_is_judged(
    open_page: Callable[..., ChatPage], embedded_stack: Stack
) -> None:
    chat = open_page(embedded_stack.url)
    expect(chat.page.locator("body")).to_contain_text("demonstration model")
    message = chat.ask("What is the capital of France? Answer in one sentence.")
    expect(message).to_have_attribute("data-ending", "complete", timeout=90_000)
    expect(answer_text(message)).to_have_text(re.compile(r"\w+ \w+"))
    assert len(chat.frames("token")) > 2
    thumb(message, "up").click()
    expect_recorded(message)
    reader = embedded_stack.reader
    eventually(lambda: reader.is_stored(trace_id(message)))
    usage = reader.trace(trace_id(message)).info.token_usage
    assert usage is not None
    assert usage["output_tokens"] > 2
    model = reader.model_span(trace_id(message)).attributes["mlflow.llm.model"]
    assert "SmolLM2" in model

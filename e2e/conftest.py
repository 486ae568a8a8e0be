"""Fixtures of the end-to-end tests: where the app is, visitors, and pages on it.

With BASE_URL set only tests marked `conformance` run, against that address.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from e2e.chat_page import ChatPage
from e2e.insights_page import InsightsPage
from e2e.visitor import Visitor
from tests.servers import Stack

BASE_URL = os.environ.get("BASE_URL", "").rstrip("/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Against a deployment leave out what needs our own servers."""
    if BASE_URL:
        local = [item for item in items if not item.get_closest_marker("conformance")]
        config.hook.pytest_deselected(items=local)
        items[:] = [item for item in items if item.get_closest_marker("conformance")]


@pytest.fixture
def target(request: pytest.FixtureRequest) -> str:
    """Address of the app under test: BASE_URL, or a local stack."""
    if BASE_URL:
        return BASE_URL
    stack: Stack = request.getfixturevalue("stack")
    return stack.url


@pytest.fixture
def visitor(target: str) -> Visitor:
    """Somebody new."""
    return Visitor(target)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., ChatPage]]:
    """Open a chat page in a browser context of its own: `open_page(stack.url)`."""
    opened: list[tuple[ChatPage, Any]] = []

    def open_one(
        url: str, prepare: Callable[[Page], None] | None = None, **options: Any
    ) -> ChatPage:
        context = browser.new_context(base_url=url, **options)
        context.set_default_timeout(15_000)
        page = context.new_page()
        if prepare:
            prepare(page)
        chat = ChatPage(page)
        opened.append((chat, context))
        return chat.open()

    yield open_one
    problems = [problem for chat, _ in opened for problem in chat.problems]
    for _, context in opened:
        context.close()
    assert not problems, f"the page reported: {problems}"


@pytest.fixture
def open_insights(browser: Browser) -> Iterator[Callable[..., InsightsPage]]:
    """Open the report in a browser context of its own: `open_insights(stack.url)`."""
    opened: list[tuple[InsightsPage, Any]] = []

    def open_one(url: str, query: str = "", **options: Any) -> InsightsPage:
        context = browser.new_context(base_url=url, **options)
        context.set_default_timeout(15_000)
        insights = InsightsPage(context.new_page())
        opened.append((insights, context))
        return insights.open(query)

    yield open_one
    for _, context in opened:
        context.close()
    assert [problem for insights, _ in opened for problem in insights.problems] == []


@pytest.fixture
def chat(open_page: Callable[..., ChatPage], stack: Stack) -> ChatPage:
    """A new visitor's page on the shared stack."""
    return open_page(stack.url)

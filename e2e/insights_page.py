"""The insights page as an operator uses it and a test observes it."""

from __future__ import annotations

from playwright.sync_api import ConsoleMessage, Locator, Page, expect


class InsightsPage:
    """One browser page on the report."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note_violation)

    def _note_violation(self, line: ConsoleMessage) -> None:
        if "Content Security" in line.text:
            self.problems.append(line.text)

    def open(self, query: str = "") -> InsightsPage:
        """Load the page."""
        self.page.goto(f"/insights{query}")
        expect(self.page.get_by_role("heading", name="Insights", level=1)).to_be_visible()
        return self

    def tile(self, name: str) -> Locator:
        """A headline figure with its definition."""
        return self.page.get_by_test_id(f"tile-{name}")

    def negative(self, question: str) -> Locator:
        """The card of a thumb down."""
        return self.page.get_by_test_id("negative").filter(has_text=question)

    def filter(self, label: str, choice: str) -> None:
        """Choose one filter and apply it."""
        self.page.get_by_label(label, exact=True).select_option(choice)
        self.page.get_by_role("button", name="Apply").click()

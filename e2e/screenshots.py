"""Takes the README's pictures from the real page: `make screenshots`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from bench.chromium import launch
from e2e.chat_page import ChatPage, feedback_state, thumb
from e2e.feedback_panel import chip, rate, write
from e2e.rich_answer import RICH
from tests.scripted_model import Answer
from tests.servers import MlflowServer, Stack

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    """Ask, judge, and photograph."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        mlflow = MlflowServer(Path(folder) / "mlflow")
        stack = Stack(Path(folder) / "thumbprint", mlflow)
        try:
            mlflow.start()
            stack.start()
            stack.model.answer_when("sky blue", Answer(tokens=[RICH]))
            browser = launch(playwright)
            page = browser.new_page(
                base_url=stack.url, viewport={"width": 1200, "height": 820}, device_scale_factor=1
            )
            chat = ChatPage(page).open()
            chat.ask_and_wait("What is a good name for a chat that keeps its promises?")
            message = chat.ask_and_wait("Why is the sky blue?")
            thumb(message, "down").click()
            chip(message, "Incomplete").click()
            rate(message, "Accuracy", 4)
            rate(message, "Helpfulness", 3)
            write(message, "comment", "It does not say why sunsets are red.")
            expect(feedback_state(message)).to_have_attribute(
                "data-state", "recorded", timeout=30_000
            )
            DOCS.mkdir(exist_ok=True)
            page.screenshot(path=DOCS / "screenshot.png")
            browser.close()
        finally:
            stack.stop()
            mlflow.terminate()


if __name__ == "__main__":
    main()

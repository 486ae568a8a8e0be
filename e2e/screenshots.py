"""Takes the README's pictures from the real pages, with demo data: `make screenshots`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.demo.plan import VERSIONS
from e2e.chat_page import ChatPage, expect_recorded, thumb
from e2e.feedback_panel import chip, open_panel, rate, write
from e2e.insights_page import InsightsPage
from tests.chromium import launch_arguments
from tests.processes import ROOT
from tests.scripted_model import Answer
from tests.servers import MlflowServer, Stack

DOCS = ROOT / "docs"
WIDTH = 1200
# A README is loaded often, and over slow connections too.
MOST_BYTES = 250_000

SKY_ANSWER = """Sunlight holds **every colour**. The molecules of the air scatter *short* waves
far more than long ones: with the fourth power of the wavelength, so that blue light reaches your
eyes from every part of the sky, while red light goes almost straight on.

| Colour | Wavelength | Scattered |
|---|---|---|
| Blue | 450 nm | 5.9 times as much as red |
| Green | 550 nm | 2.6 times |
| Red | 700 nm | |

So blue light reaches you from every direction, and the sky is blue."""
EGG = "How long do I boil an egg so the yolk stays soft?"
EGG_ANSWER = "Boil the egg for about 12 minutes. The yolk will then be soft and creamy."


def main() -> None:
    """Fill, ask, judge, and photograph."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        mlflow = MlflowServer(Path(folder) / "mlflow")
        # The names of the demo's last release, which the pictures' answers join.
        names = {"APP_VERSION": VERSIONS[-1].name, "CHAT_MODEL": VERSIONS[-1].model}
        stack = Stack(Path(folder) / "thumbprint", mlflow, **names)
        try:
            mlflow.start()
            stack.start()
            command = [sys.executable, "-m", "flask", "--app", "app", "demo", "fill"]
            subprocess.run(command, cwd=ROOT, env=stack.web.environment, check=True)
            stack.model.answer_when("sky blue", Answer(tokens=[SKY_ANSWER]))
            stack.model.answer_when("boil an egg", Answer(tokens=[EGG_ANSWER]))
            browser = playwright.chromium.launch(**launch_arguments(playwright))
            visit(browser, stack.url)
            browser.close()
        finally:
            stack.stop()
            mlflow.terminate()


def visit(browser: Browser, url: str) -> None:
    """One person's visit, and then the operator's."""
    page = browser.new_page(base_url=url, viewport={"width": WIDTH, "height": 820})
    chat = ChatPage(page).open()
    message = chat.ask_and_wait("Why is the sky blue?")
    thumb(message, "up").click()
    expect_recorded(message)
    take(page, "screenshot")

    chat.open()
    message = open_panel(chat, EGG)
    chip(message, "Incorrect").click()
    rate(message, "Accuracy", 1)
    rate(message, "Helpfulness", 2)
    write(message, "comment", "12 minutes is hard boiled.")
    write(message, "correction", "6 minutes in boiling water gives a runny yolk, 7 a jammy one.")
    expect_recorded(message)
    take(page, "feedback-panel")

    page.goto("/my-feedback")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text(EGG)).to_be_visible()
    take(page, "my-feedback")

    window = browser.new_page(base_url=url, viewport={"width": WIDTH, "height": 1160})
    insights = InsightsPage(window).open("?hours=720")
    take(window, "insights")
    window.set_viewport_size({"width": WIDTH, "height": 820})
    window.get_by_label("Dataset").fill("regressions")
    card = insights.negative(EGG)
    card.get_by_test_id("add").click()
    expect(card.get_by_test_id("state")).to_contain_text("Added to regressions")
    insights.page.get_by_test_id("negatives").evaluate("section => section.scrollIntoView()")
    take(window, "triage")


def take(page: Page, name: str) -> None:
    """Photograph what the window shows, once it has settled."""
    page.evaluate("document.fonts.ready")
    path = DOCS / f"{name}.png"
    page.screenshot(path=path, animations="disabled", caret="hide")
    size = path.stat().st_size
    assert size < MOST_BYTES, f"{path.name}: {size} bytes, at most {MOST_BYTES} are wanted"


if __name__ == "__main__":
    main()

"""The whole loop: bad answer, correction, triage, dataset, and a test that stops a release."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

from playwright.sync_api import expect

from e2e.chat_page import ChatPage, expect_recorded, trace_id
from e2e.feedback_panel import open_panel, write
from e2e.insights_page import InsightsPage
from tests.mlflow_reader import MlflowReader, verdicts_of
from tests.processes import ROOT
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually


def evaluate(stack: Stack, dataset: str) -> subprocess.CompletedProcess[str]:
    """Test the model on a dataset, as a team's CI would."""
    command = [sys.executable, "-m", "flask", "--app", "app", "evaluate"]
    return subprocess.run(
        [*command, "--dataset", dataset, "--min-pass-rate", "1"],
        env=stack.web.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_a_correction_from_the_chat_becomes_a_test_that_stops_the_same_answer(
    chat: ChatPage, open_insights: Callable[..., InsightsPage], stack: Stack
) -> None:
    question = "How many legs has a spider, in digits?"
    stack.model.answer_when("spider", Answer(tokens=["Spiders are", " plants."]))
    message = open_panel(chat, question)
    write(message, "correction", "A spider has 8 legs.")
    expect_recorded(message)
    trace = trace_id(message)
    opinions = {"user_feedback": False, "expected_response": "A spider has 8 legs."}
    eventually(lambda: stack.reader.opinions(trace) == opinions, timeout=30)

    insights = open_insights(stack.url, "?hours=24")
    card = insights.negative("spider")
    expect(card.locator(".correction")).to_contain_text("A spider has 8 legs.")
    card.get_by_test_id("review").click()
    expect(card.get_by_test_id("review")).to_have_text("In review")
    insights.page.get_by_label("Dataset").fill("Animals")
    card.get_by_test_id("add").click()
    expect(card.get_by_test_id("state")).to_contain_text("Added to Animals")

    tested = evaluate(stack, "Animals")
    assert tested.returncode == 1, tested.stdout + tested.stderr
    assert "0 of 1 checked answers passed" in tested.stdout
    assert stack.reader.opinions(trace) == opinions, "people's own traces stay as they are"

    stack.model.answer_when("spider", Answer(tokens=["A spider", " has 8 legs."]))
    tested = evaluate(stack, "Animals")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "1 of 1 checked answers passed" in tested.stdout

    reader = MlflowReader(stack.mlflow.url, f"{stack.experiment}-evaluation")
    tests = [one for one in reader.traces() if one.info.tags["thumbprint.trace_id"] == trace]
    passed = [said.value for one in tests for said in verdicts_of(one) if said.name == "passed"]
    assert passed == [True, False], "the newest first"

    [link] = re.findall(rf"{stack.mlflow.url}/#/experiments/\S+", tested.stdout)
    page = insights.page.context.new_page()
    page.goto(link)
    expect(page.get_by_text("A spider has 8 legs.").first).to_be_visible(timeout=30_000)

"""The insights page in a browser, over turns and verdicts that really happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from mlflow.tracing.client import TracingClient
from playwright.sync_api import Route, expect
from werkzeug.security import generate_password_hash

from e2e.insights_page import InsightsPage
from e2e.visitor import Turn, Visitor
from tests.scripted_model import Answer, Fault
from tests.servers import Stack
from tests.waiting import eventually

OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
AGAIN = "Pressing again is safe: nothing is added twice."
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 740}, "has_touch": True},
}


def wait_recorded(visitor: Visitor, turn: Turn) -> None:
    eventually(lambda: set(visitor.feedback_state(turn.client_request_id).values()) == {"recorded"})


@pytest.fixture(scope="module")
def judged(shared_stack: Stack) -> dict[str, Turn]:
    """Turns of two people, judged in every way, all of it recorded in MLflow."""
    shared_stack.model.clear()
    shared_stack.model.answer_when("broken", Answer(tokens=["Half", Fault.CUT]))
    ann, bob = Visitor(shared_stack.url), Visitor(shared_stack.url)
    turns = {}
    with ann.open_socket() as socket:
        for question in ("What is 17 + 25?", "Why is the sky blue?", "Is this broken?"):
            turns[question] = socket.ask(question)
    with bob.open_socket() as socket:
        turns["Who wrote Faust?"] = socket.ask("Who wrote Faust?")
    wrong = {"trace_id": turns["What is 17 + 25?"].trace_id}
    ann.judge(False, "<b>Wrong</b>, it is 42.", **wrong).raise_for_status()
    reasons = {"name": "user_reasons", "value": ["Incorrect"]}
    ann.send("POST", "/feedback", params=wrong, json=reasons).raise_for_status()
    expected = {"expected_response": "42"}
    ann.send("POST", "/correction", params=wrong, json=expected).raise_for_status()
    stars = {**wrong, "accuracy": 1, "helpfulness": 4}
    ann.send("POST", "/detailed-feedback", params=stars).raise_for_status()
    ann.judge(True, trace_id=turns["Why is the sky blue?"].trace_id).raise_for_status()
    bob.judge(False, trace_id=turns["Who wrote Faust?"].trace_id).raise_for_status()
    for visitor, question in ((ann, "What is 17 + 25?"), (bob, "Who wrote Faust?")):
        wait_recorded(visitor, turns[question])
    return turns


def test_an_operator_sees_what_people_said_and_reaches_the_trace(
    open_insights: Callable[..., InsightsPage], stack: Stack, judged: dict[str, Turn]
) -> None:
    insights = open_insights(stack.url)
    expect(insights.tile("judged")).to_contain_text("have a thumb from whoever asked")
    expect(insights.tile("positive")).to_contain_text("95% interval")
    card = insights.negative("17 + 25")
    expect(card).to_contain_text("<b>Wrong</b>, it is 42.")
    expect(card).to_contain_text("Incorrect")
    expect(card.locator(".correction")).to_contain_text("42")
    link = card.get_by_test_id("trace-link")
    trace_id = judged["What is 17 + 25?"].trace_id
    experiment = stack.reader.experiment_id
    there = f"{stack.mlflow.url}/#/experiments/{experiment}/traces/{trace_id}"
    expect(link).to_have_attribute("href", there)
    expect(insights.page.get_by_test_id("reasons")).to_contain_text("Incorrect")
    expect(insights.page.get_by_test_id("ratings")).to_contain_text("Accuracy")
    expect(insights.page.get_by_test_id("endings")).to_contain_text("Failed")


def test_filters_are_in_the_address_and_narrow_what_is_shown(
    open_insights: Callable[..., InsightsPage], stack: Stack, judged: dict[str, Turn]
) -> None:
    insights = open_insights(stack.url)
    expect(insights.negative("17 + 25")).to_be_visible()
    insights.filter("Version", "0.1.0")
    expect(insights.negative("17 + 25")).to_be_visible()
    insights.filter("Window", "24")
    expect(insights.negative("17 + 25")).to_be_visible()
    assert "hours=24&version=0.1.0" in insights.page.url
    insights.page.reload()
    expect(insights.page.get_by_label("Version", exact=True)).to_have_value("0.1.0")
    insights.open("?version=99")
    expect(insights.page.get_by_test_id("empty")).to_be_visible()
    insights.page.get_by_role("link", name="Clear").click()
    expect(insights.negative("17 + 25")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(
    open_insights: Callable[..., InsightsPage],
    stack: Stack,
    judged: dict[str, Turn],
    look: str,
) -> None:
    insights = open_insights(stack.url, **LOOKS[look])
    for summary in insights.page.locator("summary").all():
        summary.click()
    found = Axe().run(insights.page)
    assert found.violations_count == 0, found.generate_report()
    assert insights.page.evaluate(OVERFLOW) <= 0


def test_long_names_make_the_page_no_wider_than_a_phone(
    open_insights: Callable[..., InsightsPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with(MLFLOW_TRACKING_URI="http://127.0.0.1:9", APP_VERSION="a" * 40)
    for version in ("a" * 40, "b" * 40):
        if stack.web.environment["APP_VERSION"] != version:
            stack.web.terminate()
            stack.web.environment["APP_VERSION"] = version
            stack.web.launch()
            stack.web.wait_ready()
        visitor = Visitor(stack.url)
        with visitor.open_socket() as socket:
            turn = socket.ask("Anyone there?")
        visitor.judge(True, trace_id=turn.trace_id).raise_for_status()
    insights = open_insights(stack.url)
    outcomes = insights.page.get_by_test_id("outcome")
    expect(outcomes.first).to_contain_text(f"No clear difference from {'a' * 40}")
    assert widest(insights, "") == 0
    assert widest(insights, f"?version={'v' * 120}") == 0


def widest(insights: InsightsPage, query: str) -> int:
    """By how much the page is wider than a small phone."""
    insights.open(query)
    overflows: list[int] = []
    for width in (320, 360):
        insights.page.set_viewport_size({"width": width, "height": 740})
        overflows.append(insights.page.evaluate(OVERFLOW))
    return max(overflows)


def test_the_charts_follow_dark_mode(
    open_insights: Callable[..., InsightsPage], stack: Stack, judged: dict[str, Turn]
) -> None:
    colour = "getComputedStyle(document.querySelector('.column')).fill"
    fills = {
        look: open_insights(stack.url, **LOOKS[look]).page.evaluate(colour)
        for look in ("light", "dark")
    }
    assert fills == {"light": "rgb(12, 111, 95)", "dark": "rgb(95, 207, 182)"}


def test_a_bad_answer_goes_to_mlflows_review_queue(
    open_insights: Callable[..., InsightsPage], stack: Stack, judged: dict[str, Turn]
) -> None:
    insights = open_insights(stack.url)
    card = insights.negative("17 + 25")
    card.get_by_test_id("review").click()
    expect(card.get_by_test_id("state")).to_contain_text("It is in MLflow's review queue now.")
    expect(card.get_by_test_id("review")).to_be_disabled()
    store = TracingClient(stack.mlflow.url).store
    [queue] = store.list_review_queues(stack.reader.experiment_id)
    queued = [item.item_id for item in store.list_review_queue_items(queue.queue_id)]
    # Other tests on the same server may have sent theirs.
    assert queued.count(judged["What is 17 + 25?"].trace_id) == 1
    insights.page.reload()
    expect(insights.negative("17 + 25").get_by_test_id("review")).to_have_text("In review")
    expect(insights.negative("Faust").get_by_test_id("review")).to_have_text("Send to review")


def test_a_bad_answer_becomes_a_question_with_its_correction(
    open_insights: Callable[..., InsightsPage], stack: Stack, judged: dict[str, Turn]
) -> None:
    insights = open_insights(stack.url)
    insights.page.get_by_label("Dataset").fill("Sums")
    card = insights.negative("17 + 25")
    card.get_by_test_id("add").click()
    said = card.get_by_test_id("state")
    expect(said).to_contain_text("Added to Sums, which has 1 question.")
    link = said.get_by_role("link").get_attribute("href") or ""
    assert link.startswith(f"{stack.mlflow.url}/#/experiments/{stack.reader.experiment_id}/")
    card.get_by_test_id("add").click()
    expect(said).to_contain_text("It was already in Sums, which has 1 question.")
    found = stack.reader.client.search_datasets(experiment_ids=[stack.reader.experiment_id])
    [dataset] = [one for one in found if one.name == "Sums"]
    route = f"{stack.mlflow.url}/api/3.0/mlflow/datasets/{dataset.dataset_id}/records"
    [record] = json.loads(requests.get(route, timeout=30).json()["records"])
    assert record["expectations"] == {"expected_response": "42"}
    assert record["inputs"]["messages"][-1]["content"] == "What is 17 + 25?"


def test_a_button_says_truthfully_what_went_wrong(
    open_insights: Callable[..., InsightsPage], stack: Stack, judged: dict[str, Turn]
) -> None:
    insights = open_insights(stack.url)
    insights.page.get_by_label("Dataset").fill("///")
    card = insights.negative("Faust")
    card.get_by_test_id("add").click()
    state = card.get_by_test_id("state")
    expect(state).to_contain_text("name: expected 1 to 100 letters")
    insights.page.context.set_offline(True)
    card.get_by_test_id("review").click()
    expect(state).to_have_text(f"No answer came from the server. {AGAIN}")
    expect(card.get_by_test_id("review")).to_be_enabled()


def test_a_sign_in_page_instead_of_an_answer_is_no_success(
    open_insights: Callable[..., InsightsPage], stack: Stack, judged: dict[str, Turn]
) -> None:
    insights = open_insights(stack.url)
    sign_in = {"content_type": "text/html", "body": "<h1>Sign in</h1>"}
    insights.page.route("**/insights/review", lambda route: route.fulfill(**sign_in))
    card = insights.negative("Faust")
    card.get_by_test_id("review").click()
    expect(card.get_by_test_id("state")).to_have_text(f"The app did not confirm it. {AGAIN}")
    expect(card.get_by_test_id("review")).to_have_text("Send to review")
    expect(card.get_by_test_id("review")).to_be_enabled()


@pytest.mark.parametrize("button", ["review", "add"])
def test_a_button_keeps_the_focus_and_is_not_pressed_twice(
    open_insights: Callable[..., InsightsPage],
    stack: Stack,
    judged: dict[str, Turn],
    button: str,
) -> None:
    insights = open_insights(stack.url)
    held: list[Route] = []
    insights.page.route("**/insights/*", lambda route: held.append(route))
    card = insights.negative("Faust")
    pressed = card.get_by_test_id(button)
    with insights.page.expect_request("**/insights/*"):
        pressed.press("Enter")
    expect(pressed).to_be_disabled()
    expect(pressed).to_be_focused()
    insights.page.keyboard.press("Enter")
    held[0].fulfill(json={"message": "Done.", "link": f"{stack.mlflow.url}/"})
    expect(card.get_by_test_id("state")).to_contain_text("Done.")
    expect(pressed).to_be_focused()
    assert len(held) == 1


def test_without_mlflow_the_page_shows_what_the_database_knows(
    open_insights: Callable[..., InsightsPage], stack_with: Callable[..., Stack]
) -> None:
    stack = stack_with(MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    visitor = Visitor(stack.url)
    with visitor.open_socket() as socket:
        turn = socket.ask("Anyone there?")
    visitor.judge(False, trace_id=turn.trace_id).raise_for_status()
    insights = open_insights(stack.url)
    expect(insights.page.get_by_test_id("problem")).to_contain_text("MLflow cannot be reached")
    expect(insights.tile("answers")).to_contain_text("1")
    expect(insights.tile("outbox")).to_contain_text("2")
    expect(insights.negative("Anyone there?")).to_be_visible()


def test_with_a_password_the_page_and_its_buttons_want_it(
    open_insights: Callable[..., InsightsPage], stack_with: Callable[..., Stack]
) -> None:
    hashed = generate_password_hash("correct horse battery", "pbkdf2:sha256:1000")
    stack = stack_with(OPERATOR_PASSWORD_HASH=hashed)
    assert requests.get(f"{stack.url}/insights", timeout=30).status_code == 401
    known = {"username": "operator", "password": "correct horse battery"}
    insights = open_insights(stack.url, http_credentials=known)
    expect(insights.page.get_by_test_id("empty")).to_be_visible()

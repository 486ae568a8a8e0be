"""The insights page as it is rendered: what it says, what it keeps apart, what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.datasets import Built, DatasetDesk
from app.errors import Unavailable
from app.insights.report import Report
from app.settings import load_settings
from app.store.filters import Filters
from app.tracing.failures import NotDelivered
from app.tracing.links import Links
from app.tracing.review_queues import ReviewQueue
from app.tracing.tracking import TrackingServer
from app.web import errors, identity, insights_page, operator, pages
from app.web.insights_words import counted, outcome, percent, sure
from tests.doubles import TrackingDouble
from tests.sample_report import (
    compared,
    empty,
    group,
    negative,
    rate,
    sample,
    without_mlflow,
)

TRACE = negative(1).trace_id
DAY_MS = 86_400_000


class ReviewsDouble(ReviewQueue):
    """A review queue in memory."""

    def __init__(self) -> None:
        self.known = {negative(2).trace_id: "pending"}
        self.failure: NotDelivered | None = None

    def add(self, trace_id: str) -> None:
        if self.failure:
            raise self.failure
        self.known[trace_id] = "pending"

    def states(self) -> dict[str, str]:
        if self.failure:
            raise self.failure
        return self.known


class LinksDouble(Links):
    """Links into an experiment that exists."""

    def _experiment(self) -> str:
        return f"{self.ui_url}/#/experiments/1"


class DatasetsDouble(DatasetDesk):
    """Says of each record that it was added, unless told otherwise."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.built = Built("Regression", "http://mlflow.example/d", 1, 0, 0, 8, 3)
        self.failure: Unavailable | None = None

    def names(self) -> list[str]:
        if self.failure:
            raise self.failure
        return ["Regression", "Arithmetic"]

    def add_trace(self, name: str, trace_id: str) -> Built:
        if self.failure:
            raise self.failure
        self.asked.append((name, trace_id))
        return self.built


class Scene:
    """The page over one report, and what it asked for."""

    def __init__(self, folder: Path, report: Report, links: type[Links] = LinksDouble) -> None:
        self.failure: Unavailable | None = None
        self.reviews = ReviewsDouble()
        self.datasets = DatasetsDouble()
        self.asked: list[Filters] = []
        self._report = report
        settings = load_settings(
            _env_file=None, data_dir=folder, mlflow_ui_url="https://mlflow.example/"
        )
        app = Flask("insights", static_folder=None)
        errors.init_app(app)
        identity.init_app(app, settings)
        pages.init_app(app, settings)
        nowhere = TrackingServer("http://127.0.0.1:9", "none")
        page = insights_page.make_blueprint(
            settings,
            self._answer,
            self.reviews,
            self.datasets,
            links(settings.mlflow_link, nowhere),
        )
        app.register_blueprint(operator.area(settings, page))
        self.client: FlaskClient = app.test_client()

    def _answer(self, filters: Filters) -> Report:
        self.asked.append(filters)
        if self.failure:
            raise self.failure
        return self._report

    def page(self, query: str = "", status: int = 200) -> str:
        response = self.client.get(f"/insights{query}")
        assert response.status_code == status, response.text
        return response.text

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        response = self.client.post(path, json=body)
        return response.status_code, response.get_json()


@pytest.fixture
def show(tmp_path: Path) -> Callable[[Report], Scene]:
    return lambda report: Scene(tmp_path, report)


@pytest.fixture
def scene(show: Callable[[Report], Scene]) -> Scene:
    return show(sample())


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


# What it says


def test_headline_figures_come_with_their_definitions(scene: Scene) -> None:
    text = words(scene.page())
    report = sample()
    assert f"{report.traces:,} Turns that began in this window and have ended" in text
    assert f"of {report.traces:,} answers have a thumb from whoever asked" in text
    assert re.search(r"the true share is 67 to 78% \(95% interval\)", text)
    assert "A changed verdict counts once, as it stands; a withdrawn one does not count." in text


def test_three_of_four_is_not_shown_as_better_than_many(scene: Scene) -> None:
    text = words(scene.page())
    assert "No clear difference from 1.4.0 (-53 to +14 points)" in text
    assert "Better than 1.3.0, by 11 to 36 points" in text
    assert text.index("1.5.0 42 answers, 4 thumbs") < text.index("1.3.0 480 answers")


def test_the_oldest_is_not_said_to_be_the_first_ever(scene: Scene) -> None:
    text = words(scene.page())
    assert "Nothing before it" not in text
    assert "No earlier one here has thumbs to compare with" in text


def test_a_comparison_says_that_the_filter_of_its_own_does_not_narrow_it(scene: Scene) -> None:
    said = "chosen above does not narrow this"
    assert said not in words(scene.page())
    text = words(scene.page("?version=1.5.0"))
    assert f"The version {said}." in text
    assert f"The model {said}." not in text


@pytest.mark.parametrize(
    ("hits", "total", "shown"),
    [
        (1_999, 2_000, ("99%", "99 to 100%")),
        (1, 2_000, ("1%", "0 to 1%")),
        (2_000, 2_000, ("100%", "100 to 100%")),
        (0, 5, ("0%", "0 to 43%")),
        (3, 4, ("75%", "30 to 95%")),
    ],
)
def test_an_interval_contains_the_share_it_is_of(
    hits: int, total: int, shown: tuple[str, str]
) -> None:
    found = rate(hits, total)
    assert (percent(found.share), sure(found)) == shown


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((19_930, 20_000), (19_990, 20_000), "better than 1.4.0, by 0.2 to 0.4 points"),
        ((19_990, 20_000), (19_930, 20_000), "worse than 1.4.0, by 0.2 to 0.4 points"),
        ((140, 200), (158, 200), "better than 1.4.0, by 0.4 to 17 points"),
        (
            (19_990, 20_000),
            (19_990, 20_000),
            "no clear difference from 1.4.0 (-0.1 to +0.1 points)",
        ),
    ],
)
def test_a_small_difference_is_neither_rounded_away_nor_up_to_a_point(
    before: tuple[int, int], after: tuple[int, int], said: str
) -> None:
    _, second = compared(group("1.4.0", 9, 20_000, *before), group("1.5.0", 1, 20_000, *after))
    assert second.comparison is not None
    assert outcome(second.comparison) == said


def test_what_people_wrote_runs_in_its_own_direction(show: Callable[[Report], Scene]) -> None:
    long = "لماذا السماء زرقاء؟ " * 30
    negatives = (negative(1, question="למה השמיים כחולים?", answer=long),)
    html = show(replace(sample(), negatives=negatives)).page()
    assert '<p class="words" dir="auto">למה' in html
    assert '<summary><span dir="auto">لماذا' in html
    assert '<p class="words" dir="auto">لماذا' in html


def test_one_answer_is_not_called_answers() -> None:
    assert counted(1, "answer") == "1 answer"
    assert counted(0, "answer") == "0 answers"
    assert counted(1240, "answer") == "1,240 answers"


def test_every_chart_has_its_table(scene: Scene) -> None:
    html = scene.page()
    assert html.count("<table>") == html.count("<caption") == 4
    assert html.count('role="img"') == html.count("<desc id=") == 2
    buckets = sample().over_time
    assert html.count('<circle class="dot" cx=') >= len([b for b in buckets if b.positive.total])


def test_what_people_wrote_stays_text(scene: Scene) -> None:
    html = scene.page()
    assert "&lt;b&gt;Far&lt;/b&gt; too long." in html
    assert "<b>Far" not in html


def test_nothing_on_the_page_needs_more_than_its_policy_allows(scene: Scene) -> None:
    response = scene.client.get("/insights")
    html = response.text
    assert "'unsafe-inline'" not in response.headers["Content-Security-Policy"]
    assert " style=" not in html
    assert re.findall(r"<script(?![^>]* src=)", html) == []
    assert response.headers["Cache-Control"] == "no-store"


def test_links_lead_to_mlflow_only(scene: Scene) -> None:
    html = scene.page()
    links = set(re.findall(r'href="(https?://[^"]+)"', html))
    assert {link.partition("#")[0] for link in links} == {
        "https://mlflow.example",
        "http://mlflow.example/",
    }
    assert f'href="{negative(1).link}"' in html


@pytest.mark.parametrize(
    "trace_id",
    ["tr-" + "0" * 32, "../../../evil", "//evil.example", "x?y#z", "javascript:alert(1)", "%2e"],
)
def test_no_id_leads_a_link_astray(trace_id: str) -> None:
    links = Links("https://ui.example/mlflow", TrackingDouble())
    start = "https://ui.example/mlflow/#/experiments/1/traces/"
    assert links.trace(trace_id).startswith(start)
    last = links.trace(trace_id).removeprefix(start)
    assert not set(last) & set("/?#:&\"'<>")
    assert unquote(last) == trace_id


def test_an_empty_window_says_so_and_what_to_do(show: Callable[[Report], Scene]) -> None:
    scene = show(empty())
    text = words(scene.page())
    assert "Nobody asked anything here" in text
    assert "Latest thumbs down" not in text
    assert "Show the whole window" in words(scene.page("?version=9.9"))


def test_without_mlflow_the_page_says_so_and_shows_what_the_database_knows(
    show: Callable[[Report], Scene],
) -> None:
    scene = show(without_mlflow())
    scene.reviews.failure = NotDelivered("nobody there", unreachable=True)
    text = words(scene.page())
    assert "MLflow cannot be reached." in text
    assert "From the app database alone." in text
    assert "What is 17 + 25?" in text
    assert "Open trace" not in text
    assert "the oldest has waited 90 minutes" in text


# Filters


def test_filters_come_from_the_address_and_stay_in_the_form(scene: Scene) -> None:
    html = scene.page("?hours=720&version=1.4.0&model=gpt-4o-mini&segment=returning")
    [asked] = scene.asked
    assert (asked.version, asked.model, asked.segment) == ("1.4.0", "gpt-4o-mini", "returning")
    assert asked.end_ms - asked.start_ms == 30 * DAY_MS
    chosen = re.findall(r'<option value="([^"]*)" selected>', html)
    assert chosen == ["720", "1.4.0", "gpt-4o-mini", "returning"]
    assert "Clear" in html


def test_without_filters_it_is_the_last_week(scene: Scene) -> None:
    html = scene.page()
    assert scene.asked[0].end_ms - scene.asked[0].start_ms == 7 * DAY_MS
    assert (scene.asked[0].version, scene.asked[0].segment) == (None, None)
    assert ">Clear<" not in html


def test_a_version_nobody_knows_can_be_asked_for_and_left(scene: Scene) -> None:
    html = scene.page("?hours=36&version=%3Cscript%3E")
    assert '<option value="&lt;script&gt;" selected>' in html
    assert '<option value="36" selected>Last 36 hours' in html
    assert '<option value="">All versions' in html


@pytest.mark.parametrize(
    "query",
    ["?hours=many", "?hours=-1", "?hours=nan", "?hours=1e9", "?segment=old", "?version=%00"],
)
def test_a_wrong_filter_is_named_and_the_page_still_shown(scene: Scene, query: str) -> None:
    text = words(scene.page(query, status=422))
    name = query[1:].partition("=")[0]
    assert re.search(rf"{name}: expected .* Shown without filters\.", text)
    assert "Did the release help?" in text


def test_without_any_report_it_is_a_page_that_says_so(scene: Scene) -> None:
    scene.failure = Unavailable("Neither MLflow nor the app database can be read right now.")
    response = scene.client.get("/insights?hours=720")
    assert (response.status_code, response.mimetype) == (503, "text/html")
    assert "Neither MLflow nor the app database can be read right now. Try again" in words(
        response.text
    )


# Triage


def test_what_is_in_review_already_says_so(scene: Scene) -> None:
    cards = scene.page().split("<article")[1:]
    assert [("disabled>In review" in card) for card in cards] == [False, True, False]


def test_an_unreadable_queue_costs_only_its_marks(scene: Scene) -> None:
    scene.reviews.failure = NotDelivered("no such route", refused=True)
    scene.datasets.failure = Unavailable("MLflow cannot be reached right now.")
    assert "Send to review" in scene.page()


def test_an_answer_goes_to_review(scene: Scene) -> None:
    status, body = scene.post("/insights/review", trace_id=TRACE)
    assert status == 200
    assert body["message"] == "It is in MLflow's review queue now."
    assert body["link"] == "https://mlflow.example/#/experiments/1/review-queue"
    assert scene.reviews.known[TRACE] == "pending"


def test_an_answer_becomes_a_question_of_a_dataset(scene: Scene) -> None:
    status, body = scene.post("/insights/dataset", trace_id=TRACE, name="Regression")
    assert (status, body["message"]) == (200, "Added to Regression, which has 8 questions.")
    assert scene.datasets.asked == [("Regression", TRACE)]
    scene.datasets.built = Built("Regression", "http://x/d", 0, 0, 1, 1, 0)
    _, body = scene.post("/insights/dataset", trace_id=TRACE, name="Regression")
    assert body["message"] == "It was already in Regression, which has 1 question."
    scene.datasets.built = Built("Regression", "http://x/d", 0, 0, 0, 1, 0, refused=(TRACE,))
    status, body = scene.post("/insights/dataset", trace_id=TRACE, name="Regression")
    assert (status, body["error"]["code"]) == (503, "mlflow_unavailable")


@pytest.mark.parametrize("path", ["/insights/review", "/insights/dataset"])
@pytest.mark.parametrize(
    "body",
    [{}, {"trace_id": "tr-1"}, {"trace_id": TRACE + "\n"}, {"trace_id": "x" + TRACE}, [], "text"],
)
def test_what_is_no_trace_is_refused(scene: Scene, path: str, body: Any) -> None:
    response = scene.client.post(path, json=body)
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "invalid_value")
    assert scene.datasets.asked == []
    assert TRACE not in scene.reviews.known


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            NotDelivered("timed out", unreachable=True),
            "MLflow did not confirm it. Pressing again is safe: nothing is added twice.",
        ),
        (NotDelivered("404", refused=True), "it has no such trace, or no review queues"),
    ],
)
def test_what_did_not_work_is_said(scene: Scene, failure: NotDelivered, said: str) -> None:
    scene.reviews.failure = failure
    status, body = scene.post("/insights/review", trace_id=TRACE)
    assert (status, body["error"]["code"]) == (503, "mlflow_unavailable")
    assert said in body["error"]["message"]


def test_what_has_no_link_is_not_added_and_then_called_a_failure(tmp_path: Path) -> None:
    scene = Scene(tmp_path, sample(), links=Links)
    status, _ = scene.post("/insights/review", trace_id=TRACE)
    assert status == 503
    assert TRACE not in scene.reviews.known


def test_only_operators_see_it_and_no_foreign_page_presses_its_buttons(scene: Scene) -> None:
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    for method, path in (
        ("GET", "/insights"),
        ("POST", "/insights/review"),
        ("POST", "/insights/dataset"),
    ):
        refused = scene.client.open(path, method=method, environ_overrides=elsewhere)
        assert refused.status_code == 403, path
    foreign = {"Origin": "https://evil.example"}
    pressed = scene.client.post("/insights/review", json={"trace_id": TRACE}, headers=foreign)
    assert pressed.get_json()["error"]["code"] == "foreign_origin"
    assert TRACE not in scene.reviews.known

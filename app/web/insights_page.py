"""The insights page: the report as people read it, and what they can do about a bad answer.

The buttons post JSON from a script of ours. With the check of the origin that every change passes,
that keeps another site's page from pressing them with an operator's password.
"""

import logging
from collections.abc import Callable
from typing import Annotated, Any

from flask import Blueprint, Response, jsonify, request
from flask.blueprints import BlueprintSetupState
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from app.clock import iso
from app.datasets import Built, DatasetDesk
from app.errors import InvalidValue, Unavailable
from app.insights import charts
from app.insights.report import Group, Report
from app.protocol import TRACE_ID
from app.settings import Settings
from app.store.filters import Filters
from app.tracing.failures import NotDelivered
from app.tracing.links import Links
from app.tracing.review_queues import ReviewQueue
from app.web import insights_words
from app.web.errors import explain_validation
from app.web.insights import filters_of
from app.web.pages import render_page

log = logging.getLogger(__name__)

DEFAULT_HOURS = "168"
WINDOWS = {
    "24": "Last 24 hours",
    "168": "Last 7 days",
    "720": "Last 30 days",
    "2160": "Last 90 days",
}
SEGMENTS = {"new": "New people", "returning": "Returning people"}
DATASET = "Thumbs down"
_STYLES = ("colours.css", "insights.css")

_REVIEWS = {"pending": "In review", "complete": "Reviewed", "declined": "Review declined"}
_SIGNALS = {
    "implicit_stop": "Stopped the answer",
    "implicit_regenerate": "Asked again",
    "implicit_copy": "Copied the answer",
}


class ReviewBody(BaseModel):
    """Which answer somebody is to judge."""

    model_config = ConfigDict(strict=True, extra="forbid")
    trace_id: Annotated[str, StringConstraints(pattern=f"^{TRACE_ID.pattern}$")]


class DatasetBody(ReviewBody):
    """Which answer's question goes into which dataset; its name is checked where it is used."""

    name: str


def make_blueprint(
    settings: Settings,
    report_of: Callable[[Filters], Report],
    reviews: ReviewQueue,
    datasets: DatasetDesk,
    links: Links,
) -> Blueprint:
    """The page and its two buttons, for operators."""
    blueprint = Blueprint("insights_page", __name__)

    @blueprint.record_once
    def add_words(state: BlueprintSetupState) -> None:
        for words in insights_words.FILTERS:
            state.app.add_template_filter(words)
        state.app.add_template_filter(iso)
        state.app.add_template_filter(charts.interval)
        state.app.add_template_filter(charts.segments)

    @blueprint.get("/insights")
    def page() -> tuple[Response, int]:
        try:
            report, chosen, problems = _ask(report_of)
        except Unavailable as error:
            return render_page("insights_unavailable.html", *_STYLES, said=error.message), 503
        in_mlflow = report.source == "mlflow" and bool(report.negatives)
        response = render_page(
            "insights.html",
            *_STYLES,
            report=report,
            problems=[*problems, *report.problems],
            chosen=chosen,
            narrowed=any(chosen[name] for name in ("version", "model", "segment")),
            windows=_windows(chosen["hours"]),
            choices=_choices(report, chosen),
            mlflow_ui_url=settings.mlflow_link,
            reviews=_review_states(reviews) if in_mlflow else {},
            datasets=_dataset_names(datasets) if in_mlflow else [],
            dataset=DATASET,
            signals=_SIGNALS,
            none="—",
            **_charts(report),
        )
        return response, 422 if problems else 200

    @blueprint.post("/insights/review")
    def review() -> Response:
        body = ReviewBody.model_validate(request.get_json())
        try:
            # Asked first: once the answer is added, nothing may fail any more.
            link = links.review_queue()
            reviews.add(body.trace_id)
        except NotDelivered as error:
            raise _unavailable(error) from error
        return jsonify(message="It is in MLflow's review queue now.", link=link)

    @blueprint.post("/insights/dataset")
    def add_to_dataset() -> Response:
        body = DatasetBody.model_validate(request.get_json())
        built = datasets.add_trace(body.name, body.trace_id)
        return jsonify(message=_as_sentence(built), link=built.link)

    @blueprint.errorhandler(ValidationError)
    def explain(error: ValidationError) -> Response:
        return explain_validation(error)

    return blueprint


def _ask(
    report_of: Callable[[Filters], Report],
) -> tuple[Report, dict[str, str], list[str]]:
    """The report that the address asks for, the filters as chosen, and what is wrong with them."""
    chosen = {name: request.args.get(name, "").strip() for name in ("version", "model", "segment")}
    chosen["hours"] = request.args.get("hours", "").strip() or DEFAULT_HOURS
    try:
        return report_of(filters_of(chosen)), chosen, []
    except InvalidValue as error:
        chosen = {"hours": DEFAULT_HOURS, "version": "", "model": "", "segment": ""}
        problem = f"{error.message}. Shown without filters."
        return report_of(filters_of(chosen)), chosen, [problem]


def _windows(hours: str) -> list[tuple[str, str]]:
    known = list(WINDOWS.items())
    return known if hours in WINDOWS else [*known, (hours, f"Last {hours} hours")]


def _choices(report: Report, chosen: dict[str, str]) -> list[tuple[str, str, str, Any]]:
    """The filters with a list: key, label, the text for all, and the values with their texts."""

    def names(groups: tuple[Group, ...] | None, key: str) -> list[tuple[str, str]]:
        known = [group.name for group in groups or ()]
        return [(name, name) for name in dict.fromkeys([*known, *filter(None, [chosen[key]])])]

    return [
        ("version", "Version", "All versions", names(report.versions, "version")),
        ("model", "Model", "All models", names(report.models, "model")),
        ("segment", "People", "Everybody", SEGMENTS.items()),
    ]


def _charts(report: Report) -> dict[str, Any]:
    most = charts.round_up(max((bucket.traces for bucket in report.over_time), default=0))
    points = charts.points(report.over_time)
    return {
        "most": most,
        "columns": charts.columns(report.over_time, most),
        "points": points,
        "lines": charts.lines(points),
        "rated": any(dimension.count for dimension in report.dimensions or ()),
        "comparisons": [
            (
                "Did the release help?",
                "Thumbs up by app version, the newest first; each is compared with the one before.",
                "version",
                report.versions,
            ),
            (
                "By model",
                "The same by the model that answered.",
                "model",
                report.models,
            ),
        ],
    }


def _review_states(reviews: ReviewQueue) -> dict[str, str]:
    try:
        return {trace: _REVIEWS.get(state, state) for trace, state in reviews.states().items()}
    except NotDelivered:
        log.warning("the review queue could not be read", exc_info=True)
        return {}


def _dataset_names(datasets: DatasetDesk) -> list[str]:
    try:
        return datasets.names()
    except Unavailable:
        log.warning("the names of the datasets could not be read", exc_info=True)
        return []


def _unavailable(error: NotDelivered) -> Unavailable:
    return Unavailable(
        "MLflow refused it: it has no such trace, or no review queues, which came with 3.14."
        if error.refused
        # A timeout leaves open whether it was done.
        else "MLflow did not confirm it. Pressing again is safe: nothing is added twice.",
        code="mlflow_unavailable",
    )


def _as_sentence(built: Built) -> str:
    if built.refused:
        raise Unavailable("MLflow refused this record.", code="mlflow_unavailable")
    done = "Added to" if built.added else "Updated in" if built.changed else "It was already in"
    return f"{done} {built.name}, which has {insights_words.counted(built.total, 'question')}."

"""The report where something is missing, and in each of its forms."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Feedback
from mlflow.utils.search_utils import SearchTraceMetricsUtils, SearchTraceUtils
from sqlalchemy import Connection

from app import create_app
from app.errors import InvalidValue, Unavailable
from app.insights.as_csv import as_csv
from app.insights.as_json import as_json
from app.insights.as_text import as_text
from app.insights.building import MOST_GROUPS, interval_of
from app.insights.comparison import compare_groups
from app.insights.figures import GroupFigures
from app.insights.report import Report
from app.settings import load_settings
from app.store.database import Database
from app.store.filters import Filters
from app.tracing.aggregates import MOST_GROUPS as MOST_NAMES
from app.tracing.aggregates import quoted
from app.tracing.negatives import latest_negatives
from app.tracing.spans import Recorder
from app.tracing.tracking import TrackingServer
from tests.doubles import NOON, ModelDouble
from tests.insights_scene import Asked, InsightsScene
from tests.processes import free_port
from tests.servers import MlflowServer

HOUR_MS = 3_600_000
DAY = Filters(NOON - 24 * HOUR_MS, NOON)

ASKED = [
    Asked(
        minutes_ago=99,
        said=(("user_feedback", True), ("user_reasons", ["Correct"]), ("user_accuracy", 1.0)),
    ),
    Asked(
        version="2.0",
        minutes_ago=90,
        question="Is it so?",
        said=(
            ("user_feedback", False),
            ("user_reasons", ["Incorrect", "Incomplete"]),
            ("user_accuracy", 0.4),
            ("user_accuracy", "none of it"),
            ("expected_response", "It is."),
            ("implicit_copy", True),
        ),
    ),
    Asked(
        user="ben", model="large", ending="stopped", said=(("user_feedback", False), ("tone", 3))
    ),
    Asked(user="ben", version="2.0", first_token_ms=None, ending="failed"),
]


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder({"thumbprint.environment": "test"})


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer, recorder: Recorder
) -> Iterator[InsightsScene]:
    scene = InsightsScene(tmp_path_factory.mktemp("insights"), mlflow_server.url, recorder)
    for asked in ASKED:
        scene.ask(asked)
    scene.deliver()
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def report(scene: InsightsScene) -> Report:
    return scene.insights.report(DAY)


def nowhere() -> TrackingServer:
    return TrackingServer(f"http://127.0.0.1:{free_port()}", "nowhere")


def unreadable() -> Database:
    return Database("postgresql+psycopg://nobody@127.0.0.1:1/none")


# When something is away


def test_while_mlflow_is_away_the_app_database_tells_the_same_and_says_so(
    scene: InsightsScene, report: Report
) -> None:
    away = scene.insights_on(scene.database, nowhere()).report(DAY)
    assert away.source == "database"
    [problem] = away.problems
    assert problem.startswith("MLflow cannot be reached.")
    assert [one.link for one in away.negatives] == [None, None]
    assert [one.average for one in away.other_feedback] == [None]
    assert away == replace(
        report,
        made_at_ms=away.made_at_ms,
        source="database",
        problems=away.problems,
        negatives=tuple(replace(one, link=None) for one in report.negatives),
        other_feedback=tuple(replace(one, average=None) for one in report.other_feedback),
    )


def test_postgresql_tells_the_same_as_sqlite(
    scene: InsightsScene, postgresql: Database, recorder: Recorder, tmp_path: Path
) -> None:
    def told(by: InsightsScene) -> Report:
        made = by.insights_on(by.database, nowhere()).report(DAY)
        negatives = tuple(replace(one, trace_id="") for one in made.negatives)
        return replace(made, made_at_ms=0, outbox=None, negatives=negatives)

    other = InsightsScene(
        tmp_path, "http://127.0.0.1:1", recorder, traced=False, database=postgresql
    )
    for asked in ASKED:
        other.ask(asked)
    assert told(other) == told(scene)


def test_without_the_app_database_the_rest_is_shown(scene: InsightsScene, report: Report) -> None:
    alone = scene.insights_on(unreadable()).report(DAY)
    assert alone.source == "mlflow"
    [problem] = alone.problems
    assert problem.startswith("The app database cannot be read")
    assert (alone.versions, alone.models, alone.outbox) == (None, None, None)
    assert (alone.latency.first_token_p50_ms, alone.latency.first_token_p95_ms) == (None, None)
    assert (alone.traces, alone.thumbs_down) == (report.traces, report.thumbs_down)
    assert "app database cannot be read" in as_text(alone)


def test_with_neither_there_is_no_report(scene: InsightsScene) -> None:
    with pytest.raises(Unavailable, match="Neither MLflow nor the app database"):
        scene.insights_on(unreadable(), nowhere()).report(DAY)


class BackAgain(Database):
    """A database that cannot be read the first time."""

    was_asked = False

    def read(self, work: Callable[[Connection], Any]) -> Any:
        if not self.was_asked:
            self.was_asked = True
            raise Unavailable("The database cannot be reached right now.")
        return super().read(work)


def test_a_database_that_comes_back_in_between_costs_only_the_comparisons(
    scene: InsightsScene, report: Report
) -> None:
    database = BackAgain(scene.database.url)
    made = scene.insights_on(database, nowhere()).report(DAY)
    database.close()
    assert (made.source, len(made.problems)) == ("database", 2)
    assert (made.versions, made.models) == (None, None)
    assert (made.traces, made.thumbs_down) == (report.traces, report.thumbs_down)


# When there is little


def test_an_empty_window_is_a_report_of_zeros(scene: InsightsScene) -> None:
    empty = scene.insights.report(Filters(NOON - 48 * HOUR_MS, NOON - 24 * HOUR_MS))
    assert (empty.traces, empty.positive.share, empty.feedback.share) == (0, None, None)
    assert empty.notices == ("No turn in this window.",)
    assert (empty.versions, empty.reasons, empty.negatives) == ((), (), ())
    assert len(empty.over_time) == 25
    assert "No turn in this window." in as_text(empty)


def test_an_unknown_version_is_said_to_have_no_turns(scene: InsightsScene) -> None:
    unknown = scene.insights.report(replace(DAY, version="9.9", segment="new"))
    assert unknown.notices == ("No turn of version 9.9 and segment new in this window.",)
    assert unknown.traces == 0


def test_turns_without_a_thumb_are_said_to_have_none(scene: InsightsScene) -> None:
    unjudged = scene.insights.report(replace(DAY, user="ben", version="2.0"))
    assert unjudged.traces == 1
    assert unjudged.notices == ("No turn in this window has a thumb.",)
    assert (unjudged.feedback.share, unjudged.positive.share) == (0, None)


def test_only_the_latest_versions_are_compared(tmp_path: Path, recorder: Recorder) -> None:
    scene = InsightsScene(tmp_path, f"http://127.0.0.1:{free_port()}", recorder, traced=False)
    for number in range(MOST_GROUPS + 2):
        scene.ask(Asked(version=f"v{number}", minutes_ago=100 - number))
    made = scene.insights.report(DAY)
    assert made.versions is not None
    assert [one.name for one in made.versions] == [f"v{n}" for n in range(2, MOST_GROUPS + 2)]
    assert made.notices[0] == "Only the latest 12 of 14 versions are compared."
    scene.close()


@pytest.mark.parametrize("away", [False, True])
def test_one_version_is_compared_with_those_that_the_filter_leaves_out(
    scene: InsightsScene, report: Report, away: bool
) -> None:
    insights = scene.insights_on(scene.database, nowhere()) if away else scene.insights
    made = insights.report(replace(DAY, version="2.0"))
    assert made.traces == 2
    assert made.versions == report.versions
    assert [one.name for one in made.models or ()] == ["small"]
    by_model = insights.report(replace(DAY, model="large"))
    assert by_model.models == report.models


def test_many_names_of_one_person_do_not_push_out_what_the_app_noted(
    tmp_path: Path, mlflow_server: MlflowServer, recorder: Recorder
) -> None:
    scene = InsightsScene(tmp_path, mlflow_server.url, recorder)
    row = scene.ask(Asked(said=(("implicit_copy", True),)))
    scene.deliver()
    info = scene.reader.trace(row.trace_id).info
    info.assessments += [
        Feedback(name=f"a{number:04}", value=1, trace_id=row.trace_id)
        for number in range(MOST_NAMES)
    ]
    scene.tracking.client.start_trace(info)
    made = scene.insights.report(DAY)
    assert [(one.name, one.rate.hits) for one in made.signals] == [("implicit_copy", 1)]
    assert "There is feedback under too many names to list all of them." in made.notices
    scene.close()


# What is told apart


def group(name: str, up: int, total: int) -> GroupFigures:
    first_ms = int(name)
    return GroupFigures(name, first_ms, total, {"true": up, "false": total - up})


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ((80, 100), (3, 4), "no clear difference"),
        ((60, 100), (90, 100), "better"),
        ((90, 100), (60, 100), "worse"),
        ((0, 1), (1, 1), "no clear difference"),
    ],
)
def test_better_and_worse_are_said_only_when_that_is_sure(
    before: tuple[int, int], after: tuple[int, int], outcome: str
) -> None:
    _, second = compare_groups([group("2", *after), group("1", *before)])
    assert second.comparison is not None
    assert (second.comparison.against, second.comparison.outcome) == ("1", outcome)


def test_a_version_without_thumbs_is_passed_over_in_comparisons() -> None:
    first, second, third = compare_groups([group("1", 3, 4), group("2", 0, 0), group("3", 1, 2)])
    assert (first.comparison, second.comparison) == (None, None)
    assert third.comparison is not None
    assert third.comparison.against == "1"


def test_the_latest_negatives_come_first_and_no_more_than_asked_for(scene: InsightsScene) -> None:
    [latest] = latest_negatives(scene.tracking, DAY, 1, 60)
    assert (latest.user, latest.comment) == ("ben", "I said False")
    found = latest_negatives(scene.tracking, DAY, 20, 60)
    assert [one.question for one in found] == ["Why?", "Is it so?"]
    assert found[1].reasons == ("Incorrect", "Incomplete")
    assert found[1].correction == "It is."


@pytest.mark.parametrize(
    ("hours", "interval_s"),
    [
        (1, 300),
        (5, 300),
        (6, 900),
        (24, 3600),
        (62, 3600),
        (72, 21_600),
        (720, 86_400),
        (8760, 604_800),
        (87_600, 2_592_000),
    ],
)
def test_a_window_is_cut_into_round_stretches(hours: float, interval_s: int) -> None:
    assert interval_of(Filters.last(hours, NOON)) == interval_s


# What may be asked for


@pytest.mark.parametrize("hours", [0, -1, 87_601, float("nan"), float("inf")])
def test_a_window_that_is_none_is_refused(hours: float) -> None:
    with pytest.raises(InvalidValue, match="hours: expected more than 0"):
        Filters.last(hours, NOON)


@pytest.mark.parametrize("narrowed", [{"segment": "old"}, {"version": "x" * 251}, {"user": "a\nb"}])
def test_a_filter_that_cannot_be_meant_is_refused(narrowed: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match=f"{next(iter(narrowed))}: expected"):
        Filters.last(24, NOON, **narrowed)


@given(
    st.text(st.characters(exclude_categories=["C"], exclude_characters="\u2028\u2029"), min_size=1)
)
def test_text_in_a_filter_is_what_mlflow_reads_back(text: str) -> None:
    if "'" in text and '"' in text:
        with pytest.raises(InvalidValue, match="both kinds of quotes"):
            quoted(text)
        return
    counted: Any = SearchTraceMetricsUtils
    assert counted.parse_search_filter(f"trace.tag.`a.b` = {quoted(text)}").value == text
    searched: Any = SearchTraceUtils
    [found] = searched.parse_search_filter(f"tag.`a.b` = {quoted(text)}")
    assert found["value"] == text


# Forms


def test_json_has_every_figure_with_times_as_text(report: Report) -> None:
    shown = as_json(report)
    assert json.loads(json.dumps(shown)) == shown
    assert shown["filters"]["end"] == "2026-11-24T00:00:00.000Z"
    assert shown["positive"]["hits"] == 1
    assert shown["positive"]["total"] == 3
    assert shown["versions"][1]["comparison"]["outcome"] == "no clear difference"
    assert shown["mixed"] == [
        {
            "name": "user_accuracy",
            "expected": "0.2, 0.4, 0.6, 0.8 or 1 (stars / 5)",
            "kinds": {"text": 1},
        }
    ]
    assert {one["at"] for one in shown["negatives"]} == {
        "2026-11-23T23:55:00.000Z",
        "2026-11-23T22:30:00.000Z",
    }


def lines_of(report: Report) -> list[list[str]]:
    return list(csv.reader(io.StringIO(as_csv(report), newline="")))


def test_csv_has_one_figure_a_line(report: Report) -> None:
    header, *lines = lines_of(report)
    assert header == ["section", "item", "measure", "value"]
    figures = {tuple(line[:3]): line[3] for line in lines}
    assert figures["report", "turns", "count"] == "4"
    assert figures["dimensions", "user_accuracy", "5 stars"] == "1"
    assert figures["reasons", "Incomplete", "side"] == "down"
    assert figures["versions", "2.0", "compared with"] == "1.0"
    assert figures["endings", "stopped", "of turns: hits"] == "1"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＠", "\t", "\r", "\n"])  # noqa: RUF001
def test_csv_holds_no_formula(start: str, report: Report) -> None:
    text = f"{start}HYPERLINK(1)"
    first = replace(report.negatives[0], comment=text, question=text)
    lines = lines_of(replace(report, negatives=(first,)))
    assert ["negatives", first.trace_id, "comment", f"'{text}"] in lines
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for line in lines for cell in line)


def test_text_lines_up_and_says_what_it_counts(report: Report) -> None:
    text = as_text(report)
    assert "Summary (a verdict counts once, as it is now)" in text
    assert re.search(r"\n  thumbs up +1 +33\.3% \(6% to 79%\) of thumbs\n", text)
    assert "  + Correct     1  50.0%" in text
    assert "no clear difference from 1.0" in text
    assert "question: Is it so?" in text
    assert "1 text  not 0.2, 0.4, 0.6, 0.8 or 1 (stars / 5)" in text


def test_text_cannot_steer_the_terminal(report: Report) -> None:
    first = replace(report.negatives[0], comment="\x1b[2J\x07gone", version="\x9b31m")
    text = as_text(replace(report, negatives=(first,)))
    assert not any(one in text for one in "\x1b\x07\x9b")
    assert "[2J gone" in text


# Over HTTP and from the command line


@pytest.fixture
def app(tmp_path: Path, scene: InsightsScene, mlflow_server: MlflowServer) -> Iterator[Flask]:
    settings = load_settings(
        _env_file=None,
        data_dir=tmp_path,
        openai_base_url="http://127.0.0.1:1",
        mlflow_tracking_uri=mlflow_server.url,
        mlflow_experiment_name=scene.reader.experiment,
        feedback_dimensions="accuracy",
    )
    app = create_app(settings, ModelDouble())
    yield app
    app.extensions["thumbprint"].database.close()


def say(app: Flask, *options: str) -> Any:
    return app.test_cli_runner().invoke(args=["insights", "report", *options])


def test_the_command_prints_each_form(app: Flask) -> None:
    # The turns of the scene are at its own noon, long or not so long ago.
    assert "Summary" in say(app, "--hours", "87600").output
    shown = json.loads(say(app, "--hours", "87600", "--json").stdout)
    assert shown["traces"] >= 0
    assert shown["source"] == "mlflow"
    lines = say(app, "--hours", "1", "--csv", "--version", "2.0", "--segment", "new").stdout
    assert lines.startswith("section,item,measure,value\n")
    assert "report,filter,version,2.0\n" in lines


def test_the_command_says_what_is_wrong_in_one_line(app: Flask) -> None:
    failed = say(app, "--version", "x" * 300)
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: version: expected at most 250")
    assert len(failed.stderr.splitlines()) == 1
    assert say(app, "--hours", "0").exit_code == 2


def test_the_route_answers_operators_with_the_report(app: Flask) -> None:
    answer = app.test_client().get("/insights.json?hours=2&model=small&segment=new")
    assert answer.status_code == 200
    shown = answer.get_json()
    assert shown["filters"]["model"] == "small"
    assert shown["source"] == "mlflow"
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    assert app.test_client().get("/insights.json", environ_base=elsewhere).status_code == 403


def test_the_page_is_shown_without_a_filter_that_mlflow_cannot_be_asked_for(app: Flask) -> None:
    answer = app.test_client().get("""/insights?version=a'b"c""")
    assert (answer.status_code, answer.mimetype) == (422, "text/html")
    assert "both kinds of quotes" in answer.text
    assert "Shown without filters." in answer.text


@pytest.mark.parametrize("query", ["hours=soon", "hours=0", "hours=nan", "segment=old"])
def test_the_route_names_a_wrong_value(query: str, app: Flask) -> None:
    answer = app.test_client().get(f"/insights.json?{query}")
    assert answer.status_code == 422
    error = answer.get_json()["error"]
    assert error["code"] == "invalid_value"
    assert error["message"].startswith(query.partition("=")[0])

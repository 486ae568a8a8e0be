"""Feedback over HTTP: changes that arrive twice, and the list of all that one has said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import outbox
from app.clock import now_ms
from app.store.feedback import EXCERPT_CHARS, PAGE
from app.store.feedback_keys import MOST_KEPT
from tests.web_client import app_with, ask, close, error_of, parts_of

UP, DOWN = {"is_correct": True}, {"is_correct": False}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One app for all these tests; its MLflow server does not answer."""
    app = app_with(tmp_path_factory.mktemp("web"))
    yield app
    close(app)


@pytest.fixture
def ann(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def turn(ann: FlaskClient) -> dict[str, str]:
    """A turn of Ann's, as a query."""
    return {"trace_id": ask(ann)["trace_id"]}


def judge(client: FlaskClient, turn: dict[str, str], body: Any, key: str | None = None) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    response = client.post("/feedback", query_string=turn, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return values(response.get_json())


def values(answer: dict[str, Any]) -> list[tuple[str, object]]:
    return [(one["name"], one["value"]) for one in answer["feedback"]]


def owed(app: Flask) -> int:
    return parts_of(app).database.read(lambda c: outbox.status(c, now_ms())).waiting


# Changes that arrive twice


def test_a_late_copy_of_a_change_never_overwrites_a_newer_choice(
    app: Flask, ann: FlaskClient, turn: dict[str, str]
) -> None:
    assert judge(ann, turn, UP, "first") == [("user_feedback", True)]
    assert judge(ann, turn, DOWN, "second") == [("user_feedback", False)]
    before = owed(app)
    assert judge(ann, turn, UP, "first") == [("user_feedback", False)]
    assert owed(app) == before


def test_a_late_copy_of_a_withdrawal_takes_nothing_back(
    ann: FlaskClient, turn: dict[str, str]
) -> None:
    judge(ann, turn, UP, "given")
    taken = {"query_string": turn, "headers": {"Idempotency-Key": "taken"}}
    assert values(ann.delete("/feedback", **taken).get_json()) == []
    assert judge(ann, turn, DOWN, "again") == [("user_feedback", False)]
    late = ann.delete("/feedback", **taken)
    assert (late.status_code, values(late.get_json())) == (200, [("user_feedback", False)])
    assert judge(ann, turn, UP, "given") == [("user_feedback", False)]


def test_every_feedback_route_that_changes_something_knows_its_copies(
    ann: FlaskClient, turn: dict[str, str]
) -> None:
    def rate(stars: str) -> Any:
        query = {**turn, "accuracy": stars}
        return ann.post("/detailed-feedback", query_string=query, headers=key("stars"))

    def correct(text: str) -> Any:
        body = {"expected_response": text}
        return ann.post("/correction", query_string=turn, json=body, headers=key("words"))

    def key(value: str) -> dict[str, str]:
        return {"Idempotency-Key": value}

    assert values(rate("5").get_json()) == values(rate("1").get_json()) == [("user_accuracy", 1.0)]
    assert values(correct("So.").get_json()) == values(correct("No.").get_json())


def test_the_same_key_on_another_turn_or_of_another_person_is_another_change(
    app: Flask, ann: FlaskClient, turn: dict[str, str]
) -> None:
    judge(ann, turn, UP, "shared")
    other = {"trace_id": ask(ann)["trace_id"]}
    assert judge(ann, other, DOWN, "shared") == [("user_feedback", False)]
    bob = app.test_client()
    assert judge(bob, {"trace_id": ask(bob)["trace_id"]}, DOWN, "shared") == [
        ("user_feedback", False)
    ]


def test_a_change_that_was_refused_may_come_again_under_its_key(
    ann: FlaskClient, turn: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "corrected"}
    refused = ann.post("/feedback", query_string=turn, json={"is_correct": 1}, headers=headers)
    assert refused.status_code == 422
    assert judge(ann, turn, UP, "corrected") == [("user_feedback", True)]


def test_the_latest_keys_are_remembered_and_no_more(
    app: Flask, ann: FlaskClient, turn: dict[str, str]
) -> None:
    for number in range(MOST_KEPT + 1):
        judge(ann, turn, UP if number % 2 else DOWN, f"k{number}")
    last = [("user_feedback", MOST_KEPT % 2 != 0)]
    assert judge(ann, turn, UP, "k1") == last
    assert judge(ann, turn, UP, f"k{MOST_KEPT}") == last
    (kept,) = parts_of(app).database.read(
        lambda c: c.exec_driver_sql("SELECT max(length(keys)) FROM feedback_keys").all()
    )
    assert kept[0] < MOST_KEPT * 10


@pytest.mark.parametrize("key", ["", "x" * 65, "a b", '"quoted"', "one,two", "ü", "a\t"])
def test_a_key_of_another_form_is_refused_by_its_name(
    ann: FlaskClient, turn: dict[str, str], key: str
) -> None:
    for method in ("POST", "DELETE"):
        response = ann.open(
            "/feedback",
            method=method,
            query_string=turn,
            json=UP if method == "POST" else None,
            headers={"Idempotency-Key": key.encode().decode("latin-1")},
        )
        assert response.status_code == 422, method
        assert error_of(response)["code"] == "invalid_value"
        assert "Idempotency-Key" in error_of(response)["message"]


# All that one has said


def mine(client: FlaskClient, **query: str) -> dict[str, Any]:
    response = client.get("/feedback/mine", query_string=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def test_nothing_said_is_an_empty_list(ann: FlaskClient) -> None:
    assert mine(ann) == {"feedback": [], "next": None}


def test_each_thing_said_is_listed_with_the_answer_it_is_about(ann: FlaskClient) -> None:
    asked = ask(ann, message="What is it?")
    judge(ann, {"trace_id": asked["trace_id"]}, {"is_correct": False, "comment": "No"})
    (entry,) = mine(ann)["feedback"]
    updated_at = entry.pop("updated_at")
    assert updated_at.endswith("Z") or "+00:00" in updated_at
    assert entry == {
        "name": "user_feedback",
        "value": False,
        "rationale": "No",
        "state": "saved",
        "trace_id": asked["trace_id"],
        "client_request_id": asked["client_request_id"],
        "conversation_id": asked["conversation_id"],
        "question": "What is it?",
        "answer": "Hello there.",
    }


def test_what_was_withdrawn_or_only_observed_is_not_listed(
    ann: FlaskClient, turn: dict[str, str]
) -> None:
    judge(ann, turn, {"name": "implicit_copy", "value": True})
    judge(ann, turn, UP)
    assert values(mine(ann)) == [("user_feedback", True)]
    ann.delete("/feedback", query_string=turn)
    assert mine(ann)["feedback"] == []


def test_long_questions_and_answers_are_cut(ann: FlaskClient) -> None:
    asked = ask(ann, message="why " * 1000)
    judge(ann, {"trace_id": asked["trace_id"]}, UP)
    (entry,) = mine(ann)["feedback"]
    assert len(entry["question"]) <= EXCERPT_CHARS
    assert entry["question"].endswith("why…")


def test_pages_follow_each_other_the_newest_change_first(ann: FlaskClient) -> None:
    traces = [ask(ann)["trace_id"] for _ in range(PAGE + 3)]
    for trace in traces:
        judge(ann, {"trace_id": trace}, UP)
    judge(ann, {"trace_id": traces[0]}, DOWN)
    first = mine(ann)
    assert len(first["feedback"]) == PAGE <= 100
    rest = mine(ann, before=first["next"])
    assert rest["next"] is None
    said = first["feedback"] + rest["feedback"]
    assert sorted(one["trace_id"] for one in said) == sorted(traces)
    times = [one["updated_at"] for one in said]
    assert times == sorted(times, reverse=True)
    assert traces[0] in {one["trace_id"] for one in first["feedback"]}


def test_a_page_ends_with_a_whole_turn(ann: FlaskClient) -> None:
    old, new = ({"trace_id": ask(ann)["trace_id"]} for _ in range(2))
    judge(ann, old, {"is_correct": False, "comment": "What was said first"})
    for number in range(PAGE - 1):
        judge(ann, new, {"name": f"n{number}", "value": number})
    judge(ann, old, {"name": "user_reasons", "value": ["Incomplete"]})
    first = mine(ann)
    assert sorted(values(first)) == [("user_feedback", False), ("user_reasons", ["Incomplete"])]
    rest = mine(ann, before=first["next"])
    assert (len(rest["feedback"]), rest["next"]) == (PAGE - 1, None)


def test_a_turn_with_more_than_a_page_is_a_page(ann: FlaskClient, turn: dict[str, str]) -> None:
    judge(ann, {"trace_id": ask(ann)["trace_id"]}, UP)
    for number in range(PAGE + 3):
        judge(ann, turn, {"name": f"n{number}", "value": number})
    first = mine(ann)
    assert {one["trace_id"] for one in first["feedback"]} == {turn["trace_id"]}
    assert len(first["feedback"]) == PAGE + 3
    assert values(mine(ann, before=first["next"])) == [("user_feedback", True)]


def test_a_full_page_with_nothing_after_it_is_the_last(
    ann: FlaskClient, turn: dict[str, str]
) -> None:
    for number in range(PAGE):
        judge(ann, turn, {"name": f"n{number}", "value": number})
    assert len(mine(ann)["feedback"]) == PAGE
    assert mine(ann)["next"] is None


def test_nobody_sees_what_others_said(app: Flask, ann: FlaskClient, turn: dict[str, str]) -> None:
    judge(ann, turn, UP)
    assert mine(app.test_client())["feedback"] == []


@pytest.mark.parametrize("before", ["", "x", "1", "1.a", "-1." + "0" * 32, "1." + "z" * 32])
def test_a_place_that_is_none_is_refused(ann: FlaskClient, before: str) -> None:
    response = ann.get("/feedback/mine", query_string={"before": before})
    assert (response.status_code, error_of(response)["code"]) == (422, "invalid_value")


# What is refused


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/feedback?{turn}&{turn}"),
        ("POST", "/feedback?{turn}&{turn}"),
        ("DELETE", "/feedback?{turn}&name=a&name=b"),
        ("POST", "/detailed-feedback?{turn}&accuracy=1&accuracy=5"),
        ("POST", "/correction?{turn}&{turn}"),
        ("GET", "/feedback/mine?before=a&before=b"),
    ],
)
def test_a_parameter_that_comes_twice_is_refused_by_its_name(
    ann: FlaskClient, turn: dict[str, str], method: str, path: str
) -> None:
    bodies = {"/feedback": UP, "/correction": {"expected_response": "So."}}
    body = bodies.get(path.partition("?")[0]) if method == "POST" else None
    response = ann.open(path.format(turn=f"trace_id={turn['trace_id']}"), method=method, json=body)
    assert (response.status_code, error_of(response)["code"]) == (422, "invalid_value")
    assert "expected it once" in error_of(response)["message"]


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e999", "null", "{}", "[]", "[1]", '""', '"a\\u0000"'],
)
def test_a_value_that_is_none_is_refused_and_nothing_is_kept(
    app: Flask, ann: FlaskClient, turn: dict[str, str], value: str
) -> None:
    before = owed(app)
    response = ann.post(
        "/feedback",
        query_string=turn,
        data=f'{{"name": "anything", "value": {value}}}',
        content_type="application/json",
    )
    assert (response.status_code, error_of(response)["code"]) == (422, "invalid_value")
    assert ann.get("/feedback", query_string=turn).get_json()["feedback"] == []
    assert owed(app) == before


def test_a_burst_is_told_when_to_come_back_and_nothing_is_half_written(tmp_path: Path) -> None:
    app = app_with(tmp_path, rate_limit_feedback="20/minute")
    client = app.test_client()
    query = {"trace_id": ask(client)["trace_id"]}
    answers = [
        client.post("/feedback", query_string=query, json={"name": f"n{number}", "value": number})
        for number in range(300)
    ]
    kept = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(kept) + len(refused) == 300
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
    said = client.get("/feedback", query_string=query).get_json()["feedback"]
    assert [one["value"] for one in said] == list(range(len(kept)))
    assert owed(app) == len(kept) + 1  # and the trace
    close(app)


def test_another_person_forgotten_takes_nothing_of_ours_along(
    app: Flask, ann: FlaskClient, turn: dict[str, str]
) -> None:
    judge(ann, turn, UP)
    assert app.test_client().post("/forget-me").get_json()["conversations"] == 0
    assert values(mine(ann)) == [("user_feedback", True)]

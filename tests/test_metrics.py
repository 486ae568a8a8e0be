"""`/metrics`: what it says is so, its labels are few, and dashboard and alerts know its names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from werkzeug.security import generate_password_hash

from app import create_app, outbox
from app.clock import now_ms
from app.errors import ModelError, Unavailable
from app.settings import load_settings
from app.store import tables
from app.web.services import Services
from tests.doubles import ModelDouble
from tests.processes import ROOT, free_port
from tests.waiting import eventually

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def model() -> ModelDouble:
    return ModelDouble()


@pytest.fixture
def app(tmp_path: Path, model: ModelDouble) -> Iterator[Flask]:
    app = app_in(tmp_path, model)
    yield app
    services_of(app).database.close()


@pytest.fixture
def ann(app: Flask) -> FlaskClient:
    return app.test_client()


def app_in(folder: Path, model: ModelDouble, **settings: Any) -> Flask:
    """An app whose MLflow server does not answer."""
    loaded = load_settings(
        _env_file=None,
        data_dir=folder,
        mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}",
        openai_base_url="http://127.0.0.1:1/v1",
        rate_limit_messages="100000/minute",
        rate_limit_feedback="100000/minute",
        **settings,
    )
    return create_app(loaded, model)


def services_of(app: Flask) -> Services:
    services: Services = app.extensions["thumbprint"]
    return services


def scrape(app: Flask) -> Samples:
    response = app.test_client().get("/metrics")
    assert response.status_code == 200, response.text
    assert response.content_type.startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value_of(samples: Samples, metric: str, /, **labels: str) -> float:
    return samples[f"thumbprint_{metric}", frozenset(labels.items())]


def ask(client: FlaskClient, message: str = "Why?") -> dict[str, Any]:
    body: dict[str, Any] = client.post("/chat", json={"message": message}).get_json()
    return body


def judge(client: FlaskClient, turn: dict[str, Any], **body: Any) -> None:
    response = client.post("/feedback", query_string={"trace_id": turn["trace_id"]}, json=body)
    assert response.status_code == 200, response.text


def test_turns_are_counted_by_ending_and_measured(
    app: Flask, ann: FlaskClient, model: ModelDouble
) -> None:
    model.scripts += [["One", " two", " three"], ["Half", ModelError("broke")], [ModelError("x")]]
    for _ in range(3):
        ask(ann)
    eventually(lambda: value_of(scrape(app), "turns_ended_total", ending="failed") == 2)
    samples = scrape(app)
    assert value_of(samples, "turns_ended_total", ending="complete") == 1
    assert value_of(samples, "turns_ended_total", ending="stopped") == 0
    assert value_of(samples, "pieces_total") == 4
    assert value_of(samples, "first_token_seconds_count") == 2
    assert value_of(samples, "turn_duration_seconds_count") == 3
    assert value_of(samples, "turns", ending="failed") == 2


def test_what_the_database_counts_is_true_after_a_restart(
    app: Flask, ann: FlaskClient, tmp_path: Path, model: ModelDouble
) -> None:
    judge(ann, ask(ann), is_correct=True)
    again = app_in(tmp_path, model)
    samples = scrape(again)
    assert value_of(samples, "turns", ending="complete") == 1
    assert value_of(samples, "feedback", name="user_feedback", value="true") == 1
    assert value_of(samples, "turns_ended_total", ending="complete") == 0
    services_of(again).database.close()


def test_feedback_counts_what_stands_by_name_and_value(app: Flask, ann: FlaskClient) -> None:
    first, second = ask(ann), ask(ann)
    judge(ann, first, is_correct=True)
    judge(ann, first, is_correct=False)
    judge(ann, second, is_correct=False)
    judge(ann, first, name="user_reasons", value=["Incorrect", "Harmful"])
    judge(ann, second, name="user_reasons", value=["Incorrect"])
    by_second = {"trace_id": second["trace_id"]}
    ann.post("/detailed-feedback", query_string={**by_second, "accuracy": 3, "relevance": 5})
    ann.post("/correction", query_string=by_second, json={"expected_response": "So."})
    samples = scrape(app)
    expected = {
        ("user_feedback", "true"): 0,
        ("user_feedback", "false"): 2,
        ("user_reasons", "Incorrect"): 2,
        ("user_reasons", "Harmful"): 1,
        ("user_reasons", "Complete"): 0,
        ("user_accuracy", "3"): 1,
        ("user_relevance", "5"): 1,
        ("user_helpfulness", "1"): 0,
        ("expected_response", "other"): 1,
    }
    for (name, value), count in expected.items():
        assert value_of(samples, "feedback", name=name, value=value) == count, name
    ann.delete("/feedback", query_string={**by_second, "name": "user_feedback"})
    assert value_of(scrape(app), "feedback", name="user_feedback", value="false") == 1


def test_labels_stay_few_whatever_is_sent(app: Flask, ann: FlaskClient) -> None:
    turn = ask(ann)
    judge(ann, turn, name="mood", value="fine")
    judge(ann, turn, name="user_accuracy", value=0.123)
    before = scrape(app)
    for number in range(40):
        judge(ann, turn, name=f"mood_{number}", value=f"value {number}")
        judge(ann, ask(ann), name="user_helpfulness", value=number / 100)
    after = scrape(app)
    assert value_of(after, "feedback", name="other", value="other") == 41
    assert value_of(after, "feedback", name="user_helpfulness", value="other") == 39
    assert value_of(after, "feedback", name="user_accuracy", value="other") == 1
    assert after.keys() - before.keys() == {
        ("thumbprint_feedback", frozenset({("name", "user_helpfulness"), ("value", "other")}))
    }


def test_what_mlflow_is_owed_is_shown_with_its_age(app: Flask, ann: FlaskClient) -> None:
    judge(ann, ask(ann), is_correct=True)  # a trace and a verdict
    database = services_of(app).database
    hour_ago = now_ms() - 3_600_000
    database.write(lambda c: c.execute(update(tables.outbox).values(created_at=hour_ago)))
    samples = scrape(app)
    assert value_of(samples, "outbox_waiting") == 2
    assert 3600 <= value_of(samples, "outbox_oldest_age_seconds") < 3660
    parcel = database.write(lambda c: outbox.claim(c, now_ms()))
    assert parcel
    database.write(lambda c: outbox.bury(c, parcel, "no"))
    samples = scrape(app)
    assert value_of(samples, "outbox_waiting") == 1
    assert value_of(samples, "outbox_dead_letters") == 1


def test_running_turns_and_the_process_are_shown(
    app: Flask, ann: FlaskClient, model: ModelDouble
) -> None:
    services = services_of(app)
    seen: list[float] = []
    model.before_answer = lambda: seen.append(value_of(scrape(app), "running_turns"))
    ask(ann)
    assert seen == [1]
    assert value_of(scrape(app), "running_turns") == 0
    assert value_of(scrape(app), "open_sockets") == len(services.sockets) == 0
    memory = scrape(app)["process_resident_memory_bytes", frozenset()]
    assert memory > 10_000_000


def test_without_the_database_the_rest_is_still_there(tmp_path: Path, model: ModelDouble) -> None:
    app = app_in(tmp_path, model)
    database = services_of(app).database
    assert value_of(scrape(app), "database_up") == 1
    database.close()
    for file in tmp_path.glob("thumbprint.db*"):
        file.unlink()
    (tmp_path / "thumbprint.db").mkdir()
    with pytest.raises(Unavailable):
        database.read(lambda c: None)
    samples = scrape(app)
    assert value_of(samples, "database_up") == 0
    assert value_of(samples, "running_turns") == 0
    assert ("thumbprint_outbox_waiting", frozenset()) not in samples


def test_only_operators_may_scrape(tmp_path: Path, model: ModelDouble) -> None:
    hashed = generate_password_hash("correct horse battery", "pbkdf2:sha256:1000")
    app = app_in(tmp_path, model, operator_password_hash=hashed)
    client = app.test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", auth=("prometheus", "correct horse battery")).status_code == 200
    services_of(app).database.close()


def test_a_scraper_that_prefers_openmetrics_gets_it(app: Flask) -> None:
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    response = app.test_client().get("/metrics", headers=asked)
    assert response.content_type.startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:thumbprint|process)_\w+", expression))


def test_every_name_in_the_alerts_is_a_metric(app: Flask) -> None:
    loaded = yaml.safe_load((ROOT / "docs" / "prometheus-alerts.yml").read_text())
    rules = [rule for group in loaded["groups"] for rule in group["rules"]]
    used = {name for rule in rules for name in names_in(rule["expr"])}
    assert used - {name for name, _ in scrape(app)} == set()
    assert len(used) > 4
    assert all(rule["annotations"]["summary"] for rule in rules)


def test_every_name_in_the_dashboard_is_a_metric_and_all_of_ours_are_in_it(app: Flask) -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [entry["query"] for entry in dashboard["templating"]["list"]]
    used = set().union(*(names_in(text) for text in variables + [t["expr"] for t in targets]))
    names = {name for name, _ in scrape(app)}
    assert used - names == set()
    parts = re.compile(r"_(bucket|sum|count|created)$")
    ours = {parts.sub("", name) for name in names if name.startswith("thumbprint_")}
    shown = {parts.sub("", name) for name in used}
    assert ours - shown == {"thumbprint_database_up", "thumbprint_turns_ended", "thumbprint_pieces"}

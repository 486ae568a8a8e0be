"""Schemathesis asks all that /openapi.json allows, and much that it does not.

Nothing breaks, and every answer has a status and a shape that the document names.

Half a minute with a fixed seed; with SOAK=1, fifty times as many requests.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tests.web_client import app_with, ask, close

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    response_schema_conformance,
]
EXAMPLES = 5000 if os.environ.get("SOAK") == "1" else 100


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One app for all requests; its MLflow server does not answer."""
    app = app_with(tmp_path_factory.mktemp("openapi"))
    yield app
    close(app)


def operations(app: Flask) -> list[tuple[str, str]]:
    """Each documented method and path."""
    document = app.test_client().get("/openapi.json").get_json()
    return [(method, path) for path, methods in document["paths"].items() for method in methods]


def test_every_answer_is_one_that_the_document_names(app: Flask) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    ann = app.test_client()
    ann.get("/conversations")
    cookie = ann.get_cookie("thumbprint")
    assert cookie is not None
    answers: Counter[tuple[int, str]] = Counter()
    turn: dict[str, Any] = {}
    for method, path in operations(app):
        # A turn of its own for each, because some delete it.
        turn.update(ask(ann))
        case_strategy = schema[path][method.upper()].as_strategy()

        @seed(20261124)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=case_strategy, known=st.booleans())
        def ask_anything(case: schemathesis.Case[Any], known: bool) -> None:
            if known and case.path_parameters:
                case.path_parameters["conversation_id"] = turn["conversation_id"]
            if known and case.query:
                case.query = {**case.query, "client_request_id": turn["client_request_id"]}
                case.query.pop("trace_id", None)
            answer = case.call_and_validate(cookies={"thumbprint": cookie.value}, checks=CHECKS)
            answers[answer.status_code, case.method.lower()] += 1

        ask_anything()
    # Some got as far as changing something, and what was wrong was told apart.
    changed = {(200, method) for method in ("delete", "patch", "post")}
    assert changed | {(404, "get"), (422, "post")} <= set(answers), answers

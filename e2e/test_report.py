"""The report on a running app: what people say is in it, and it is there when MLflow is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from e2e.visitor import Turn, Visitor
from tests.processes import ROOT
from tests.servers import MlflowServer, Stack
from tests.waiting import eventually


def report_of(stack: Stack, **query: str) -> dict[str, Any]:
    answer = Visitor(stack.url).send("GET", "/insights.json", params=query)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def printed_by(stack: Stack, *options: str) -> str:
    """What the command prints, run by itself beside the app."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "insights", "report", *options],
        env=stack.web.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def ask_and_judge(stack: Stack) -> tuple[Turn, Turn]:
    """One visitor is pleased; another is not, changes their mind twice, and corrects."""
    pleased, displeased = Visitor(stack.url), Visitor(stack.url)
    with pleased.open_socket() as socket:
        liked = socket.ask("What is good?")
    with displeased.open_socket() as socket:
        disliked = socket.ask("What is bad?")
    pleased.judge(True, trace_id=liked.trace_id)
    for is_correct in (False, True, False):
        displeased.judge(is_correct, "Not so.", trace_id=disliked.trace_id)
    which = {"trace_id": disliked.trace_id}
    displeased.send("POST", "/correction", params=which, json={"expected_response": "Nothing."})
    displeased.send("POST", "/detailed-feedback", params=which | {"accuracy": "2"})
    return liked, disliked


def test_what_people_say_is_in_the_report_and_stays_there_without_mlflow(
    stack_with: Callable[..., Stack], mlflow_server: MlflowServer
) -> None:
    stack = stack_with(APP_VERSION="7.7")
    _, disliked = ask_and_judge(stack)
    eventually(lambda: report_of(stack)["outbox"]["waiting"] == 0, timeout=60)
    report = report_of(stack, hours="1", version="7.7")
    assert (report["source"], report["problems"], report["traces"]) == ("mlflow", [], 2)
    assert (report["thumbs_up"], report["thumbs_down"]) == (1, 1)
    assert report["versions"][0]["name"] == "7.7"
    assert report["models"][0]["name"] == "scripted"
    assert report["dimensions"][0]["stars"] == [0, 1, 0, 0, 0]
    assert report["latency"]["first_token_p50_ms"] > 0
    [negative] = report["negatives"]
    assert negative["trace_id"] == disliked.trace_id
    assert (negative["question"], negative["comment"]) == ("What is bad?", "Not so.")
    assert (negative["correction"], negative["answer"]) == ("Nothing.", disliked.text)
    assert negative["link"].endswith(f"/traces/{disliked.trace_id}")

    assert json.loads(printed_by(stack, "--json"))["positive"] == report["positive"]
    assert "thumbs down" in printed_by(stack)

    mlflow_server.kill9()
    away = report_of(stack)
    assert away["source"] == "database"
    assert away["problems"][0].startswith("MLflow cannot be reached.")
    for figure in ("traces", "positive", "feedback", "dimensions", "endings", "versions"):
        assert away[figure] == report[figure], figure
    assert "! MLflow cannot be reached." in printed_by(stack)

"""The light install: all but evaluations works on `mlflow-tracing` alone, away from MLflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.visitor import Visitor
from tests.processes import ROOT, clean_environment
from tests.servers import PRODUCTION, MlflowServer, Stack
from tests.waiting import eventually

INSTALLED = """
import importlib.metadata as metadata, importlib.util as util, json
print(json.dumps({
    "packages": sorted(found.metadata["Name"].lower() for found in metadata.distributions()),
    "has_genai": util.find_spec("mlflow.genai") is not None,
}))
"""
NEEDS_MORE = (
    "Error: Evaluating needs the full MLflow package. Install it beside the light one: "
    "python -m pip install -c constraints.txt -e '.[mlflow]'"
)


@pytest.fixture(scope="module")
def light_stack(
    mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Web and relay as the Procfile starts them, on the light set."""
    stack = Stack(tmp_path_factory.mktemp("light"), mlflow_server)
    lines = dict(
        line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line
    )
    for name, server in (("web", stack.web), ("relay", stack.relay)):
        server.environment["PATH"] = os.pathsep.join([str(PRODUCTION), os.environ["PATH"]])
        server.command = ["sh", "-c", f"cd '{ROOT}' && exec {lines[name]}"]
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def flask(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the operator's commands on the light set."""
    return subprocess.run(
        [str(PRODUCTION / "flask"), "--app", "app", *arguments],
        env=stack.web.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_light_set_is_light() -> None:
    asked = [str(PRODUCTION / "python"), "-c", INSTALLED]
    found = json.loads(subprocess.check_output(asked, env=clean_environment(), text=True))
    assert not found["has_genai"]
    packages = set(found["packages"])
    assert {"thumbprint", "mlflow-tracing", "psycopg", "redis"} <= packages
    assert packages.isdisjoint({"mlflow", "mlflow-skinny", "pandas", "numpy", "xllamacpp"})


def test_people_chat_and_judge_on_it(light_stack: Stack) -> None:
    runs = Path(f"/proc/{light_stack.web.pid}/cmdline").read_bytes().decode().split("\0")
    assert str(PRODUCTION / "gunicorn") in runs
    visitor = Visitor(light_stack.url)
    with visitor.open_socket() as socket:
        turn = socket.ask("Is less more?")
    assert (turn.text, turn.last["trace_state"]) == ("You said: Is less more?", "stored")
    assert visitor.judge(False, "It is not.", trace_id=turn.trace_id).status_code == 200
    eventually(lambda: light_stack.reader.verdict(turn.trace_id) is False, timeout=30)
    assert light_stack.reader.model_span(turn.trace_id).outputs


def test_verdicts_become_a_dataset_on_it(light_stack: Stack) -> None:
    visitor = Visitor(light_stack.url)
    with visitor.open_socket() as socket:
        turn = socket.ask("What is light?")
    visitor.judge(False, trace_id=turn.trace_id)
    eventually(lambda: light_stack.reader.verdict(turn.trace_id) is False, timeout=30)
    built = flask(light_stack, "dataset", "build", "--name", "light", "--hours", "1")
    assert built.returncode == 0, built.stderr
    assert re.search(r"^Records: [12],", built.stdout, re.MULTILINE), built.stdout


def test_an_evaluation_says_in_one_line_what_it_needs(light_stack: Stack) -> None:
    refused = flask(light_stack, "evaluate", "--dataset", "light")
    assert refused.returncode == 1
    said = refused.stderr.strip().splitlines()
    assert [line for line in said if "level=" not in line] == [NEEDS_MORE]
    assert "Traceback" not in refused.stderr

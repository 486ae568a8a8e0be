"""What platforms read: the Procfile, and `app.yaml` of Databricks Apps."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from app.settings import Settings
from tests.mlflow_reader import MlflowReader
from tests.processes import ROOT, ServerProcess, answers, clean_environment, free_port
from tests.scripted_model import ScriptedModel
from tests.servers import PRODUCTION, MlflowServer
from tests.waiting import eventually

APP_YAML: dict[str, Any] = yaml.safe_load((ROOT / "app.yaml").read_text())
GIVEN: dict[str, str] = {
    entry["name"]: entry["value"] for entry in APP_YAML["env"] if "value" in entry
}
SECRETS = {"SECRET_KEY", "DATABASE_URL", "OPENAI_API_KEY", "OPERATOR_PASSWORD_HASH"}
# Databricks ends an app that takes longer.
LONGEST_GOODBYE_S = 15


def test_the_procfile_is_one_a_platform_can_read() -> None:
    # https://devcenter.heroku.com/articles/procfile
    lines = (ROOT / "Procfile").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_]+: \S.*", line) for line in lines)
    types = [line.split(":")[0] for line in lines]
    assert len(set(types)) == len(types)
    assert {"web", "relay"} <= set(types)


def test_the_python_platforms_install_is_pinned() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "--constraint constraints.txt",
        "--editable .[production]",
    ]


def test_app_yaml_is_a_command_and_settings_of_ours() -> None:
    # https://docs.databricks.com/aws/en/dev-tools/databricks-apps/app-runtime
    assert set(APP_YAML) == {"command", "env"}
    assert all(isinstance(word, str) for word in APP_YAML["command"])
    names = [entry["name"] for entry in APP_YAML["env"]]
    assert set(names) <= {name.upper() for name in Settings.model_fields}
    assert len(set(names)) == len(names)
    for entry in APP_YAML["env"]:
        where = entry.keys() - {"name"}
        assert where == ({"valueFrom"} if entry["name"] in SECRETS else {"value"}), entry
        assert all(isinstance(value, str) for value in entry.values()), entry


class DatabricksApp(ServerProcess):
    """What the platform starts: the command, the settings, and a port of its choice."""

    def __init__(self, folder: Path, mlflow: MlflowServer, model_url: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        ours = {
            "MLFLOW_TRACKING_URI": mlflow.url,
            "MLFLOW_EXPERIMENT_NAME": folder.name,
            "OPENAI_BASE_URL": model_url,
        }
        secrets = {
            "SECRET_KEY": "only the platform knows",
            "DATABASE_URL": f"sqlite:///{folder / 'app.db'}",
            "OPENAI_API_KEY": "scripted-key",
        }
        given = {**GIVEN, **ours, **secrets, "DATABRICKS_APP_PORT": str(port)}
        environment = clean_environment(**given)
        environment["PATH"] = os.pathsep.join([str(PRODUCTION), os.environ["PATH"]])
        super().__init__(
            APP_YAML["command"],
            environment,
            folder,
            "databricks",
            lambda: answers(f"{self.url}/healthz"),
            run_in=ROOT,
        )


@pytest.fixture
def databricks(
    tmp_path: Path, mlflow_server: MlflowServer, scripted_model: ScriptedModel
) -> Iterator[DatabricksApp]:
    """The app as Databricks Apps runs it."""
    app = DatabricksApp(tmp_path, mlflow_server, scripted_model.base_url)
    try:
        app.start()
        yield app
    finally:
        app.terminate(LONGEST_GOODBYE_S)


def test_what_app_yaml_starts_chats_and_delivers_for_whom_the_proxy_names(
    databricks: DatabricksApp, mlflow_server: MlflowServer
) -> None:
    person = {
        "Host": GIVEN["ALLOWED_HOSTS"],
        "Origin": GIVEN["ALLOWED_ORIGINS"],
        "X-Forwarded-Email": "ann@example.org",
    }

    def post(path: str, body: dict[str, Any], **headers: str) -> requests.Response:
        return requests.post(
            databricks.url + path, json=body, headers={**person, **headers}, timeout=60
        )

    answer = post("/chat", {"message": "Who am I?"}).json()
    assert answer["response"] == "You said: Who am I?"
    verdict = post(f"/feedback?trace_id={answer['trace_id']}", {"is_correct": True})
    assert verdict.status_code == 200
    reader = MlflowReader(mlflow_server.url, databricks.folder.name)
    eventually(lambda: reader.verdict(answer["trace_id"]) is True, timeout=60)
    metadata = reader.trace(answer["trace_id"]).info.trace_metadata
    assert metadata["mlflow.trace.user"] == "ann@example.org"
    # Who comes past the proxy is nobody, and no other site's page may ask.
    assert requests.get(databricks.url, timeout=60).status_code == 401
    foreign = post("/chat", {"message": "?"}, Origin="https://evil.test")
    assert foreign.json()["error"]["code"] == "foreign_origin"

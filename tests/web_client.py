"""An app to send requests to in a test's own process, and what clients do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from app.settings import load_settings
from app.web.services import Services
from tests.doubles import ModelDouble
from tests.processes import free_port


def app_with(folder: Path, **settings: Any) -> Flask:
    """An app whose model is a double, and whose MLflow server does not answer."""
    quiet = {
        "data_dir": folder,
        "mlflow_tracking_uri": f"http://127.0.0.1:{free_port()}",
        "openai_base_url": "http://127.0.0.1:1/v1",
        "rate_limit_messages": "100000/minute",
        "rate_limit_feedback": "100000/minute",
    }
    return create_app(load_settings(_env_file=None, **(quiet | settings)), ModelDouble())


def parts_of(app: Flask) -> Services:
    """What the app is made of."""
    parts: Services = app.extensions["thumbprint"]
    return parts


def close(app: Flask) -> None:
    """End the app in an orderly way."""
    parts_of(app).engine.wait_until_idle(5)
    parts_of(app).database.close()


def error_of(response: TestResponse) -> dict[str, Any]:
    """The error that a response says, in the one shape there is."""
    body = response.get_json()
    assert set(body) == {"error"}, body
    assert {"code", "message"} <= set(body["error"])
    error: dict[str, Any] = body["error"]
    return error


def ask(client: FlaskClient, **more: Any) -> dict[str, Any]:
    """Ask something and wait for the answer."""
    response = client.post("/chat", json={"message": "Why?", **more})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.get_json()
    return body

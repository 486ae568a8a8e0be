"""What every request to MLflow costs before it is sent."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from mlflow.tracking.request_header.registry import resolve_request_headers
from requests.utils import should_bypass_proxies

from app.tracing.tracking import TrackingServer


class Lookout:
    """Notes which modules are looked for, and finds none."""

    def __init__(self) -> None:
        self.wanted: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        self.wanted.append(name)
        return None


def test_a_request_says_who_asks_and_looks_for_no_module() -> None:
    lookout = Lookout()
    TrackingServer("http://127.0.0.1:1", "nobody")
    resolve_request_headers()  # type: ignore[no-untyped-call]
    sys.meta_path.insert(0, lookout)
    try:
        headers = resolve_request_headers()  # type: ignore[no-untyped-call]
    finally:
        sys.meta_path.remove(lookout)
    assert headers["User-Agent"].startswith("mlflow-python-client/")
    assert lookout.wanted == []


def test_a_server_is_asked_directly_where_nobody_has_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    TrackingServer("https://mlflow.test:8443/base", "nobody")
    assert "NO_PROXY" not in os.environ  # the proxy is to be used
    monkeypatch.delenv("https_proxy")
    TrackingServer("https://mlflow.test:8443/base", "nobody")
    assert os.environ["NO_PROXY"] == "mlflow.test"
    assert should_bypass_proxies("https://mlflow.test:8443/base/api", None)
    TrackingServer("http://other.test", "nobody")
    assert os.environ["NO_PROXY"] == "mlflow.test"  # somebody's words stay theirs

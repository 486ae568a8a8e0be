"""What every request to MLflow costs before it is sent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from mlflow.tracking.request_header.registry import resolve_request_headers

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

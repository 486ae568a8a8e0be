"""One question to MLflow's server over its own routes, with a timeout of its own.

MLflow's client has one timeout for everything, and ours is short, because writes must not keep
people waiting. What counts a hundred thousand traces may take longer.
"""

from typing import Any

from mlflow.utils.rest_utils import http_request_safe

from app.tracing.failures import explained
from app.tracing.tracking import TrackingServer

_ROUTES = "/api/3.0/mlflow"


def ask(
    tracking: TrackingServer, route: str, body: dict[str, Any], timeout_s: float
) -> dict[str, Any]:
    """Post `body` to a route such as `/traces/metrics`; its JSON answer. Raises `NotDelivered`."""
    with explained():
        answer = http_request_safe(  # type: ignore[no-untyped-call]
            tracking.client.store.get_host_creds(),
            _ROUTES + route,
            "POST",
            json=body,
            timeout=timeout_s,
        )
        found: dict[str, Any] = answer.json()
        return found

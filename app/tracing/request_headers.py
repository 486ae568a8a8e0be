"""What MLflow's client asks of this process with every request, found out once.

MLflow asks before each request whether it runs in a notebook, a job or a cluster of Databricks, by
trying eleven imports. Where none of them exists that was a third of what a write costs. And
`requests` goes through the whole environment, four times, for the proxy it is to use.
"""

import os
from urllib.parse import urlsplit
from urllib.request import getproxies

from mlflow.tracking.request_header.databricks_request_header_provider import (
    DatabricksRequestHeaderProvider,
)
from mlflow.tracking.request_header.registry import _request_header_provider_registry


def settle_request_headers() -> None:
    """Ask once, and keep asking only where the answer is yes: no process becomes one later."""
    providers = _request_header_provider_registry._registry  # noqa: SLF001 (it has no other door)
    providers[:] = [
        provider
        for provider in providers
        if not isinstance(provider, DatabricksRequestHeaderProvider) or provider.in_context()  # type: ignore[no-untyped-call]
    ]


def settle_proxy(url: str) -> None:
    """Where there is no proxy for anyone, say of this server that it needs none.

    https://requests.readthedocs.io/en/latest/user/advanced/#proxies
    """
    host = urlsplit(url).hostname
    if host and not getproxies():
        os.environ.setdefault("NO_PROXY", host)

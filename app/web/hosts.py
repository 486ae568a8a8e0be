"""Whose word counts for where a request comes from, and which names this app answers to.

A name that is not ours in `Host` is how another site's page reaches an app on your machine: it
makes its own name lead there (DNS rebinding), and is of the same origin then.
"""

import ipaddress
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from app.errors import BadRequest
from app.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Check the `Host` of every request, and believe as many proxies as there are."""
    believed = settings.trusted_proxies
    if believed:
        # Not X-Forwarded-Host: a proxy that does not set it passes on what the client made up.
        app.wsgi_app = _believe_scheme(  # type: ignore[method-assign, assignment]
            ProxyFix(app.wsgi_app, x_for=believed, x_proto=0), believed
        )
    known = settings.allowed_hosts
    own = {settings.host, "localhost"}

    @app.before_request
    def check() -> None:
        name = name_asked_for()
        if name in own or _is_address(name, loopback=bool(known)):
            return
        if name not in known and not (known and host_is_trusted(name, known)):
            raise BadRequest(
                "This app does not answer to that host name; ALLOWED_HOSTS lists those it does.",
                code="unknown_host",
            )


def _believe_scheme(app: WSGIApplication, proxies: int) -> WSGIApplication:
    """Take the scheme from X-Forwarded-Proto, of which most proxies pass on or set only one."""

    def believing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        schemes = environ.get("HTTP_X_FORWARDED_PROTO", "").lower().replace(",", " ").split()
        if schemes and (scheme := schemes[-proxies:][0]) in {"http", "https"}:
            environ["wsgi.url_scheme"] = scheme
        return app(environ, start_response)

    return believing


def name_asked_for() -> str:
    """The name or address in `Host`, without its port; nothing when it is malformed."""
    name = request.host.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def _is_address(name: str, *, loopback: bool) -> bool:
    """Whether it is an IP address, which no other site can make its own."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not loopback

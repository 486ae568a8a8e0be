"""Who is asking: a signed cookie of our own, or the name a trusted proxy puts in a header.

Every response to a newcomer sets the cookie. A socket is refused before the upgrade without an
identity (401) or from a foreign origin (403), and so is every foreign request that changes things.
"""

import uuid
from contextlib import suppress
from datetime import timedelta
from typing import cast
from urllib.parse import urlsplit

from flask import Flask, Request, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature
from werkzeug.exceptions import RequestEntityTooLarge

from app.errors import BadRequest, Forbidden, ThumbprintError, Unauthenticated
from app.settings import Settings
from app.web import operator

_CHANGES = {"POST", "PUT", "PATCH", "DELETE"}
# What machines ask for, and what is the same for everyone.
_FOR_ANYONE = {"health.healthz", "health.readyz", "assets.asset"}
# Browsers keep no cookie longer than this.
_COOKIE_LIFETIME = timedelta(days=400)


class _Sessions(SecureCookieSessionInterface):
    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        """Accept what we signed, whenever that was and under whichever of our keys.

        Flask wants it to be in the past, and so, after the clock has jumped back, would make
        newcomers of all who came before. Browsers see to the cookie's age. What an earlier
        SECRET_KEY signed is sent again, signed anew.
        """
        serializer = self.get_signing_serializer(app)
        value = request.cookies.get(self.get_cookie_name(app))
        if serializer is None or not value:
            return self.session_class()
        try:
            found = self.session_class(serializer.loads(value))
        except BadSignature:
            return self.session_class()
        del serializer.secret_keys[:-1]
        found.modified = not serializer.loads_unsafe(value)[0]
        return found

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Not with what caches may share, not even one that is to be signed anew."""
        return request.endpoint not in _FOR_ANYONE and super().should_set_cookie(app, session)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002  (Flask's signature)
        """Mark the cookie Secure whenever the request came over TLS."""
        return request.is_secure


class UnsupportedMediaType(ThumbprintError):
    """The body of a change is not JSON; browsers let foreign pages send the other types."""

    status = 415
    code = "unsupported_media_type"


def init_app(app: Flask, settings: Settings) -> None:
    """Identify the user of every request before its route runs."""
    app.session_interface = _Sessions()
    app.config.update(
        SECRET_KEY=settings.signing_key(),
        SECRET_KEY_FALLBACKS=list(settings.secret_key_fallbacks),
        SESSION_COOKIE_NAME="thumbprint",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=_COOKIE_LIFETIME,
    )

    @app.before_request
    def identify() -> None:
        if request.endpoint in _FOR_ANYONE:
            return
        socket = request.headers.get("Upgrade", "").lower() == "websocket"
        if socket or request.method in _CHANGES:
            _check_origin(settings)
        if request.method in _CHANGES and _has_body():
            _check_content_type()
        if operator.asks_for_area():
            return  # It has a guard of its own, and no use for a cookie.
        if settings.identity_header:
            g.user_id = _named_by_proxy(settings.identity_header)
        else:
            g.user_id = _named_by_cookie(may_be_new=not socket)


def current_user() -> str:
    """The user ID of the request being handled."""
    return cast(str, g.user_id)


def forget_user() -> None:
    """Take the cookie away with the response; the next request is a newcomer's."""
    session.clear()


def _named_by_proxy(header: str) -> str:
    name = request.headers.get(header, "")
    with suppress(UnicodeDecodeError):
        name = name.encode("latin-1").decode()  # WSGI takes every header for Latin-1
    name = name.strip()
    if not name or len(name) > 250 or not name.isprintable():
        raise Unauthenticated(f"Expected the proxy to name the user in {header}.")
    return name


def _named_by_cookie(*, may_be_new: bool) -> str:
    if "user" not in session:
        if not may_be_new:
            raise Unauthenticated("Expected the identity cookie; load the page first.")
        session.permanent = True
        session["user"] = f"u-{uuid.uuid4().hex}"
    return cast(str, session["user"])


def _check_origin(settings: Settings) -> None:
    origin = request.headers.get("Origin")
    if origin is None or origin in settings.allowed_origins:
        return  # Browsers always send it; programs have no cookies to be abused.
    try:
        is_ours = urlsplit(origin).netloc == request.host
    except ValueError:  # brackets that hold no address
        is_ours = False
    if not is_ours:
        raise Forbidden(f"Expected a request from {request.host}.", code="foreign_origin")


def _has_body() -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _check_content_type() -> None:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Expected Content-Type: application/json.")
    # Of a body without a declared length werkzeug reads as much as is allowed, and no more.
    if len(request.get_data()) == request.max_content_length:
        raise RequestEntityTooLarge
    try:
        body = request.get_json(silent=True)
    except RecursionError:  # brackets nested thousands deep
        body = None
    if body is None:
        raise BadRequest("Expected a JSON object, got invalid JSON.", code="invalid_json")

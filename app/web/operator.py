"""Who may see the operator's pages: whoever knows the password, or only this machine without one.

The password is HTTP Basic's (RFC 7617), with any user name, so that Prometheus can send it too.
"""

import hmac
import ipaddress
import secrets

from flask import Blueprint, Response, request
from werkzeug.security import check_password_hash

from app.errors import Forbidden, Unauthenticated
from app.native_thread import NativeThread
from app.settings import Settings
from app.web.address import client_address
from app.web.errors import respond
from app.web.hosts import name_asked_for
from app.web.limits import GuessLimiter

AREA = "operator"

_CHALLENGE = 'Basic realm="Thumbprint operator", charset="UTF-8"'
# A proxy on this machine makes everyone a loopback client; these give it away.
_FORWARDED = (
    "Forwarded",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
)


def area(settings: Settings, *blueprints: Blueprint) -> Blueprint:
    """Return a blueprint that holds the given ones and lets only operators in."""
    guarded = Blueprint(AREA, __name__)
    guarded.before_request(OperatorGate(settings).admit)
    for blueprint in blueprints:
        guarded.register_blueprint(blueprint)
    return guarded


def asks_for_area() -> bool:
    """Whether the current request is for a route of the operator's."""
    return AREA in request.blueprints


class OperatorGate:
    """Checks each request for a route of the operator's."""

    def __init__(self, settings: Settings) -> None:
        self._hash = settings.operator_password_hash
        self._production = settings.app_environment == "production"
        self._forwarded = (*_FORWARDED, *filter(None, [settings.identity_header]))
        self._guesses = GuessLimiter(settings.redis_url)
        self._key = secrets.token_bytes(32)
        self._known = b""
        self._native_thread = NativeThread()

    def admit(self) -> Response | None:
        """Let the request pass, or answer it with the challenge for the password.

        Raises `Forbidden` while no password is set and the request may come from elsewhere,
        `TooManyRequests` after too many wrong passwords.
        """
        if self._hash is None:
            self._admit_only_this_machine()
            return None
        password = request.authorization.password if request.authorization else None
        if password is not None and self._is_right(password, self._hash):
            return None
        refusal = Unauthenticated("Expected the operator's password.", code="operator_password")
        response = respond(refusal)
        response.headers["WWW-Authenticate"] = _CHALLENGE
        return response

    def _admit_only_this_machine(self) -> None:
        here = (
            not self._production
            and _is_loopback(request.remote_addr)
            # A page of another site can make its own name lead here, but not this one.
            and _is_loopback(name_asked_for())
            and not any(name in request.headers for name in self._forwarded)
        )
        if not here:
            raise Forbidden(
                "Without a password this is open only to this machine itself. Set "
                "OPERATOR_PASSWORD_HASH; `flask --app app operator password` makes one.",
                code="operator_only",
            )

    def _is_right(self, password: str, hash_: str) -> bool:
        """Whether it is the password. Wrong ones are counted by address."""
        address = client_address()
        self._guesses.check(address)
        # The slow check is done once; afterwards a keyed digest in memory does.
        digest = hmac.digest(self._key, password.encode(), "sha256")
        if hmac.compare_digest(digest, self._known):
            return True
        self._guesses.count(address)
        if not self._check_slowly(hash_, password):
            return False
        self._known = digest
        return True

    def _check_slowly(self, hash_: str, password: str) -> bool:
        # A tenth of a second, in which every stream would stand still.
        return self._native_thread.run(lambda: check_password_hash(hash_, password))


def _is_loopback(name: str | None) -> bool:
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name or "")
    except ValueError:
        return False
    # An IPv4 client of a server that listens on IPv6.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback

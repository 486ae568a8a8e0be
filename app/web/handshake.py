"""What a handshake needs besides an identity and a known origin, all checked before the upgrade.

A refusal is a plain HTTP answer with a status that says why.
"""

import re
from typing import cast

from flask import request

from app.errors import BadRequest
from app.web.address import client_address
from app.web.identity import current_user
from app.web.seats import Seat
from app.web.services import services

_SEAT = "thumbprint.seat"
# Sixteen bytes in base64.
_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")


def is_asked_for() -> bool:
    """Whether the current request wants to become a socket, at an address that has one."""
    rule = request.url_rule
    return rule is not None and bool(rule.websocket)


def admit() -> None:
    """Give the coming socket its seat.

    Raises `BadRequest` for a handshake that cannot be answered (RFC 6455, section 4.2.1),
    `Unavailable` or `TooManyRequests` when there are too many sockets.
    """
    if not is_asked_for():
        return
    if request.headers.get("Sec-WebSocket-Version") != "13":
        raise BadRequest("Expected Sec-WebSocket-Version: 13.", code="bad_handshake")
    if not _KEY.fullmatch(request.headers.get("Sec-WebSocket-Key", "")):
        raise BadRequest("Expected Sec-WebSocket-Key: 16 bytes, base64.", code="bad_handshake")
    request.environ[_SEAT] = services().seats.take(current_user(), client_address())


def keep_seat() -> Seat:
    """The seat of the request that is becoming a socket, which gives it back itself."""
    return cast(Seat, request.environ.pop(_SEAT))


def release(_error: BaseException | None) -> None:
    """Give the seat back when the request is over, unless it has become a socket."""
    if seat := request.environ.pop(_SEAT, None):
        services().seats.leave(seat)

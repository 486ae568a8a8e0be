"""The frontend's files, read and compressed once, under an address that changes when they do.

That address has the hash of the whole folder in it, so they may be cached for ever and the relative
imports between modules keep working; a new release is a new address.

A page has its stylesheets inside: a link would cost a second round trip before the first paint.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Response
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from app.web.compression import CompressedText

FRONTEND = Path(__file__).parents[2] / "frontend"

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class InlineStyles:
    """Stylesheets as part of a page."""

    markup: Markup
    """The `<style>` element for the page's head."""
    source: str
    """What the page's Content-Security-Policy must allow for it: the hash of exactly this text."""


@cache
def inline_styles(*names: str) -> InlineStyles:
    """Return the named stylesheets of the frontend, in this order, as one `<style>`."""
    text = "".join((FRONTEND / name).read_text(encoding="utf-8") for name in names)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    # The files are ours, and so trusted: Markup keeps their quotes and signs as they are.
    return InlineStyles(Markup(f"<style>{text}</style>"), f"'sha256-{digest}'")  # noqa: S704


def hash_of(folder: Path) -> str:
    """Return a short hash of every file below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def make_blueprint(version: str) -> Blueprint:
    """Return the assets' route and templates; `version` is the hash in their address today."""
    blueprint = Blueprint("assets", __name__, template_folder=str(FRONTEND))
    files = {
        path.relative_to(FRONTEND).as_posix(): CompressedText(
            path.read_bytes(), _MEDIA_TYPES[path.suffix]
        )
        for path in FRONTEND.rglob("*")
        if path.suffix in _MEDIA_TYPES
    }

    @blueprint.get("/static/<asked>/<path:name>")
    def asset(asked: str, name: str) -> Response:
        if name not in files:
            raise NotFound
        response = files[name].response()
        # An old page may ask for an old version; it gets today's file, but must not keep it.
        lifetime = "public, max-age=31536000, immutable" if asked == version else "no-cache"
        response.headers["Cache-Control"] = lifetime
        return response

    return blueprint

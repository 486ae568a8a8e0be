"""The page and its assets.

Assets live under the hash of the whole frontend folder, so they may be cached for ever and the
relative imports between modules keep working; a new release is a new address.
"""

import hashlib
from pathlib import Path

from flask import Blueprint, Flask, Response, render_template, send_from_directory

from app.settings import Settings

FRONTEND = Path(__file__).parents[2] / "frontend"

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def init_app(app: Flask, settings: Settings) -> None:
    """Add the page, its assets and the headers that guard both."""
    app.register_blueprint(_blueprint(settings, hash_of(FRONTEND)))

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", _CONTENT_SECURITY_POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def hash_of(folder: Path) -> str:
    """Return a short hash of every file below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _blueprint(settings: Settings, version: str) -> Blueprint:
    blueprint = Blueprint("pages", __name__, template_folder=str(FRONTEND))
    page = {
        "max_message_chars": settings.chat_max_message_chars,
        "model": "an agent" if settings.chat_agent else settings.chat_model,
        "demonstration_model": settings.uses_embedded_model,
        "mlflow_ui_url": settings.mlflow_link,
        "feedback_dimensions": list(settings.feedback_dimensions),
        "feedback_reasons": settings.reasons,
        "implicit_signals": settings.implicit_signals,
    }

    @blueprint.get("/")
    @blueprint.get("/c/<conversation_id>")
    def chat_page(**_: str) -> str:
        return render_template("index.html", static=f"/static/{version}", page=page)

    @blueprint.get("/static/<asked>/<path:name>")
    def asset(asked: str, name: str) -> Response:
        response = send_from_directory(FRONTEND, name)
        # An old page may ask for an old version; it gets today's file, but must not keep it.
        lifetime = "public, max-age=31536000, immutable" if asked == version else "no-cache"
        response.headers["Cache-Control"] = lifetime
        return response

    return blueprint

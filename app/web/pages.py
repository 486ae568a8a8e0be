"""The pages, whole in one answer: HTML with its styles inside, compressed to fit a first flight.

A server may send about 14 kB before it hears back (RFC 6928), so such a page is painted after one
round trip.
"""

from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from app.settings import Settings
from app.web import assets
from app.web.compression import CompressedText

_CHAT_STYLESHEETS = ("colours.css", "page.css", "answer.css")
_MY_FEEDBACK_STYLESHEETS = ("colours.css", "page.css", "my_feedback/my_feedback.css")

_GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Another site's page gets neither a handle on ours nor a look at what it loads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A link in an answer is not looked up before somebody follows it: a name can carry a secret.
    "X-DNS-Prefetch-Control": "off",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def init_app(app: Flask, settings: Settings) -> None:
    """Add the pages, their assets and the headers that guard both."""
    version = assets.hash_of(assets.FRONTEND)
    app.register_blueprint(assets.make_blueprint(version))
    app.jinja_env.globals["static"] = f"/static/{version}"
    app.register_blueprint(_blueprint(app, settings))

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", _policy("'self'"))
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(_GUARDS)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response


class Page:
    """A page as it is sent, again and again."""

    def __init__(self, app: Flask, template: str, *stylesheets: str, **context: Any) -> None:
        """Render `template` of the frontend, with its `styles`, `static` and the context."""
        styles = assets.inline_styles(*stylesheets)
        html = app.jinja_env.get_template(template).render(styles=styles.markup, **context)
        self._html = CompressedText(html, "text/html")
        self._policy = _policy(f"'self' {styles.source}")

    def response(self) -> Response:
        """Answer the current request with the page."""
        response = self._html.response()
        response.headers["Content-Security-Policy"] = self._policy
        return response


def render_page(template: str, *stylesheets: str, **context: Any) -> Response:
    """Answer the current request with a page that is different each time."""
    return Page(current_app, template, *stylesheets, **context).response()


def _policy(style_source: str) -> str:
    return (
        f"default-src 'none'; script-src 'self'; style-src {style_source}; img-src 'self'; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


def _blueprint(app: Flask, settings: Settings) -> Blueprint:
    blueprint = Blueprint("pages", __name__)
    chat = Page(
        app,
        "index.html",
        *_CHAT_STYLESHEETS,
        page={
            "max_message_chars": settings.chat_max_message_chars,
            "model": "an agent" if settings.chat_agent else settings.chat_model,
            "demonstration_model": settings.uses_embedded_model,
            "mlflow_ui_url": settings.mlflow_link,
            "feedback_dimensions": list(settings.feedback_dimensions),
            "feedback_reasons": settings.reasons,
            "implicit_signals": settings.implicit_signals,
        },
    )

    my_feedback = Page(
        app,
        "my_feedback/index.html",
        *_MY_FEEDBACK_STYLESHEETS,
        deletes_traces=settings.forget_deletes_traces,
    )

    @blueprint.get("/")
    @blueprint.get("/c/<conversation_id>")
    def chat_page(**_: str) -> Response:
        return chat.response()

    @blueprint.get("/my-feedback")
    def my_feedback_page() -> Response:
        return my_feedback.response()

    return blueprint

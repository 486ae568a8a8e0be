"""The app's exceptions: one root that knows how to be said over HTTP and over a socket.

    ThumbprintError            code, safe message, HTTP status, retryable
    ├── SettingsError          a setting has a wrong value; the app does not start
    ├── BadRequest             400  what was sent cannot be understood
    ├── Unauthenticated        401  no identity came with the request
    ├── Forbidden              403  the thing exists but belongs to someone else
    ├── NotFound               404  nothing by that ID
    ├── Conflict               409  the same ID was used for something else
    ├── InvalidValue           422  a field has a value outside what is documented
    ├── TooManyRequests        429  a limit was reached; `retry_after_s` says when to return
    ├── Unavailable            503  we cannot do it now (shutting down, database unreachable)
    └── ModelError             502  the model or agent failed; `code` says how

`message` is safe to show to a user. What went wrong inside goes to the log, never into it.
"""


class ThumbprintError(Exception):
    """An expected failure with a stable `code` and a `message` a user may read."""

    status = 500
    code = "internal"
    retryable = False

    def __init__(
        self, message: str, *, code: str | None = None, retryable: bool | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retryable = type(self).retryable if retryable is None else retryable

    def as_json(self) -> dict[str, str | bool]:
        """The error as HTTP answers carry it."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


class SettingsError(ThumbprintError):
    """A setting has a wrong value; the message has one line for each."""

    code = "settings"


class BadRequest(ThumbprintError):
    """What was sent cannot be understood."""

    status = 400
    code = "invalid_frame"


class Unauthenticated(ThumbprintError):
    """No identity came with the request."""

    status = 401
    code = "unauthenticated"


class Forbidden(ThumbprintError):
    """The thing exists but is not the caller's, or the origin is not ours."""

    status = 403
    code = "forbidden"


class NotFound(ThumbprintError):
    """Nothing is known by that ID."""

    status = 404
    code = "not_found"


class Conflict(ThumbprintError):
    """The same client request ID was used for something else."""

    status = 409
    code = "client_request_id_conflict"


class InvalidValue(ThumbprintError):
    """A field has a value outside what is documented."""

    status = 422
    code = "invalid_value"


class TooManyRequests(ThumbprintError):
    """A limit was reached; try again in `retry_after_s` seconds."""

    status = 429
    code = "rate_limited"
    retryable = True

    def __init__(self, message: str, retry_after_s: int, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Unavailable(ThumbprintError):
    """The app cannot do it now; nothing was half-written."""

    status = 503
    code = "unavailable"
    retryable = True


class ModelError(ThumbprintError):
    """The model or the agent failed; `code` says how (`model_unreachable`, `model_timeout`, …)."""

    status = 502
    code = "model_failed"
    retryable = True

"""Logs: one line an event on standard error, as `key=value` (https://brandur.org/logfmt).

Machines parse that, people read it, and it stays one line whatever an exception has to say. Code
that works on a turn says so with `about`; every line from within then carries the turn's IDs.
What people write is never a field, and an exception that may quote it says its kind only.
"""

import json
import logging
import logging.config
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from app.clock import iso
from app.errors import ThumbprintError

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 (never changed)

_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

WITHHELD = "(not logged, as it may quote people; LOG_USER_TEXT=true logs it)"
# Of drivers and clients, those that tell how a connection went, and know nothing of what it bears.
_OF_CONNECTIONS = {"OperationalError", "InterfaceError", "ConnectionError", "APIConnectionError"}


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Add these IDs to every line that this thread (or greenlet) logs within."""
    token = _about.set(_about.get() | ids)
    try:
        yield
    finally:
        _about.reset(token)


class LogfmtFormatter(logging.Formatter):
    """Time, level, logger, message; the IDs of `about`; what `extra` names; at last the error."""

    def __init__(self, *, user_text: bool = False) -> None:
        """With `user_text`, exceptions are logged with all that they say."""
        super().__init__()
        self._user_text = user_text

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of printable ASCII."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(self._shown, record.args))
        more = {name: value for name, value in vars(record).items() if name not in _OWN}
        fields: dict[str, Any] = {
            "time": iso(round(record.created * 1000)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **{name: self._shown(value) for name, value in more.items()},
        }
        if record.exc_info and (error := record.exc_info[1]):
            fields["error"] = self._title(error)
            fields["traceback"] = self._trace(error)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return " ".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())

    def _shown(self, value: object) -> object:
        return self._words(value) if isinstance(value, BaseException) else value

    def _words(self, error: BaseException) -> str:
        """What the exception says, if nobody is quoted."""
        if self._user_text or isinstance(error, ThumbprintError | OSError):
            return str(error)
        if any(kind.__name__ in _OF_CONNECTIONS for kind in type(error).__mro__):
            return str(error)
        return str(getattr(error, "in_short", WITHHELD))

    def _title(self, error: BaseException) -> str:
        kind = type(error)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        words = self._words(error)
        return f"{module}{kind.__qualname__}: {words}" if words else f"{module}{kind.__qualname__}"

    def _trace(self, error: BaseException) -> str:
        """Where it was raised, and what it came from, the first cause first."""
        found: list[str] = []
        known: set[int] = set()
        cause: BaseException | None = error
        while cause is not None and id(cause) not in known:
            known.add(id(cause))
            found.append("".join(traceback.format_tb(cause.__traceback__)) + self._title(cause))
            hidden = cause.__suppress_context__
            cause = cause.__cause__ or (None if hidden else cause.__context__)
        return "\n\n".join(reversed(found))


def _quoted(text: str) -> str:
    # As JSON, so that no line break and no terminal's control character gets through.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class WithoutRequests(logging.Filter):
    """Cuts what gunicorn quotes of a request that it refuses: queries and cookies may be in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, with the address and the kind of mistake."""
        quoting = r"(?s)^(Invalid request from ip=\S*: [^:]*):.*"
        record.msg = re.sub(quoting, r"\1", str(record.msg))
        return True


def logging_config(*, user_text: bool) -> dict[str, Any]:
    """The configuration of `logging`; gunicorn takes it as its `logconfig_dict`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"logfmt": {"()": LogfmtFormatter, "user_text": user_text}},
        "filters": {"quotes": {"()": logging.Filter if user_text else WithoutRequests}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "logfmt"}},
        "root": {"level": "INFO", "handlers": ["console"]},
        "loggers": {
            "gunicorn.error": {
                "level": "INFO",
                "handlers": [],
                "propagate": True,
                "filters": ["quotes"],
            },
            # One line a request to the model and to MLflow says nothing that the trace does not.
            **{
                chatty: {"level": "WARNING"}
                for chatty in ("httpx", "httpx2", "httpcore2", "alembic.runtime", "urllib3")
            },
        },
    }


def configure_logging(*, user_text: bool) -> None:
    """Send the log of this process to standard error."""
    logging.config.dictConfig(logging_config(user_text=user_text))

"""Logs: one line an event on standard error, as `key=value` (https://brandur.org/logfmt).

Machines parse that, people read it, and it stays one line whatever an exception has to say. Code
that works on a turn says so with `about`; every line from within then carries the turn's IDs.
What people write is never a field.
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

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 (never changed)

_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


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

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of printable ASCII."""
        fields: dict[str, Any] = {
            "time": iso(round(record.created * 1000)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info and (error := record.exc_info[1]):
            fields["error"] = "".join(traceback.format_exception_only(error)).strip()
            fields["traceback"] = "".join(traceback.format_exception(error))
        if record.stack_info:
            fields["stack"] = record.stack_info
        return " ".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())


def _quoted(text: str) -> str:
    # As JSON, so that no line break and no terminal's control character gets through.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


# gunicorn takes this as its `logconfig_dict`.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"logfmt": {"()": LogfmtFormatter}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "logfmt"}},
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        # One line a request to the model and to MLflow says nothing that the trace does not.
        **{
            chatty: {"level": "WARNING"}
            for chatty in ("httpx", "httpx2", "httpcore2", "alembic.runtime", "urllib3")
        },
    },
}


def configure_logging() -> None:
    """Send the log of this process to standard error."""
    logging.config.dictConfig(LOGGING)

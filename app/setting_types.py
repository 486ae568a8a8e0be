"""The types of settings that need more of a check than a number does.

Each check returns the value as the app uses it, or raises ValueError saying what was expected.
"""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def without_password(text: str) -> str:
    """The text with the name and password taken out of each address in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _split_words(value: object) -> object:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def _check_dimensions(value: tuple[str, ...]) -> tuple[str, ...]:
    reserved = {"trace_id", "client_request_id", "comment", "feedback", "reasons"}
    for word in value:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,49}", word) or word in reserved:
            raise ValueError("expected lower-case words such as accuracy,helpfulness")
    return value


def _check_hash(value: str) -> str:
    # Imported when needed: it is slow, and the launcher has nothing else from it.
    from werkzeug.security import check_password_hash

    try:
        check_password_hash(value, "")
        well_formed = re.fullmatch(r"[^$]+\$[^$]+\$[0-9a-f]{32,}", value)
    except (ValueError, OverflowError, MemoryError):
        well_formed = None
    if not well_formed:
        raise ValueError(
            "expected what `flask --app app operator password` prints once this line is taken out"
        )
    return value


def _check_hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not re.fullmatch(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+", name):
            raise ValueError("expected names such as chat.example.org, without scheme and port")
    return tuple(name.lower() for name in value)


def _check_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_as_browsers_write_it(origin) for origin in value)


def _as_browsers_write_it(origin: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+/?", origin, re.IGNORECASE):
        raise ValueError("expected origins such as https://chat.example.org")
    scheme, host = origin.lower().rstrip("/").split("://")
    default_port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return f"{scheme}://{host.removesuffix(default_port)}"


def _check_reasons(value: str) -> str:
    if value.count("|") != 1:
        raise ValueError("expected two comma-separated lists with one | between them")
    return value


def _check_rate(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d*/(second|minute|hour|day)", value):
        raise ValueError("expected a rate such as 30/minute")
    return value


def _check_secrets(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(len(secret) < 16 for secret in value):
        raise ValueError("expected secrets of at least 16 characters, comma-separated")
    return value


def _check_web_address(value: str) -> str:
    if value and value != "databricks" and not value.startswith(("http://", "https://")):
        raise ValueError("expected an http:// or https:// address")
    return value.rstrip("/")


def _check_page_address(value: str) -> str:
    address = urlsplit(value)
    well_formed = re.fullmatch(r"https?://[^\s\"'<>\\]+", value) and address.hostname
    if not well_formed or "@" in address.netloc:
        raise ValueError("expected an http:// or https:// address, without a password in it")
    return value.rstrip("/")


def _check_database(value: str) -> str:
    if value.startswith("sqlite:///"):
        return value
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError("expected postgresql://… or sqlite:///…")
    return f"postgresql+psycopg://{rest}"


def _check_redis(value: str) -> str:
    if not re.match(r"rediss?://[^/]", value):
        raise ValueError("expected redis://host:port/0 or rediss://…")
    return value


WordList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_words)]
Dimensions = Annotated[WordList, AfterValidator(_check_dimensions)]
HostNames = Annotated[WordList, AfterValidator(_check_hosts)]
Origins = Annotated[WordList, AfterValidator(_check_origins)]
PasswordHash = Annotated[str, AfterValidator(_check_hash)]
Reasons = Annotated[str, AfterValidator(_check_reasons)]
Secrets = Annotated[WordList, AfterValidator(_check_secrets)]
Rate = Annotated[str, AfterValidator(_check_rate)]
WebAddress = Annotated[str, AfterValidator(_check_web_address)]
PageAddress = Annotated[str, AfterValidator(_check_page_address)]
DatabaseAddress = Annotated[str, AfterValidator(_check_database)]
RedisAddress = Annotated[str, AfterValidator(_check_redis)]

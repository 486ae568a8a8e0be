"""The settings of the app's edge: where it listens, whom it believes, how much anyone may do."""

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings

from app.setting_types import HostNames, Origins, PasswordHash, Rate


class EdgeSettings(BaseSettings):
    """The part of `Settings` that decides who gets in."""

    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the web server.")
    allowed_hosts: HostNames = Field(
        (),
        description="Names people reach this app by, comma-separated; `.example.org` has all below "
        "it. `localhost` and HOST always work; while this is unset, any IP address does too.",
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="Proxies of yours in front, each adding to `X-Forwarded-For` and "
        "passing on or setting `X-Forwarded-Proto`. With 0 both are ignored.",
    )
    allowed_origins: Origins = Field(
        (),
        description="Further origins whose pages may open sockets, and post where a proxy rewrites "
        "`Host`, comma-separated: `https://chat.example.org`.",
    )
    identity_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="Header with the user's name, set by a trusted proxy (`X-Forwarded-Email`).",
    )
    operator_password_hash: PasswordHash | None = Field(
        None,
        description="From `flask --app app operator password`. Unset: the operator's pages are "
        "open to this machine only, and in production to nobody.",
    )
    max_sockets: PositiveInt = Field(
        10_000, le=100_000, description="Sockets that one web process keeps open."
    )
    max_sockets_per_address: PositiveInt = Field(
        6000, le=100_000, description="Of these, how many one address may have."
    )
    max_sockets_per_user: PositiveInt = Field(
        1000, le=100_000, description="Of these, how many one person may have."
    )
    socket_idle_timeout_s: PositiveInt = Field(
        3600,
        description="A socket on which nobody asks anything for so long is closed, in seconds.",
    )
    socket_ping_interval_s: PositiveInt = Field(
        25,
        le=3600,
        description="Seconds between pings; a socket that leaves one unanswered closes.",
    )
    rate_limit_messages: Rate = Field(
        "30/minute", description="Messages one person may send, as `30/minute`."
    )
    rate_limit_messages_per_address: Rate = Field(
        "12000/minute",
        description="Messages from one address, whoever sends them: a new cookie is a new person.",
    )
    rate_limit_feedback: Rate = Field(
        "120/minute", description="Verdicts one person may give, as `120/minute`."
    )

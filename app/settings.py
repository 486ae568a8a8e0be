"""Every setting of the app: read from the environment and `.env`, checked once, then frozen.

Nothing else reads the environment. `python -m app.settings` prints the `.env.example`
that documents each variable; a test keeps the two and the README's table in step.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from app.edge_settings import EdgeSettings
from app.errors import SettingsError
from app.setting_types import (
    DatabaseAddress,
    Dimensions,
    PageAddress,
    Reasons,
    RedisAddress,
    Secrets,
    WebAddress,
    without_password,
)

EMBEDDED_MODEL = "SmolLM2-135M-Instruct"

_SECRETS = {
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "REDIS_URL",
    "OPENAI_API_KEY",
    "OPERATOR_PASSWORD_HASH",
}


class Settings(EdgeSettings):
    """The app's configuration; field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
    )

    web_concurrency: PositiveInt = Field(
        1, le=64, description="gunicorn workers, one a core. More than one needs REDIS_URL."
    )
    app_environment: Literal["development", "production"] = Field(
        "development", description="`production` requires SECRET_KEY; tagged on every trace."
    )
    app_version: str = Field(
        "0.1.0", max_length=100, description="Tagged on every trace, so that releases compare."
    )
    secret_key: str | None = Field(
        None,
        min_length=16,
        description="Signs the identity cookie. Generated into DATA_DIR when unset in development.",
    )
    secret_key_fallbacks: Secrets = Field(
        (),
        description="Earlier values of SECRET_KEY, comma-separated: their cookies still count, and "
        "are signed anew.",
    )
    log_user_text: bool = Field(
        False, description="Log what exceptions say even if they may quote what people wrote."
    )
    data_dir: Path = Field(
        Path("data"), description="Folder of the SQLite databases, the generated key and the logs."
    )
    database_url: DatabaseAddress | None = Field(
        None, description="The app database; `postgresql://…`. Unset: SQLite in DATA_DIR."
    )
    redis_url: RedisAddress | None = Field(
        None,
        description="`redis://…`, through which several workers share turns. Unset: one worker.",
    )
    mlflow_tracking_uri: WebAddress | None = Field(
        None, description="A tracking server of yours. Unset: `make run` starts one on MLFLOW_PORT."
    )
    mlflow_port: int = Field(
        5001, ge=1, le=65535, description="Port of the MLflow server that `make run` starts."
    )
    mlflow_experiment_name: str = Field(
        "thumbprint",
        min_length=1,
        max_length=250,
        description="Experiment that gets the traces.",
    )
    mlflow_ui_url: PageAddress | None = Field(
        None, description="Where people open MLflow, for links. Unset: the tracking server."
    )
    openai_base_url: WebAddress | None = Field(
        None, description="Any OpenAI-compatible endpoint. Unset: the built-in demonstration model."
    )
    openai_api_key: str | None = Field(
        None, description="Key for OPENAI_BASE_URL, when it wants one."
    )
    chat_model: str = Field(
        EMBEDDED_MODEL, max_length=250, description="Model name sent to the endpoint."
    )
    chat_agent: str | None = Field(
        None,
        pattern=r"^[\w.]+:\w+$",
        max_length=250,
        description="`package.module:name` of your own agent, used instead of the endpoint.",
    )
    chat_system_prompt: str = Field(
        "You are a helpful assistant. Answer briefly and clearly.",
        description="First message of every request to the model.",
    )
    evaluation_judge_model: str | None = Field(
        None,
        description="Model at OPENAI_BASE_URL that judges answers in evaluations. Unset: none.",
    )
    chat_max_message_chars: PositiveInt = Field(
        8000, le=1_000_000, description="Longest message a person may send, in characters."
    )
    chat_max_answer_chars: PositiveInt = Field(
        400_000,
        le=10_000_000,
        description="Longest answer, in characters; what goes on is cut there.",
    )
    chat_turn_timeout_s: float = Field(
        120.0, gt=0, le=3600, description="Longest a turn may take, silence included, in seconds."
    )
    chat_history_turns: int = Field(
        12, ge=0, le=200, description="Earlier turns of the conversation sent to the model."
    )
    feedback_dimensions: Dimensions = Field(
        ("accuracy", "helpfulness", "relevance"),
        description="What people may rate from 1 to 5 stars, comma-separated.",
    )
    feedback_reasons: Reasons = Field(
        "Correct,Easy to understand,Complete|Incorrect,Hard to understand,Incomplete,Harmful",
        description="Reasons offered after a thumb: those for up, a bar, those for down.",
    )
    implicit_signals: bool = Field(
        True, description="Record stop, regenerate and copy as feedback by CODE."
    )
    forget_deletes_traces: bool = Field(
        False, description='"Forget me" deletes the person\'s traces in MLflow too.'
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.app_environment == "production" and not self.secret_key:
            raise ValueError("SECRET_KEY: required when APP_ENVIRONMENT=production, got nothing")
        if self.web_concurrency > 1 and not self.redis_url:
            raise ValueError(
                "WEB_CONCURRENCY: workers share turns through Redis, so expected 1 or REDIS_URL "
                f"with it, got {self.web_concurrency} without"
            )
        return self

    @property
    def uses_embedded_model(self) -> bool:
        """Whether answers come from the built-in demonstration model."""
        return self.openai_base_url is None and self.chat_agent is None

    @property
    def answering_model(self) -> str:
        """The name answers are compared under: the agent's, or else the model's."""
        return self.chat_agent or self.chat_model

    @property
    def reasons(self) -> dict[str, list[str]]:
        """FEEDBACK_REASONS as `{"up": […], "down": […]}`."""
        up, down = self.feedback_reasons.split("|")
        split = {"up": up.split(","), "down": down.split(",")}
        return {side: [word.strip() for word in of if word.strip()] for side, of in split.items()}

    @property
    def tracking_uri(self) -> str:
        """The MLflow tracking server that receives traces and assessments."""
        return self.mlflow_tracking_uri or f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def mlflow_link(self) -> str:
        """Where people open the MLflow UI."""
        # The server's address may bear a password, and everyone sees the links.
        return self.mlflow_ui_url or without_password(self.tracking_uri)

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the app database."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'thumbprint.db'}"

    def signing_key(self) -> str:
        """SECRET_KEY, or the key generated into DATA_DIR on first use (mode 0600).

        Raises `SettingsError` when it cannot be kept there.
        """
        if self.secret_key:
            return self.secret_key
        path = self.data_dir / "secret_key"
        try:
            if not path.exists():
                _make_key(path)
            key = path.read_text().strip()
        except OSError as error:
            raise SettingsError(f"SECRET_KEY: unset, and {path}: {error.strerror}") from error
        if len(key) < 16:
            raise SettingsError(f"SECRET_KEY: unset, and {path} holds none. Remove it for another.")
        return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written under another name and linked, so that nobody ever reads half a key.
    with NamedTemporaryFile(dir=path.parent) as draft:
        os.write(draft.fileno(), secrets.token_urlsafe(48).encode())
        os.fsync(draft.fileno())
        with suppress(FileExistsError):  # another process was faster: its key is used
            path.hardlink_to(draft.name)


def load_settings(**overrides: object) -> Settings:
    """Read and check the settings.

    Returns the frozen settings; `overrides` win over the environment (tests use them).
    Raises `SettingsError` with one line for each wrong value: what was expected, what came.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            came = repr(problem["input"])
            if name in _SECRETS or came != without_password(came):
                came = "a secret not shown"
            lines.append(f"{name}: {message}, got {came}" if name else message)
        raise SettingsError("\n".join(lines)) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f".env: expected UTF-8, got another byte at {error.start}.") from None


def render_example() -> str:
    """Return the text of `.env.example`: every setting, its meaning and its default."""
    lines = ["# Settings of Thumbprint. Copy to `.env` and uncomment what you change.", ""]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = ",".join(default) if isinstance(default, tuple) else default
        assigned = f"{name.upper()}={'' if shown is None else shown}"
        lines += [f"# {field.description}", f"# {assigned}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(render_example(), end="")

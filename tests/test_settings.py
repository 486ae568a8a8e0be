"""Settings: one line for each wrong value, and an example file that cannot rot."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, load_settings, render_example
from tests.processes import ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in an environment that sets nothing of ours."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(**values: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(_env_file=None, **values)
    return caught.value.message


def test_the_example_file_is_what_the_settings_say() -> None:
    assert (ROOT / ".env.example").read_text() == render_example()


def test_every_setting_is_documented_in_the_example_with_its_default() -> None:
    example = render_example()
    for name, field in Settings.model_fields.items():
        assert f"# {field.description}\n# {name.upper()}=" in example
    assert "# PORT=8000\n" in example


def test_the_example_copied_as_it_is_changes_nothing(folder: Path) -> None:
    defaults = load_settings()
    uncommented = re.sub(r"^# ([A-Z_]+=)", r"\1", render_example(), flags=re.MULTILINE)
    (folder / ".env").write_text(uncommented)
    assert load_settings() == defaults


def test_the_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("PORT=9001\nCHAT_MODEL=from-file\n")
    monkeypatch.setenv("PORT", "9002")
    settings = load_settings()
    assert (settings.port, settings.chat_model) == (9002, "from-file")


def test_an_empty_variable_counts_as_unset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    settings = load_settings()
    assert (settings.port, settings.openai_base_url) == (8000, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "0"),
        ("port", "65536"),
        ("port", "http"),
        ("web_concurrency", "0"),
        ("web_concurrency", "-1"),
        ("app_environment", "staging"),
        ("secret_key", "short"),
        ("secret_key_fallbacks", "long enough for that,short"),
        ("trusted_proxies", "-1"),
        ("trusted_proxies", "all"),
        ("max_sockets", "0"),
        ("max_sockets_per_user", "0"),
        ("max_sockets_per_address", "-5"),
        ("socket_idle_timeout_s", "0"),
        ("socket_ping_interval_s", "never"),
        ("rate_limit_messages_per_address", "0/minute"),
        ("database_url", "mysql://x"),
        ("database_url", "postgres"),
        ("database_url", "sqlite://"),
        ("redis_url", "localhost:6379"),
        ("redis_url", "redis:///0"),
        ("mlflow_tracking_uri", "sqlite:///x.db"),
        ("mlflow_ui_url", "ui.example"),
        ("mlflow_ui_url", "javascript:alert(1)//http://x"),
        ("mlflow_ui_url", "http://"),
        ("mlflow_ui_url", 'https://ui.example/"><script>'),
        ("mlflow_ui_url", "https://ui.example /x"),
        ("mlflow_ui_url", "https://ui.example@evil.example"),
        ("mlflow_ui_url", "databricks"),
        ("openai_base_url", "localhost:8080"),
        ("mlflow_port", "99999"),
        ("mlflow_experiment_name", ""),
        ("chat_agent", "no_colon"),
        ("chat_agent", "a b:c"),
        ("chat_max_message_chars", "0"),
        ("chat_max_message_chars", "many"),
        ("chat_turn_timeout_s", "0"),
        ("chat_turn_timeout_s", "nan"),
        ("chat_turn_timeout_s", "inf"),
        ("chat_history_turns", "-1"),
        ("identity_header", "X Forwarded"),
        ("allowed_hosts", "https://chat.example.org"),
        ("allowed_hosts", "chat.example.org/"),
        ("allowed_hosts", "chat.example.org:443"),
        ("allowed_origins", "chat.example.org"),
        ("allowed_origins", "https://chat.example.org/chat"),
        ("allowed_origins", "*"),
        ("operator_password_hash", "hunter2"),
        ("operator_password_hash", "scrypt:3:8:1$salt$" + "0" * 128),
        ("operator_password_hash", "crc32$salt$" + "0" * 64),
        ("operator_password_hash", "pbkdf2:sha256:1000$salt$no-digest"),
        ("rate_limit_messages", "30"),
        ("rate_limit_messages", "0/minute"),
        ("rate_limit_messages", "30/fortnight"),
        ("rate_limit_feedback", "lots"),
    ],
)
def test_a_wrong_value_is_one_clear_line(name: str, value: str) -> None:
    message = refusal(**{name: value})
    assert "\n" not in message
    assert message.startswith(f"{name.upper()}: ")
    bears_secret = "@" in value or name in {
        "secret_key",
        "secret_key_fallbacks",
        "database_url",
        "redis_url",
        "operator_password_hash",
    }
    assert f"got {'a secret not shown' if bears_secret else repr(value)}" in message


def test_several_wrong_values_are_several_lines() -> None:
    lines = refusal(port="x", rate_limit_feedback="y", chat_agent="z").splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "PORT",
        "RATE_LIMIT_FEEDBACK",
        "CHAT_AGENT",
    ]


def test_a_wrong_secret_is_not_shown() -> None:
    assert "hunter2" not in refusal(secret_key="hunter2")
    assert "hunter2" not in refusal(operator_password_hash="hunter2")
    assert "hunter2" not in refusal(database_url="mysql://root:hunter2@db")
    for name in ("mlflow_ui_url", "mlflow_tracking_uri", "openai_base_url"):
        assert "hunter2" not in refusal(**{name: "ftp://me:hunter2@m.example"})


def test_an_env_file_in_another_encoding_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("CHAT_SYSTEM_PROMPT=Grüße\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"^\.env: expected UTF-8, got another byte at 21\.$"):
        load_settings(_env_file=tmp_path / ".env")


def test_production_needs_a_secret_key() -> None:
    message = refusal(app_environment="production")
    assert message.startswith("SECRET_KEY: required when APP_ENVIRONMENT=production")
    load_settings(_env_file=None, app_environment="production", secret_key="x" * 16)


def test_several_workers_need_redis() -> None:
    message = refusal(web_concurrency="2")
    assert message.startswith("WEB_CONCURRENCY: workers share turns through Redis")
    assert "\n" not in message
    for database_url in (None, "postgresql://db.example/app"):
        settings = load_settings(
            _env_file=None,
            web_concurrency=4,
            redis_url="rediss://:key@redis.example:6380/1",
            database_url=database_url,
        )
        assert settings.web_concurrency == 4


def test_settings_are_frozen() -> None:
    settings = load_settings(_env_file=None)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_words_are_split_at_commas_and_addresses_lose_their_last_slash() -> None:
    settings = load_settings(
        _env_file=None,
        allowed_origins=" https://a.example , https://b.example,",
        openai_base_url="http://model.example/v1/",
        database_url="postgres://u:p@db.example/app",
    )
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.openai_base_url == "http://model.example/v1"
    assert settings.database == "postgresql+psycopg://u:p@db.example/app"


def test_origins_and_host_names_are_as_browsers_write_them() -> None:
    settings = load_settings(
        _env_file=None,
        allowed_origins="https://Chat.Example.org:443/,http://b.example:80,capacitor://localhost",
        allowed_hosts="Chat.Example.org,.example.org,2001:DB8::1",
    )
    expected = ("https://chat.example.org", "http://b.example", "capacitor://localhost")
    assert settings.allowed_origins == expected
    assert settings.allowed_hosts == ("chat.example.org", ".example.org", "2001:db8::1")


def test_mlflow_and_its_links_follow_from_each_other() -> None:
    assert load_settings(_env_file=None, mlflow_port=5999).mlflow_link == "http://127.0.0.1:5999"
    settings = load_settings(
        _env_file=None, mlflow_tracking_uri="http://m", mlflow_ui_url="https://ui.example/"
    )
    assert (settings.tracking_uri, settings.mlflow_link) == ("http://m", "https://ui.example")


def test_a_link_to_mlflow_bears_no_password() -> None:
    settings = load_settings(_env_file=None, mlflow_tracking_uri="https://me:secret@m.example/base")
    assert settings.tracking_uri == "https://me:secret@m.example/base"
    assert settings.mlflow_link == "https://m.example/base"


def test_the_demonstration_model_answers_only_when_nothing_else_is_named() -> None:
    assert load_settings(_env_file=None).uses_embedded_model
    assert not load_settings(_env_file=None, openai_base_url="http://m/v1").uses_embedded_model
    assert not load_settings(_env_file=None, chat_agent="a.b:c").uses_embedded_model


def test_the_signing_key_is_made_once_and_private(tmp_path: Path) -> None:
    settings = load_settings(_env_file=None, data_dir=tmp_path / "new")
    key = settings.signing_key()
    assert len(key) >= 32
    assert settings.signing_key() == key
    assert (tmp_path / "new" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert load_settings(_env_file=None, secret_key="s" * 16).signing_key() == "s" * 16


def test_a_signing_key_that_a_crash_left_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    settings = load_settings(_env_file=None, data_dir=tmp_path)
    with pytest.raises(SettingsError, match=r"secret_key holds none\. Remove it for another\.$"):
        settings.signing_key()


def test_whoever_starts_at_the_same_moment_shares_one_signing_key(tmp_path: Path) -> None:
    for attempt in range(20):
        settings = load_settings(_env_file=None, data_dir=tmp_path / str(attempt))
        with ThreadPoolExecutor(8) as pool:
            keys = {
                task.result() for task in [pool.submit(settings.signing_key) for _ in "12345678"]
            }
        assert len(keys) == 1
        assert len(keys.pop()) >= 32

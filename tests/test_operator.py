"""The operator's guard: this machine without a password, elsewhere only with it."""

from __future__ import annotations

import ast
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, jsonify
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from app.cli.operator import operator as commands
from app.settings import load_settings
from app.web import errors, hosts, identity, operator
from tests.processes import ROOT

PASSWORD = "correct horse battery"
# A cheap hash: these tests make many guesses.
HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}


def client_of(folder: Path, **settings: Any) -> FlaskClient:
    """An app with one route for operators and one for everyone."""
    names = {"allowed_hosts": "localhost,.example.org"}
    loaded = load_settings(_env_file=None, data_dir=folder, **names, **settings)
    app = Flask("guarded")
    errors.init_app(app)
    hosts.init_app(app, loaded)
    identity.init_app(app, loaded)
    inside = Blueprint("inside", __name__)
    inside.add_url_rule("/secret", "secret", lambda: jsonify(seen=True))
    inside.add_url_rule("/act", "act", lambda: jsonify(done=True), methods=["POST"])
    app.register_blueprint(operator.area(loaded, inside))
    app.add_url_rule("/public", "public", lambda: jsonify(seen=True))
    return app.test_client()


@pytest.fixture
def open_client(tmp_path: Path) -> FlaskClient:
    return client_of(tmp_path)


@pytest.fixture
def locked(tmp_path: Path) -> FlaskClient:
    return client_of(tmp_path, operator_password_hash=HASH)


@pytest.fixture
def locked_behind_proxy(tmp_path: Path) -> FlaskClient:
    return client_of(tmp_path, operator_password_hash=HASH, trusted_proxies=1)


def guess(client: FlaskClient, password: str = PASSWORD, **options: Any) -> TestResponse:
    return client.get("/secret", auth=("operator", password), **options)


def code_of(response: TestResponse) -> str:
    code: str = response.get_json()["error"]["code"]
    return code


# Without a password


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_without_a_password_this_machine_may(
    open_client: FlaskClient, address: str, host: str
) -> None:
    response = open_client.get(
        "/secret", environ_overrides={"REMOTE_ADDR": address}, headers={"Host": host}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "address", ["203.0.113.9", "10.0.0.7", "::ffff:10.0.0.7", "2001:db8::1", ""]
)
def test_without_a_password_nobody_else_may(open_client: FlaskClient, address: str) -> None:
    response = open_client.get("/secret", environ_overrides={"REMOTE_ADDR": address})
    assert (response.status_code, code_of(response)) == (403, "operator_only")
    assert "OPERATOR_PASSWORD_HASH" in response.get_json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Host": "chat.example.org"},
        {"Host": "127.0.0.1.example.org"},
    ],
)
def test_a_request_that_a_proxy_may_have_passed_on_is_refused(
    open_client: FlaskClient, headers: dict[str, str]
) -> None:
    response = open_client.get("/secret", headers=headers)
    assert (response.status_code, code_of(response)) == (403, "operator_only")


def test_the_header_that_names_people_gives_a_proxy_away(tmp_path: Path) -> None:
    client = client_of(tmp_path, identity_header="X-Forwarded-Email")
    named = client.get("/secret", headers={"X-Forwarded-Email": "ann@example.org"})
    assert code_of(named) == "operator_only"


def test_in_production_nobody_may_without_a_password(tmp_path: Path) -> None:
    client = client_of(tmp_path, app_environment="production", secret_key="s" * 16)
    assert code_of(client.get("/secret")) == "operator_only"


# With a password


def test_the_password_lets_in_from_anywhere(locked: FlaskClient) -> None:
    assert guess(locked, environ_overrides=ELSEWHERE).status_code == 200
    through_proxy = {"X-Forwarded-For": "203.0.113.9", "Host": "chat.example.org"}
    assert guess(locked, headers=through_proxy).status_code == 200


@pytest.mark.parametrize(
    "header",
    [None, "Basic", "Basic !!!", "Basic b3BlcmF0b3I=", "Bearer abc", "Digest username=operator"],
)
def test_without_the_password_one_is_asked_for_it(locked: FlaskClient, header: str | None) -> None:
    response = locked.get("/secret", headers={"Authorization": header} if header else {})
    assert (response.status_code, code_of(response)) == (401, "operator_password")
    assert response.headers["WWW-Authenticate"].startswith('Basic realm="')


def test_a_wrong_password_is_refused_before_and_after_the_right_one(locked: FlaskClient) -> None:
    for password in ("", "wrong", PASSWORD + " ", "pässwörd"):
        assert guess(locked, password).status_code == 401
    assert guess(locked).status_code == 200
    assert guess(locked, "wrong").status_code == 401
    assert guess(locked).status_code == 200


def test_guesses_are_limited_by_address_even_right_ones(locked: FlaskClient) -> None:
    guess(locked)
    statuses = [guess(locked, f"wrong {number}").status_code for number in range(12)]
    assert statuses[:9] == [401] * 9
    assert statuses[-1] == 429
    refused = guess(locked)
    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert guess(locked, environ_overrides=ELSEWHERE).status_code == 200


def test_the_right_password_is_no_guess(locked: FlaskClient) -> None:
    assert {guess(locked).status_code for _ in range(30)} == {200}


def test_guesses_at_once_pass_the_limit_no_more_than_one_by_one(locked: FlaskClient) -> None:
    app = locked.application
    with ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(guess, app.test_client(), f"wrong {number}") for number in range(40)]
        statuses = [one.result().status_code for one in tries]
    assert statuses.count(401) == 10
    assert statuses.count(429) == 30


def test_behind_a_proxy_addresses_are_told_apart_by_what_the_proxy_added(
    locked_behind_proxy: FlaskClient,
) -> None:
    locked = locked_behind_proxy
    for number in range(11):
        # What the client claims comes first and counts for nothing.
        guess(locked, "wrong", headers={"X-Forwarded-For": f"10.0.0.{number}, 203.0.113.9"})
    blocked = guess(locked, headers={"X-Forwarded-For": "203.0.113.9"})
    assert blocked.status_code == 429
    assert guess(locked, headers={"X-Forwarded-For": "203.0.113.10"}).status_code == 200


def test_without_a_proxy_of_ours_a_claimed_address_counts_for_nothing(locked: FlaskClient) -> None:
    statuses = [
        guess(locked, "wrong", headers={"X-Forwarded-For": f"10.0.{n}.1"}).status_code
        for n in range(12)
    ]
    assert statuses == [401] * 10 + [429] * 2


def test_varying_the_address_does_not_help_for_long(locked_behind_proxy: FlaskClient) -> None:
    locked = locked_behind_proxy
    statuses = [
        guess(locked, "wrong", headers={"X-Forwarded-For": f"10.0.{n}.1"}).status_code
        for n in range(70)
    ]
    assert statuses == [401] * 60 + [429] * 10


# The rest of the rules


def test_the_guard_is_only_before_its_own_routes(locked: FlaskClient) -> None:
    assert locked.get("/public").status_code == 200


def test_an_operator_gets_no_visitors_cookie(open_client: FlaskClient) -> None:
    assert "Set-Cookie" not in open_client.get("/secret").headers
    assert "Set-Cookie" in open_client.get("/public").headers


def test_an_operator_needs_no_name_from_the_proxy(tmp_path: Path) -> None:
    client = client_of(tmp_path, identity_header="X-Forwarded-Email", operator_password_hash=HASH)
    assert guess(client).status_code == 200
    assert client.get("/public").status_code == 401


def test_secrets_are_compared_in_constant_time() -> None:
    """As it is written: how long a comparison takes cannot be told apart from noise here."""
    tree = ast.parse((ROOT / "app" / "web" / "operator.py").read_text())
    compared = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)}
    secret = {"digest", "password", "self._known", "self._hash", "hash_"}
    assert {one for one in compared if secret & set(re.split(r"[ ()]", one))} == {
        "self._hash is None",
        "password is not None",
    }
    calls = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "hmac.compare_digest(digest, self._known)" in calls


def test_another_sites_page_cannot_use_an_operators_password(locked: FlaskClient) -> None:
    right = {"auth": ("operator", PASSWORD)}
    foreign = locked.post("/act", json={}, headers={"Origin": "https://evil.example"}, **right)
    assert (foreign.status_code, code_of(foreign)) == (403, "foreign_origin")
    form = locked.post("/act", data={"a": "b"}, **right)
    assert (form.status_code, code_of(form)) == (415, "unsupported_media_type")
    assert locked.post("/act", json={}, **right).status_code == 200


def test_the_command_prints_a_line_that_lets_its_password_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Flask("cli").test_cli_runner()
    printed = runner.invoke(commands, ["password"], input=f"{PASSWORD}\n{PASSWORD}\n").output
    assert PASSWORD not in printed
    line = re.search(r"OPERATOR_PASSWORD_HASH=.*", printed)
    assert line
    (tmp_path / ".env").write_text(line[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPERATOR_PASSWORD_HASH", raising=False)
    client = client_of(tmp_path, operator_password_hash=load_settings().operator_password_hash)
    assert guess(client).status_code == 200


def test_the_command_refuses_a_short_password() -> None:
    runner = Flask("cli").test_cli_runner()
    result = runner.invoke(commands, ["password"], input="hunter2\nhunter2\n")
    assert result.exit_code == 1
    assert "at least 12 characters" in result.output

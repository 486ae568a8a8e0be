"""The app's edge: which names it answers to, whose word it takes, which bodies it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.web.address import client_address
from app.web.identity import UnsupportedMediaType
from tests.processes import ROOT
from tests.served_app import served
from tests.web_client import app_with, close, error_of


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = app_with(tmp_path)
    yield app
    close(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def status_for(app: Flask, host: str, path: str = "/conversations") -> int:
    response = app.test_client().get(path, headers={"Host": host})
    if response.status_code == 400:
        assert error_of(response)["code"] == "unknown_host"
        assert "ALLOWED_HOSTS" in error_of(response)["message"]
        assert "Set-Cookie" not in response.headers
    return response.status_code


# Names


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "192.0.2.7:8000"]
)
def test_by_itself_the_app_answers_to_this_machine_and_to_addresses(app: Flask, host: str) -> None:
    assert status_for(app, host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "localhost:8000@evil.example",
        "[::1",
        "evil.example:80:80",
        "a b",
        "",
    ],
)
def test_any_other_name_is_refused_on_every_path(app: Flask, host: str) -> None:
    for path in ("/", "/conversations", "/healthz", "/insights", "/nothing"):
        assert status_for(app, host, path) == 400, path


def test_allowed_hosts_are_answered_and_then_no_address_but_loopback(tmp_path: Path) -> None:
    names = "chat.example.org,.sub.example.org,2001:db8::1"
    app = app_with(tmp_path, allowed_hosts=names, host="mybox")
    for host in (
        "chat.example.org",
        "a.sub.example.org",
        "[2001:db8::1]:8000",
        "mybox:8000",
        "localhost",
        "127.0.0.1",
    ):
        assert status_for(app, host) == 200, host
    for host in ("example.org", "evilchat.example.org", "192.0.2.7", "xsub.example.org"):
        assert status_for(app, host) == 400, host
    close(app)


# Proxies

SPOOFED = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
}


def seen(tmp_path: Path, headers: dict[str, str], **settings: Any) -> tuple[str, str, str]:
    """Address, scheme and host that the app believes."""
    app = app_with(tmp_path, **settings)
    found: list[tuple[str, str, str]] = []

    @app.before_request
    def look() -> None:
        from flask import request

        found.append((client_address(), request.scheme, request.host))

    app.test_client().get("/", headers=headers)
    close(app)
    return found[0]


def test_without_trusted_proxies_nothing_forwarded_is_believed(tmp_path: Path) -> None:
    assert seen(tmp_path, SPOOFED) == ("127.0.0.1", "http", "localhost")


def test_with_trusted_proxies_what_they_added_is_believed_and_no_more(tmp_path: Path) -> None:
    one = SPOOFED | {"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "X-Forwarded-Proto": "https"}
    assert seen(tmp_path, one, trusted_proxies=1) == ("203.0.113.9", "https", "localhost")
    two = one | {"X-Forwarded-For": "198.51.100.1, 203.0.113.9, 10.0.0.2"}
    # Most proxies do not add to the scheme: they set it, or pass on what came.
    assert seen(tmp_path, two, trusted_proxies=2) == ("203.0.113.9", "https", "localhost")
    both = two | {"X-Forwarded-Proto": "ftp, https, http"}
    assert seen(tmp_path, both, trusted_proxies=2)[1] == "https"
    assert seen(tmp_path, both, trusted_proxies=3)[1] == "http"
    # Fewer than there should be: it did not come through all of them.
    assert seen(tmp_path, {"X-Forwarded-For": "1.1.1.1"}, trusted_proxies=2)[0] == "127.0.0.1"


def test_gunicorn_takes_nobodys_word_for_it_either() -> None:
    text = (ROOT / "gunicorn.conf.py").read_text()
    assert 'forwarded_allow_ips = ""' in text
    assert re.search(r"secure_scheme_headers.* = \{\}", text)


def test_an_address_of_ipv6_counts_by_its_network(app: Flask) -> None:
    def counted(address: str) -> str:
        with app.test_request_context(environ_overrides={"REMOTE_ADDR": address}):
            return client_address()

    assert counted("2001:db8:1:2:aaaa::1") == counted("2001:db8:1:2:bbbb::9")
    assert counted("2001:db8:1:3::1") != counted("2001:db8:1:2::1")
    assert counted("::ffff:192.0.2.1") == counted("192.0.2.1") == "192.0.2.1"
    assert len(counted("x" * 500)) <= 64


def test_an_address_counts_without_the_port_that_some_proxies_write(app: Flask) -> None:
    def counted(address: str) -> str:
        with app.test_request_context(environ_overrides={"REMOTE_ADDR": address}):
            return client_address()

    assert counted("203.0.113.9:51234") == counted("203.0.113.9") == "203.0.113.9"
    assert counted("[2001:db8::1]:443") == counted("[2001:db8::2]") == counted("2001:db8::3")


# Cookies and keys


def test_the_cookie_is_secure_behind_a_proxy_with_tls(tmp_path: Path) -> None:
    app = app_with(tmp_path, trusted_proxies=1)
    over_tls = app.test_client().get("/conversations", headers={"X-Forwarded-Proto": "https"})
    cookie = over_tls.headers["Set-Cookie"]
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "max-age" in over_tls.headers["Strict-Transport-Security"]
    plain = app.test_client().get("/conversations")
    assert "Secure" not in plain.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in plain.headers
    close(app)


def test_a_new_key_takes_nobodys_conversations_away(tmp_path: Path) -> None:
    keys = ["the first of the keys", "the second of the keys", "the third of the keys"]
    app = app_with(tmp_path, secret_key=keys[0])
    client = app.test_client()
    asked = client.post("/chat", json={"message": "Why?"}).get_json()
    cookies = [cookie_of(client)]
    close(app)
    mine = f"/conversations/{asked['conversation_id']}"
    for today in (1, 2):
        fallbacks = ",".join(reversed(keys[:today]))
        app = app_with(tmp_path, secret_key=keys[today], secret_key_fallbacks=fallbacks)
        client = with_cookie(app, cookies[0])
        asset = re.search(r'/static/[^"]+\.svg', app.test_client().get("/").text)
        assert asset is not None
        shared = client.get(asset[0])  # caches may hand it to others
        assert (shared.status_code, "Set-Cookie" in shared.headers) == (200, False)
        found = client.get(mine)
        assert found.status_code == 200
        assert "Set-Cookie" in found.headers
        cookies.append(cookie_of(client))
        again = client.get(mine)
        assert (again.status_code, "Set-Cookie" in again.headers) == (200, False)
        close(app)
    # Without the old key, what was signed anew still counts, and what was not counts no more.
    app = app_with(tmp_path, secret_key=keys[2])
    statuses = [with_cookie(app, cookie).get(mine).status_code for cookie in cookies]
    assert statuses == [404, 404, 200]
    close(app)


def cookie_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("thumbprint")
    assert cookie is not None
    return cookie.value


def with_cookie(app: Flask, value: str) -> FlaskClient:
    client = app.test_client()
    client.set_cookie("thumbprint", value)
    return client


# Bodies


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/vnd.api+json",
        "text/json",
        "",
    ],
)
def test_only_json_is_taken_for_a_body_however_it_is_sent(app: Flask, content_type: str) -> None:
    body = b'{"message": "Why?"}'
    with served(app) as url:
        for chunked in (False, True):
            connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
            connection.request(
                "POST",
                "/chat",
                iter([body]) if chunked else body,
                {"Content-Type": content_type},
                encode_chunked=chunked,
            )
            answer = connection.getresponse()
            assert answer.status == UnsupportedMediaType.status, (content_type, chunked)
            connection.close()


def test_json_with_a_charset_is_json(client: FlaskClient) -> None:
    content_type = "application/json; charset=utf-8"
    answer = client.post("/chat", data='{"message": "Why?"}', content_type=content_type)
    assert answer.status_code == 200


def test_a_body_too_large_is_refused_however_it_is_sent(tmp_path: Path) -> None:
    app = app_with(tmp_path, chat_max_message_chars=100)
    too_large = b'{"message": "' + b"x" * 400_000 + b'"}'
    json = {"Content-Type": "application/json"}
    declared = app.test_client().post("/chat", data=too_large, headers=json)
    assert (declared.status_code, error_of(declared)["code"]) == (413, "request_entity_too_large")
    with served(app) as url:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
        connection.request("POST", "/chat", iter([too_large]), json, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
    close(app)


# Headers


def test_every_answer_is_guarded(client: FlaskClient) -> None:
    answers = {
        path: client.get(path, buffered=True)
        for path in ("/", "/my-feedback", "/conversations", "/nothing", "/insights", "/healthz")
    }
    answers["refused"] = client.post("/chat", json={})
    for path, answer in answers.items():
        headers = answer.headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert policy[0] == "default-src 'none'", path
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"unsafe|\*|https?:|data:|blob:", " ".join(policy)), path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "//evil.example/%2e%2e",
        "/c//evil.example",
        "/conversations/",
        "/\\evil.example",
        "/%5Cevil.example",
        "/c/..//evil.example",
        "/insights/",
        "/static//evil.example//x",
    ],
)
def test_no_answer_leads_anywhere_else(client: FlaskClient, path: str) -> None:
    location = client.get(path).headers.get("Location", "/")
    assert urlsplit(location).netloc in {"", "localhost"}
    assert not location.startswith("//")


def test_a_failure_says_nothing_of_what_went_wrong_inside(app: Flask) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("secret detail")

    answer = app.test_client().get("/broken")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text

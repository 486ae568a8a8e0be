"""Behind nginx, on the configuration of `docs/deploy/nginx.conf`: everything is as without it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus

from app.settings import Settings
from e2e.chat_page import ChatPage, expect_recorded, thumb
from e2e.visitor import Visitor
from tests.nginx import HANDED_OUT, NginxServer
from tests.scripted_model import Answer, Gate
from tests.servers import MlflowServer, Stack
from tests.waiting import eventually


@pytest.fixture(scope="module")
def stack(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that expects one proxy in front."""
    folder = tmp_path_factory.mktemp("behind-nginx")
    stack = Stack(folder, mlflow_server, TRUSTED_PROXIES="1")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def nginx(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxServer]:
    """The proxy."""
    server = NginxServer(tmp_path_factory.mktemp("nginx"), stack.url)
    server.start()
    yield server
    server.terminate()


@pytest.fixture
def visitor(nginx: NginxServer, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """Somebody new, who trusts nginx's certificate."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(nginx.certificate))
    return Visitor(nginx.url)


@pytest.fixture
def gate(stack: Stack) -> Gate:
    """What the answer to `go on` waits for after `one `."""
    gate = stack.model.gate()
    stack.model.answer_when("go on", Answer(tokens=["one ", gate, "two ", "three"]))
    return gate


def test_a_socket_streams_through_nginx_and_its_verdict_is_recorded(
    visitor: Visitor, stack: Stack, gate: Gate
) -> None:
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("go on"), "token")
        # The model has not said more than this, so nothing was held back on the way.
        assert turn.text == "one "
        gate.release()
        socket.read_until(turn)
    assert turn.text == "one two three"
    assert visitor.judge(True, trace_id=turn.trace_id).status_code == 200
    eventually(lambda: stack.reader.verdict(turn.trace_id) is True, timeout=30)


def test_nginx_does_not_hold_back_server_sent_events(visitor: Visitor, gate: Gate) -> None:
    def frames(stream: requests.Response) -> Iterator[dict[str, Any]]:
        for line in stream.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))

    body = {"message": "go on"}
    with visitor.send("POST", "/chat/stream", json=body, stream=True) as stream:
        told = frames(stream)
        assert next(told)["type"] == "start"
        assert next(told)["content"] == "one "
        gate.release()
        rest = list(told)
    assert "".join(frame["content"] for frame in rest[:-1]) == "two three"
    assert rest[-1]["type"] == "done"


def test_the_app_is_told_what_nginx_was_asked(visitor: Visitor) -> None:
    # X-Forwarded-Proto: the cookie is for TLS only.
    assert [cookie.secure for cookie in visitor.http.cookies] == [True]
    # Host: foreign pages are told apart from our own, which the other tests are.
    with pytest.raises(InvalidStatus) as refused, visitor.open_socket(origin="https://evil.test"):
        pass
    assert refused.value.response.status_code == 403
    foreign = visitor.send("POST", "/chat", json={"message": "?"}, headers={"Origin": "null"})
    assert foreign.json()["error"]["code"] == "foreign_origin"
    # X-Forwarded-For: who comes through the proxy is not this machine.
    assert visitor.send("GET", "/metrics").json()["error"]["code"] == "operator_only"


def test_plain_http_is_sent_to_tls(nginx: NginxServer) -> None:
    answer = requests.get(
        f"http://localhost:{nginx.plain_port}/c/1?a=b", allow_redirects=False, timeout=5
    )
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://localhost/c/1?a=b")


def test_nginx_is_more_patient_than_a_socket_is_quiet_and_a_turn_may_take() -> None:
    [patience] = re.findall(r"proxy_read_timeout (\d+)s;", HANDED_OUT.read_text())
    settings = Settings.model_fields
    assert int(patience) > 2 * settings["socket_ping_interval_s"].default
    assert int(patience) > settings["chat_turn_timeout_s"].default


def test_a_person_chats_and_judges_through_nginx(
    open_page: Callable[..., ChatPage], nginx: NginxServer, stack: Stack
) -> None:
    chat = open_page(nginx.url, ignore_https_errors=True)
    message = chat.ask_and_wait("Is anybody there?")
    thumb(message, "up").click()
    expect_recorded(message)

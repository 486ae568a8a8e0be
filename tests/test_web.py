"""Every route over HTTP: who may use it, what it refuses and how it says so."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner

from app.store import turns
from app.web.operator import AREA
from app.web.services import Services
from tests.engines import RedisServer
from tests.waiting import eventually
from tests.web_client import app_with, ask, close, error_of, parts_of

JSON = {"Content-Type": "application/json"}
UNKNOWN_TRACE = "tr-" + "0" * 32


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One app for all these tests; its MLflow server does not answer."""
    app = app_with(tmp_path_factory.mktemp("web"))
    yield app
    close(app)


@pytest.fixture
def ann(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def bob(app: Flask) -> FlaskClient:
    return app.test_client()


# Identity


def test_a_newcomer_gets_a_cookie_scripts_cannot_read(app: Flask) -> None:
    response = app.test_client().get("/conversations")
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("thumbprint=")
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Expires="):
        assert part in cookie
    assert "Secure" not in cookie
    over_tls = app.test_client().get("/conversations", base_url="https://localhost")
    assert "Secure" in over_tls.headers["Set-Cookie"]


def test_whoever_has_a_cookie_keeps_it(ann: FlaskClient) -> None:
    ann.get("/conversations")
    assert "Set-Cookie" not in ann.get("/conversations").headers


def test_a_clock_that_jumps_back_makes_nobody_a_newcomer(app: Flask, ann: FlaskClient) -> None:
    here = ask(ann)["conversation_id"]
    cookie = ann.get_cookie("thumbprint")
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert cookie is not None
    assert signer is not None

    class SignedTomorrow(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() + 86_400

    whose = signer.loads(cookie.value)
    signer.signer = SignedTomorrow
    ann.set_cookie("thumbprint", str(signer.dumps(whose)))
    assert ann.get(f"/conversations/{here}").status_code == 200


def test_a_forged_cookie_is_a_newcomers(app: Flask, ann: FlaskClient) -> None:
    here = ask(ann)["conversation_id"]
    cookie = ann.get_cookie("thumbprint")
    assert cookie is not None
    forged = app.test_client()
    forged.set_cookie("thumbprint", cookie.value[:-3] + "AAA")
    assert forged.get(f"/conversations/{here}").status_code == 404


def test_what_caches_may_share_carries_nobodys_cookie(app: Flask) -> None:
    response = app.test_client().get(asset_of(app), buffered=True)
    assert "public" in response.headers["Cache-Control"]
    assert "Set-Cookie" not in response.headers


def test_a_proxy_may_name_the_user(tmp_path: Path) -> None:
    app = app_with(tmp_path, identity_header="X-Forwarded-Email")
    client = app.test_client()
    nobody = client.get("/conversations")
    assert (nobody.status_code, error_of(nobody)["code"]) == (401, "unauthenticated")
    too_long = client.get("/conversations", headers={"X-Forwarded-Email": "x" * 251})
    assert too_long.status_code == 401
    as_ann = {"X-Forwarded-Email": "ann@example.com"}
    asked = client.post("/chat", json={"message": "Why?"}, headers=as_ann).get_json()
    found = client.get(f"/conversations/{asked['conversation_id']}", headers=as_ann)
    assert found.status_code == 200
    assert "Set-Cookie" not in found.headers
    as_bob = {"X-Forwarded-Email": "bob@example.com"}
    stranger = client.get(f"/conversations/{asked['conversation_id']}", headers=as_bob)
    assert stranger.status_code == 404
    for path in ("/healthz", "/readyz"):
        assert client.get(path).status_code == 200, path
    close(app)


@pytest.mark.parametrize("name", ["José", "Łukasz", "李雷", "Ömer", "àb"])
def test_a_proxy_may_name_anybody(tmp_path: Path, name: str) -> None:
    app = app_with(tmp_path, identity_header="X-Forwarded-User")
    as_sent = {"X-Forwarded-User": name.encode().decode("latin-1")}
    asked = app.test_client().post("/chat", json={"message": "Why?"}, headers=as_sent).get_json()
    turn = parts_of(app).database.read(lambda c: turns.find_turn_by_trace(c, asked["trace_id"]))
    assert turn is not None
    assert turn.user_id == name
    close(app)


def test_without_the_setting_no_header_names_the_user(ann: FlaskClient, bob: FlaskClient) -> None:
    here = ask(ann)["conversation_id"]
    claimed = bob.get(f"/conversations/{here}", headers={"X-Forwarded-Email": "ann@example.com"})
    assert claimed.status_code == 404


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://["]
)
def test_a_foreign_page_cannot_change_anything(ann: FlaskClient, origin: str) -> None:
    response = ann.post("/chat", json={"message": "x"}, headers={"Origin": origin})
    assert (response.status_code, error_of(response)["code"]) == (403, "foreign_origin")
    assert ann.get("/conversations", headers={"Origin": origin}).status_code == 200


def test_our_own_origin_and_allowed_ones_may(app: Flask, tmp_path: Path) -> None:
    ours = {"Origin": "http://localhost"}
    assert app.test_client().post("/chat", json={"message": "x"}, headers=ours).status_code == 200
    other = app_with(tmp_path, allowed_origins="https://friend.example")
    friend = {"Origin": "https://friend.example"}
    assert (
        other.test_client().post("/chat", json={"message": "x"}, headers=friend).status_code == 200
    )
    close(other)


@pytest.mark.parametrize("origin", [None, "http://localhost", "https://evil.example"])
def test_a_socket_without_identity_is_refused_before_the_upgrade(
    app: Flask, origin: str | None
) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    headers |= {"Origin": origin} if origin else {}
    response = app.test_client().get("/ws/chat", headers=headers)
    expected = (403, "foreign_origin") if origin and "evil" in origin else (401, "unauthenticated")
    assert (response.status_code, error_of(response)["code"]) == expected


# Who owns what: every route that takes an ID

BODIES: dict[str, dict[str, Any]] = {
    "POST /feedback": {"json": {"is_correct": True}},
    "POST /detailed-feedback": {"query_string": {"accuracy": "5"}},
    "POST /correction": {"json": {"expected_response": "So."}},
    "PATCH /conversations/<conversation_id>": {"json": {"title": "Mine now"}},
    "POST /chat/stop": {},
}
# Routes that name nothing that belongs to anyone, or are checked by tests of their own.
NAMES_NOTHING = {
    "GET /",
    "GET /c/<conversation_id>",  # the page alone; it reads the conversation over the routes below
    "GET /my-feedback",  # likewise
    "GET /static/<asked>/<path:name>",
    "GET /healthz",
    "GET /readyz",
    "GET /openapi.json",
    "GET /ws/chat",
    "POST /chat",
    "POST /chat/stream",
}
# Routes about whoever asks: they answer, and say and change nothing of anyone else's.
ABOUT_ONESELF = {"GET /conversations", "GET /feedback/mine", "POST /forget-me"}


def routes(app: Flask) -> list[str]:
    return sorted(
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"} and not rule.endpoint.startswith(f"{AREA}.")
    )


def test_no_route_of_the_operators_is_open_to_others(app: Flask, ann: FlaskClient) -> None:
    guarded = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith(f"{AREA}.")]
    for rule in guarded:
        for method in (rule.methods or set()) - {"OPTIONS"}:
            refused = ann.open(
                rule.rule, method=method, json={}, environ_base={"REMOTE_ADDR": "203.0.113.9"}
            )
            assert refused.status_code == 403, (method, rule.rule)
    assert len(guarded) >= 5


def test_no_route_reads_or_changes_what_is_someone_elses(
    app: Flask, ann: FlaskClient, bob: FlaskClient
) -> None:
    asked = ask(ann, client_request_id="owned")
    ann.post("/feedback", query_string={"trace_id": asked["trace_id"]}, json={"is_correct": True})
    before = ann.get(f"/conversations/{asked['conversation_id']}").get_json()
    tried = set()
    for route in routes(app):
        if route in NAMES_NOTHING:
            continue
        tried.add(route)
        method, rule = route.split(" ")
        if route in ABOUT_ONESELF:
            answer = bob.open(rule, method=method, json={})
            assert answer.status_code == 200, route
            assert asked["trace_id"] not in answer.text
            continue
        arguments = dict(BODIES.get(route, {}))
        path = rule.replace("<conversation_id>", asked["conversation_id"])
        assert "<" not in path, f"teach this test what {route} takes"
        names: list[dict[str, str]] = [{}]
        if path == rule:
            names = [{name: asked[name]} for name in ("trace_id", "client_request_id")]
        if route == "POST /chat/stop":
            names, arguments = [{}], {"json": {"client_request_id": "owned"}}
        for name in names:
            query = {**arguments.get("query_string", {}), **name}
            response = bob.open(path, method=method, **(arguments | {"query_string": query}))
            assert response.status_code in {403, 404}, (route, name, response.text)
            error_of(response)
            assert "So" not in response.text
    assert ann.get(f"/conversations/{asked['conversation_id']}").get_json() == before
    assert len(tried) >= 8


def test_a_turn_of_someone_else_is_not_found_by_any_transport(
    ann: FlaskClient, bob: FlaskClient
) -> None:
    here = ask(ann, client_request_id="mine")["conversation_id"]
    for path in ("/chat", "/chat/stream"):
        stranger = bob.post(path, json={"message": "x", "conversation_id": here})
        assert (stranger.status_code, error_of(stranger)["code"]) == (404, "unknown_conversation")
    resumed = bob.post(
        "/chat/stream",
        json={"message": "Why?", "client_request_id": "mine"},
        headers={"Last-Event-ID": "0"},
    )
    assert (resumed.status_code, error_of(resumed)["code"]) == (404, "unknown_turn")


# Chat


def test_chat_answers_with_everything_the_contract_lists(ann: FlaskClient) -> None:
    body = ask(ann, client_request_id="r-1")
    assert body["response"] == "Hello there."
    assert body["trace_id"].startswith("tr-")
    assert body["trace_state"] == "queued"
    assert (body["client_request_id"], body["finish_reason"]) == ("r-1", "stop")
    assert ask(ann, client_request_id="r-1") == body


def test_the_stream_is_server_sent_events_numbered_by_seq(ann: FlaskClient) -> None:
    response = ann.post("/chat/stream", json={"message": "Why?", "client_request_id": "sse"})
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Accel-Buffering"] == "no"
    events = [event.split("\n") for event in response.text.strip().split("\n\n")]
    frames = [json.loads(event[1].removeprefix("data: ")) for event in events]
    assert [event[0] for event in events] == [f"id: {frame['seq']}" for frame in frames]
    assert (frames[0]["type"], frames[-1]["type"]) == ("start", "done")
    rest = ann.post(
        "/chat/stream",
        json={"message": "Why?", "client_request_id": "sse"},
        headers={"Last-Event-ID": "0"},
    )
    assert response.text.endswith(rest.text)
    assert "id: 0\n" not in rest.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"message": ""}, 400, "empty_message"),
        ({"message": "\0"}, 400, "empty_message"),
        ({"message": "x" * 8001}, 400, "message_too_long"),
        ({"message": 5}, 422, "invalid_value"),
        ({}, 422, "invalid_value"),
        ([], 422, "invalid_value"),
        ("text", 422, "invalid_value"),
        ({"message": "x", "client_request_id": "a b"}, 400, "invalid_frame"),
        ({"message": "x", "client_request_id": 5}, 422, "invalid_value"),
        ({"message": "x", "conversation_id": "nothing"}, 404, "unknown_conversation"),
        ({"message": "x", "conversation_id": "\ud800"}, 404, "unknown_conversation"),
        ({"message": "x", "conversation_id": "a\0b"}, 404, "unknown_conversation"),
    ],
)
def test_a_message_that_cannot_be_taken_says_why(
    ann: FlaskClient, body: object, status: int, code: str
) -> None:
    for path in ("/chat", "/chat/stream"):
        response = ann.post(path, data=json.dumps(body), headers=JSON)
        assert (response.status_code, error_of(response)["code"]) == (status, code), path


def test_lone_surrogates_in_a_message_do_not_cost_the_answer(ann: FlaskClient) -> None:
    response = ann.post("/chat", data='{"message": "a\\ud800b"}', headers=JSON)
    assert response.status_code in {200, 422}


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "٣", "9" * 30])
def test_a_last_event_id_that_is_none_is_refused(ann: FlaskClient, value: str) -> None:
    response = ann.post(
        "/chat/stream",
        json={"message": "x", "client_request_id": "none"},
        headers={"Last-Event-ID": value.encode().decode("latin-1")},
    )
    assert response.status_code == 400
    error_of(response)


def test_too_many_messages_are_told_when_to_come_back(tmp_path: Path) -> None:
    app = app_with(tmp_path, rate_limit_messages="2/minute", rate_limit_feedback="1/minute")
    client = app.test_client()
    answers = [client.post("/chat", json={"message": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error_of(answers[-1])["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    query = {"trace_id": answers[0].get_json()["trace_id"]}
    thumbs = [
        client.post("/feedback", query_string=query, json={"is_correct": True}) for _ in range(2)
    ]
    assert [thumb.status_code for thumb in thumbs] == [200, 429]
    assert app.test_client().post("/chat", json={"message": "x"}).status_code == 200
    close(app)


# Feedback


def test_the_documentations_feedback_is_answered_truthfully(ann: FlaskClient) -> None:
    asked = ask(ann)
    query = {"trace_id": asked["trace_id"]}
    given = ann.post("/feedback", query_string=query, json={"is_correct": False, "comment": "No"})
    assert given.get_json() == {
        "status": "success",
        "trace_id": asked["trace_id"],
        "client_request_id": asked["client_request_id"],
        "feedback": [
            {"name": "user_feedback", "value": False, "rationale": "No", "state": "saved"}
        ],
    }
    assert ann.get("/feedback", query_string=query).get_json() == given.get_json()
    withdrawn = ann.delete("/feedback", query_string={**query, "name": "user_feedback"})
    assert withdrawn.get_json()["feedback"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "is_correct"),
        ({"is_correct": 1}, "is_correct"),
        ({"is_correct": "true"}, "is_correct"),
        ({"is_correct": None}, "is_correct"),
        ({"is_correct": True, "comment": 5}, "comment"),
        ({"is_correct": True, "comment": "x" * 20_001}, "comment"),
        ({"is_correct": True, "comment": "\ud800"}, "comment"),
        ({"is_correct": True, "metadata": {"mlflow.assessment.sourceRunId": "x"}}, "metadata"),
        ({"name": "x", "value": 10**16}, "value"),
        ({"name": "x", "value": int("9" * 400)}, "value"),
    ],
)
def test_a_wrong_value_is_named(ann: FlaskClient, body: object, field: str) -> None:
    query = {"trace_id": ask(ann)["trace_id"]}
    response = ann.post("/feedback", query_string=query, data=json.dumps(body), headers=JSON)
    assert response.status_code == 422
    error = error_of(response)
    assert error["code"] == "invalid_value"
    assert field in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        dict.fromkeys(("comment", "name", "value", "rationale", "metadata")) | {"is_correct": True},
        dict.fromkeys(("is_correct", "comment", "rationale")) | {"name": "x", "value": 10**15},
    ],
)
def test_what_is_left_out_may_be_null(ann: FlaskClient, body: dict[str, object]) -> None:
    query = {"trace_id": ask(ann)["trace_id"]}
    assert ann.post("/feedback", query_string=query, json=body).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"trace_id": "tr-1"},
        {"trace_id": UNKNOWN_TRACE.upper()},
        {"trace_id": UNKNOWN_TRACE + "/../x"},
        {"trace_id": UNKNOWN_TRACE + "\n"},
        {"client_request_id": "a b"},
        {"client_request_id": ""},
        {"trace_id": UNKNOWN_TRACE, "client_request_id": "r1"},
    ],
)
def test_a_turn_named_wrongly_is_a_wrong_value(ann: FlaskClient, query: dict[str, str]) -> None:
    for method in ("GET", "POST", "DELETE"):
        body: dict[str, Any] = {"json": {"is_correct": True}} if method == "POST" else {}
        response = ann.open("/feedback", method=method, query_string=query, **body)
        assert (response.status_code, error_of(response)["code"]) == (422, "invalid_value"), method


def test_a_turn_nobody_knows_is_404(ann: FlaskClient) -> None:
    response = ann.get("/feedback", query_string={"trace_id": UNKNOWN_TRACE})
    assert (response.status_code, error_of(response)["code"]) == (404, "unknown_turn")


# Conversations


def test_conversations_are_listed_read_renamed_and_deleted(ann: FlaskClient) -> None:
    first = ask(ann, message="One?")
    ask(ann, message="Two?", conversation_id=first["conversation_id"])
    second = ask(ann, message="Three?")
    listed = ann.get("/conversations").get_json()["conversations"]
    assert [one["id"] for one in listed] == [second["conversation_id"], first["conversation_id"]]
    assert set(listed[0]) == {"id", "title", "created_at", "updated_at"}
    path = f"/conversations/{first['conversation_id']}"
    whole = ann.get(path).get_json()
    assert [turn["question"] for turn in whole["turns"]] == ["One?", "Two?"]
    turn = whole["turns"][0]
    assert turn["trace_id"] == first["trace_id"]
    assert (turn["ending"], turn["answer"], turn["error"]) == ("complete", "Hello there.", None)
    assert set(turn) >= {"client_request_id", "replaces", "html", "trace_state", "finish_reason"}
    renamed = ann.patch(path, json={"title": "  New\0 "})
    assert renamed.status_code in {200, 422}
    assert ann.patch(path, json={"title": "New"}).get_json()["title"] == "New"
    assert ann.patch(path, json={"title": " "}).status_code == 422
    assert ann.patch(path, json={"title": "x" * 500}).status_code == 422
    deleted = ann.delete(path)
    assert deleted.get_json() == {"status": "success", "kept_in_mlflow": 2}
    assert ann.get(path).status_code == 404
    assert ann.delete(path).status_code == 404


# The shape of errors, pages and assets


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/nothing", 404, "not_found"),
        ("PUT", "/chat", 405, "method_not_allowed"),
        ("GET", "/chat", 405, "method_not_allowed"),
        ("DELETE", "/conversations", 405, "method_not_allowed"),
        ("GET", "/conversations/nothing", 404, "unknown_conversation"),
        ("GET", "/conversations/" + "x" * 500, 422, "invalid_value"),
        ("GET", "/static/x/nothing.js", 404, "not_found"),
        ("GET", "/static/x/../../app/settings.py", 404, "not_found"),
        ("GET", "/static/x/%2e%2e/app/settings.py", 404, "not_found"),
    ],
)
def test_every_failure_has_one_shape(
    ann: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    response = ann.open(path, method=method)
    assert (response.status_code, error_of(response)["code"]) == (status, code)


def test_a_method_that_is_not_allowed_says_which_are(ann: FlaskClient) -> None:
    assert "POST" in ann.get("/chat").headers["Allow"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_json_is_refused(ann: FlaskClient, content_type: str) -> None:
    for path in ("/chat", "/chat/stop", f"/feedback?trace_id={UNKNOWN_TRACE}"):
        response = ann.post(path, data='{"message":"x"}', content_type=content_type)
        assert (response.status_code, error_of(response)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("body", ["{", "\xff", '{"message":"x"'])
def test_a_body_that_cannot_be_parsed_is_refused(ann: FlaskClient, body: str) -> None:
    response = ann.post("/chat", data=body.encode("latin-1"), headers=JSON)
    assert (response.status_code, error_of(response)["code"]) == (400, "invalid_json")


def test_a_deeply_nested_body_is_refused_not_an_accident(ann: FlaskClient) -> None:
    response = ann.post("/chat", data="[" * 100_000, headers=JSON)
    assert response.status_code in {400, 413, 422}
    error_of(response)


def test_the_page_and_its_assets_are_guarded(ann: FlaskClient, app: Flask) -> None:
    for path in ("/", "/c/anything", asset_of(app), "/healthz", "/nothing"):
        headers = ann.get(path, buffered=True).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for part in ("script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


def asset_of(app: Flask) -> str:
    found = re.search(r'/static/[^"]+\.js', app.test_client().get("/").text)
    assert found is not None
    return found[0]


def test_assets_are_kept_for_ever_under_the_hash_of_their_content(
    ann: FlaskClient, app: Flask
) -> None:
    path = asset_of(app)
    response = ann.get(path, buffered=True)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    old = path.split("/")
    old[2] = "0123456789abcdef"
    stale = ann.get("/".join(old), buffered=True)
    assert "immutable" not in stale.headers["Cache-Control"]
    known = {"If-None-Match": stale.headers["ETag"]}
    assert ann.get("/".join(old), headers=known).status_code == 304


def test_the_page_and_its_assets_go_out_compressed_to_whoever_takes_it_so(
    ann: FlaskClient, app: Flask
) -> None:
    for path in ("/", asset_of(app)):
        plain = ann.get(path)
        gzipped = ann.get(path, headers={"Accept-Encoding": "br;q=1, gzip;q=0.8"})
        assert gzip.decompress(gzipped.data) == plain.data
        assert gzipped.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert (
            "Content-Encoding" not in ann.get(path, headers={"Accept-Encoding": "gzip;q=0"}).headers
        )
        # A cache must not hand the one form to those who want the other.
        assert "Accept-Encoding" in gzipped.vary
        assert "Accept-Encoding" in plain.vary
        assert gzipped.headers["ETag"] != plain.headers["ETag"]
        head = ann.head(path, headers={"Accept-Encoding": "gzip"})
        assert (head.data, head.content_length) == (b"", len(gzipped.data))


def test_the_page_fits_the_first_flight_of_packets(app: Flask) -> None:
    # As a newcomer's browser gets it, with the cookie. RFC 6928: ten segments of 1,460 bytes.
    response = app.test_client().get("/", headers={"Accept-Encoding": "gzip"})
    assert "Set-Cookie" in response.headers
    assert len(response.data) + len(str(response.headers)) < 14_000


def test_the_policy_lets_in_exactly_the_styles_of_the_page(ann: FlaskClient) -> None:
    page = ann.get("/")
    (styles,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    assert f"style-src 'self' 'sha256-{digest}';" in page.headers["Content-Security-Policy"]
    assert "sha256" not in ann.get("/healthz").headers["Content-Security-Policy"]
    # What is linked in a template is fetched when it is wanted, and holds up no painting.
    assert 'rel="stylesheet"' not in re.sub(r"(?s)<template.*?</template>", "", page.text)


def test_the_page_itself_is_never_kept(ann: FlaskClient) -> None:
    response = ann.get("/")
    assert response.mimetype == "text/html"
    assert response.headers["Cache-Control"] in {"no-store", "no-cache"}
    assert "<script>" not in response.text
    assert " style=" not in response.text


def test_health_says_alive_and_readiness_names_what_it_needs(ann: FlaskClient) -> None:
    assert ann.get("/healthz").status_code == 200
    ready = ann.get("/readyz")
    assert ready.status_code == 200
    checks = ready.get_json()["checks"]
    assert checks["database"] == "ok"
    assert checks["mlflow"] != "ok"


def test_readiness_waits_for_nobody_who_does_not_decide(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = app_with(tmp_path, mlflow_tracking_uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        ready = app.test_client().get("/readyz")
        took_s = time.monotonic() - began
        close(app)
    assert (ready.status_code, took_s < 3) == (200, True), took_s  # MLflow's client waits for 5 s
    assert ready.get_json()["checks"]["mlflow"].startswith("unreachable")


def test_a_process_that_shuts_down_is_not_ready_and_takes_no_turn(
    app: Flask, ann: FlaskClient
) -> None:
    services: Services = app.extensions["thumbprint"]
    services.engine.refuse_new_turns()
    assert ann.get("/readyz").status_code == 503
    assert ann.get("/healthz").status_code == 200
    refused = ann.post("/chat", json={"message": "Why?"})
    assert (refused.status_code, error_of(refused)["code"]) == (503, "shutting_down")


def test_readiness_names_redis_when_there_is_one_and_does_without_it(
    tmp_path: Path, redis: RedisServer
) -> None:
    app = app_with(tmp_path, redis_url=redis.url)
    client = app.test_client()
    eventually(lambda: client.get("/readyz").get_json()["checks"]["redis"] == "ok")
    redis.kill9()
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.get_json()["checks"]["redis"].startswith("unreachable")
    close(app)


def test_every_route_is_documented(app: Flask, ann: FlaskClient) -> None:
    document = ann.get("/openapi.json").get_json()
    documented = {
        f"{method.upper()} {path.replace('{', '<').replace('}', '>')}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    pages = {
        "GET /",
        "GET /c/<conversation_id>",
        "GET /my-feedback",
        "GET /static/<asked>/<path:name>",
    }
    operations = {
        "GET /healthz",
        "GET /readyz",
        "GET /openapi.json",
        "GET /ws/chat",
    }
    assert set(routes(app)) - pages - operations <= documented

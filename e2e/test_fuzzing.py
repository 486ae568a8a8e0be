"""Whatever comes over a connection, in whatever order: turns stay whole, and nothing is left.

Half a minute with fixed seeds; with SOAK=1, several minutes of new ones.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)
from websockets.exceptions import ConnectionClosed

from e2e.raw_socket import CLOSE, PING, TEXT, encode
from e2e.visitor import ChatSocket, Frame, Visitor
from tests.process_figures import descriptors, resident_mb, threads
from tests.processes import free_port
from tests.scripted_model import Answer, Fault, ScriptedModel
from tests.servers import AppServer
from tests.waiting import eventually

SOAK = os.environ.get("SOAK") == "1"
VISITS = 1_000 if SOAK else 30
STEPS = 50 if SOAK else 25
ASSAULTS = 10_000 if SOAK else 300
# More turns than any assault has running at a time.
AT_ONCE = 10
MOST_GROWTH_MB = 40
ENDINGS = {"done", "error"}
# What the README's table of errors says of frames.
CODES = {
    *("invalid_json", "binary_frame", "unknown_type", "invalid_frame", "empty_message"),
    *("message_too_long", "unknown_conversation", "unknown_turn", "client_request_id_conflict"),
    *("model_cut_off", "turn_running"),
}

RULES = settings(
    deadline=None,
    database=None,
    derandomize=not SOAK,
    # To make a case smaller would take minutes, and every step can be read as it is.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Fuzzed:
    """A server of its own, without MLflow, and two people at it."""

    def __init__(self, web: AppServer, model: ScriptedModel) -> None:
        self.web = web
        self.model = model
        self.people = {name: Visitor(web.url) for name in ("ann", "ben")}

    @property
    def pid(self) -> int:
        """Of gunicorn's first process."""
        return self.web.pid

    def gauge(self, name: str) -> float:
        """A figure of /metrics."""
        text = requests.get(f"{self.web.url}/metrics", timeout=10).text
        [value] = re.findall(rf"^thumbprint_{name} (\S+)$", text, re.MULTILINE)
        return float(value)

    def figures(self) -> tuple[int, int]:
        """Descriptors and threads, once nothing is open or running any more."""
        eventually(lambda: self.gauge("open_sockets") == self.gauge("running_turns") == 0, 30)
        return descriptors(self.pid), threads(self.pid)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with ScriptedModel() as model:
        model.answer_when("slowly", Answer(tokens=[f"{n} " for n in range(30)], delay_s=0.003))
        model.answer_when("break", Answer(tokens=["half", Fault.CUT]))
        web = AppServer(
            tmp_path_factory.mktemp("fuzzed"),
            MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}",
            OPENAI_BASE_URL=model.base_url,
            OPENAI_API_KEY="scripted-key",
            CHAT_MODEL="scripted",
            RATE_LIMIT_MESSAGES_PER_ADDRESS="1000000/minute",
        )
        web.start()
        try:
            fuzzed = Fuzzed(web, model)
            for visitor in fuzzed.people.values():
                with visitor.open_socket() as opened:
                    opened.ask("hello")
            yield fuzzed
        finally:
            web.terminate()


class Visits(RuleBasedStateMachine):
    """Two people with any number of sockets do whatever comes to mind.

    Every turn is remembered as `person, request ID`; its frames must always be the same ones.
    """

    fuzzed: Fuzzed
    sockets = Bundle("sockets")
    request_ids = st.sampled_from(["one", "two", "three", "four"])

    @initialize()
    def begin(self) -> None:
        self.visit = os.urandom(4).hex()
        self.opened = ExitStack()
        self.frames: dict[tuple[str, str], dict[int, Frame]] = {}
        self.conversations: dict[str, str] = {}

    @rule(target=sockets, who=st.sampled_from(["ann", "ben"]))
    def connect(self, who: str) -> tuple[str, ChatSocket]:
        return who, self.opened.enter_context(self.fuzzed.people[who].open_socket())

    @rule(
        at=sockets,
        name=request_ids,
        how=st.sampled_from(["at once", "slowly", "break"]),
        whose=st.sampled_from(["ann", "ben", ""]),
        replaces=st.none() | request_ids,
    )
    def ask(
        self, at: tuple[str, ChatSocket], name: str, how: str, whose: str, replaces: str | None
    ) -> None:
        who, opened = at
        asked: Frame = {"type": "message", "content": f"{how}, secret of {who}"}
        if whose in self.conversations:
            asked["conversation_id"] = self.conversations[whose]
        if replaces:
            asked["replaces"] = self.id_of(replaces)
        self.send(opened, {**asked, "client_request_id": self.id_of(name)})

    @rule(at=sockets, name=request_ids)
    def stop(self, at: tuple[str, ChatSocket], name: str) -> None:
        self.send(at[1], {"type": "stop", "client_request_id": self.id_of(name)})

    @rule(at=sockets, name=request_ids, after_seq=st.integers(-2, 12))
    def resume(self, at: tuple[str, ChatSocket], name: str, after_seq: int) -> None:
        resume = {"type": "resume", "client_request_id": self.id_of(name)}
        self.send(at[1], {**resume, "after_seq": after_seq})

    @rule(
        at=sockets,
        junk=st.text(max_size=40)
        | st.binary(max_size=40)
        | st.dictionaries(
            st.sampled_from(["type", "content", "client_request_id", "after_seq", "replaces"]),
            st.none() | st.integers() | st.sampled_from(["message", "stop", "resume", "\0", "x"]),
        ).map(json.dumps),
    )
    def babble(self, at: tuple[str, ChatSocket], junk: str | bytes) -> None:
        self.send(at[1], junk)

    @rule(at=sockets)
    def read(self, at: tuple[str, ChatSocket]) -> None:
        who, opened = at
        with suppress(TimeoutError, ConnectionClosed):
            while True:
                self.take(who, opened.receive(timeout=0.005))

    @rule(at=consumes(sockets), politely=st.booleans())
    def leave(self, at: tuple[str, ChatSocket], politely: bool) -> None:
        connection = at[1].connection
        if politely:
            connection.close()
        else:
            linger = struct.pack("ii", 1, 0)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close_socket()

    def teardown(self) -> None:
        if not hasattr(self, "opened"):
            return
        self.opened.close()
        for who, name in list(self.frames):
            self.expect_whole(who, name)

    def send(self, opened: ChatSocket, frame: Frame | str | bytes) -> None:
        with suppress(ConnectionClosed):
            opened.send(frame)

    def id_of(self, name: str) -> str:
        return f"{self.visit}-{name}"

    def take(self, who: str, frame: Frame) -> None:
        """Keep a frame that came to someone; nothing in it is of anybody else."""
        other = "ben" if who == "ann" else "ann"
        assert f"secret of {other}" not in json.dumps(frame)
        if frame["type"] == "error":
            assert frame["code"] in CODES, frame
        if "seq" not in frame:
            assert frame["type"] == "error"
            return
        if frame["type"] == "start":
            self.conversations[who] = frame["conversation_id"]
        kept = self.frames.setdefault((who, frame["client_request_id"]), {})
        assert kept.setdefault(frame["seq"], frame) == frame

    def expect_whole(self, who: str, name: str) -> None:
        """Read again from the first frame: contiguous, one ending, the same as was seen before."""
        with self.fuzzed.people[who].open_socket() as opened:
            opened.send({"type": "resume", "client_request_id": name, "after_seq": -1})
            whole: list[Frame] = []
            while not whole or whole[-1]["type"] not in ENDINGS:
                whole.append(opened.receive())
                self.take(who, whole[-1])
            assert [frame["seq"] for frame in whole] == list(range(len(whole)))
            assert self.frames[who, name].keys() == set(range(len(whole)))
            # Nothing comes after the end: the next thing that is said is about this.
            opened.send("{")
            assert opened.receive()["code"] == "invalid_json"


def test_any_course_of_visits_leaves_every_turn_whole_and_its_owners(fuzzed: Fuzzed) -> None:
    Visits.fuzzed = fuzzed
    run_state_machine_as_test(
        Visits, settings=settings(RULES, max_examples=VISITS, stateful_step_count=STEPS)
    )


frames = st.one_of(
    st.binary(max_size=300),
    st.builds(encode, st.integers(0, 15), st.binary(max_size=300), final=st.booleans()),
    st.builds(
        lambda head, size, rest: bytes([head, size]) + rest,
        *(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80)),
    ),
    st.builds(
        lambda text, keep: encode(TEXT, text.encode())[:keep],
        *(st.text(max_size=100), st.integers(0, 60)),
    ),
    st.sampled_from(
        [
            encode(TEXT, b'{"type":"message","content":"slowly"}'),
            encode(PING, b"x"),
            encode(CLOSE, b"\x03\xe8"),
            b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4),
            encode(TEXT, b"x" * 120_000),
        ]
    ),
)
header_lines = st.sampled_from(
    [
        *("Upgrade: websocket", "Upgrade: h2c", "Connection: Upgrade", "Connection: close"),
        *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 0", "Sec-WebSocket-Key: short"),
        *("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Extensions: x; y=\xff"),
        *("Sec-WebSocket-Protocol: chat, chat", "Origin: null", "Cookie: thumbprint=x.y.z"),
        *("Content-Length: -1", "Content-Length: 5", "Transfer-Encoding: chunked, chunked"),
        *("Transfer-Encoding: chunked", "Host: a b", "X: \0", ": empty", "no colon", " folded"),
    ]
)
handshakes = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda method, target, version, lines: (
            f"{method} {target} {version}\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
        ).encode("latin-1"),
        st.sampled_from(["GET", "POST", "get", "CONNECT", "G\0T", ""]),
        st.sampled_from(["/ws/chat", "/ws/chat?x=\xff", "*", "http://x/ws/chat", "/ws/%00chat"]),
        st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "x"]),
        st.lists(header_lines, max_size=8),
    ),
)
farewells = st.sampled_from(["wait", "half", "reset", "leave"])


@settings(RULES, max_examples=ASSAULTS)
@given(handshake=st.just(b"") | handshakes, sent=st.lists(frames, max_size=6), farewell=farewells)
def assail(fuzzed: Fuzzed, handshake: bytes, sent: list[bytes], farewell: str) -> None:
    """Send bytes, with a proper handshake before them unless there is one that is not."""
    target = urlsplit(fuzzed.web.url)
    with socket.create_connection((target.hostname, target.port), timeout=5) as connection:
        with suppress(OSError):
            connection.sendall(handshake or proper_handshake(fuzzed.people["ann"]))
            for piece in sent:
                connection.sendall(piece)
            if farewell == "half":
                connection.shutdown(socket.SHUT_WR)
            if farewell in {"half", "wait"}:
                connection.settimeout(0.02)
                while connection.recv(65536):
                    pass
        if farewell == "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def proper_handshake(visitor: Visitor) -> bytes:
    """What a browser asks."""
    lines = [
        *("GET /ws/chat HTTP/1.1", f"Host: {urlsplit(visitor.url).netloc}", "Upgrade: websocket"),
        *("Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
        *("Sec-WebSocket-Version: 13", f"Origin: {visitor.url}", f"Cookie: {visitor.cookie}"),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_any_bytes_leave_the_server_answering_and_nothing_open(fuzzed: Fuzzed) -> None:
    # Once, so that what is kept for good is there already: connections to the model, too.
    with ExitStack() as stack:
        visitor = Visitor(fuzzed.web.url)
        sockets = [stack.enter_context(visitor.open_socket()) for _ in range(AT_ONCE)]
        for opened, turn in [(one, one.send_message("slowly")) for one in sockets]:
            opened.read_until(turn)
    assail(fuzzed)
    before = fuzzed.figures()
    memory = resident_mb(fuzzed.pid)
    assail(fuzzed)
    with fuzzed.people["ben"].open_socket() as opened:
        assert opened.ask("still there?").text == "You said: still there?"
    # Each for itself: tuples are ordered by their first figure alone.
    eventually(
        lambda: all(now <= then for now, then in zip(fuzzed.figures(), before, strict=True)), 60
    )
    grown = resident_mb(fuzzed.pid) - memory
    if SOAK:
        figures = f"{before[0]} descriptors, {before[1]} threads, {grown:+.1f} MB"
        print(f"\n{2 * ASSAULTS} connections, {VISITS} visits: {figures}")  # noqa: T201
    assert grown < MOST_GROWTH_MB


def test_nothing_of_all_this_was_a_surprise(fuzzed: Fuzzed) -> None:
    assert fuzzed.web.is_running
    said = fuzzed.web.log()
    assert "Traceback" not in said
    assert "level=ERROR" not in said

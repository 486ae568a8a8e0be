"""Clients that know nothing of each other all get the same answers, and RFC 6455 is kept to.

Python's `websockets` and `websocket-client`, Node, Chromium and curl; and bytes by hand for what no
library sends.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import websocket
from playwright.sync_api import Browser

from e2e.raw_socket import CLOSE, PING, PONG, TEXT, RawSocket, encode
from e2e.visitor import Frame, Visitor
from tests.scripted_model import Answer
from tests.servers import Stack

CONTINUATION, BINARY = 0x0, 0x2
NODE_CLIENT = Path(__file__).parent / "websocket_client.mjs"
# The longest question there is, four bytes a character: a frame with a 16-bit length.
LONG = "😀" * 7_990
ANSWER = ["Grüße, ", "мир ", "😀", " " + "x" * 70_000]

# Sends frames, answers with what came up to the end of the last turn, and says how it was closed.
BROWSER_CLIENT = """
([url, sent, endings]) => new Promise((done, failed) => {
  const socket = new WebSocket(url);
  const received = [];
  socket.onopen = () => { for (const text of sent) socket.send(text); };
  socket.onmessage = ({ data }) => {
    received.push(JSON.parse(data));
    const ended = received.filter(({ type }) => type === "done" || type === "error").length;
    if (ended === endings) socket.close(1000, "thank you");
  };
  socket.onclose = ({ code, wasClean }) => done({ received, code, wasClean });
  socket.onerror = () => failed(new Error("the socket failed"));
})
"""

Closed = tuple[list[Frame], int]
Client = Callable[[Visitor, list[Frame]], Closed]


def with_websockets(visitor: Visitor, sent: list[Frame]) -> Closed:
    with visitor.open_socket() as socket:
        for frame in sent:
            socket.send(frame)
        received = read_endings(socket.receive, len(sent))
        socket.connection.close(1000, "thank you")
        return received, socket.connection.close_code or 0


def with_websocket_client(visitor: Visitor, sent: list[Frame]) -> Closed:
    socket = websocket.create_connection(
        visitor.url.replace("http", "ws", 1) + "/ws/chat",
        cookie=visitor.cookie,
        origin=visitor.url,
        timeout=20,
    )
    for frame in sent:
        socket.send(json.dumps(frame))
    received = read_endings(lambda: json.loads(socket.recv()), len(sent))
    socket.send_close(1000, b"thank you")
    opcode, payload = socket.recv_data(control_frame=True)
    socket.shutdown()  # type: ignore[no-untyped-call]
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    return received, code_of(payload)


def with_node(visitor: Visitor, sent: list[Frame]) -> Closed:
    node = shutil.which("node")
    assert node, "Node.js is missing: this test drives the socket with the WebSocket that it has."
    options = {"cookie": visitor.cookie, "origin": visitor.url, "sent": sent}
    ran = subprocess.run(
        [node, "--experimental-websocket", "--no-warnings", str(NODE_CLIENT)],
        input=json.dumps({"url": visitor.url.replace("http", "ws", 1) + "/ws/chat", **options}),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["wasClean"]
    return answer["received"], answer["code"]


def read_endings(receive: Callable[[], Frame], endings: int) -> list[Frame]:
    """Frames up to the end of that many turns."""
    received: list[Frame] = []
    while sum(frame["type"] in {"done", "error"} for frame in received) < endings:
        received.append(receive())
    return received


def code_of(payload: bytes) -> int:
    """The close code of a close frame."""
    return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005


def questions() -> list[Frame]:
    """One short and one as long as can be, at once."""
    return [
        {"type": "message", "content": f"tell {text}", "client_request_id": name}
        for name, text in (("short", "ä"), ("long", LONG))
    ]


def expect_answers(received: list[Frame]) -> None:
    """Both turns are whole, in order, and end once."""
    for name in ("short", "long"):
        frames = [frame for frame in received if frame["client_request_id"] == name]
        assert [frame["seq"] for frame in frames] == list(range(len(frames)))
        kinds = [frame["type"] for frame in frames]
        assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("start", "done", {"token"})
        assert "".join(frame.get("content", "") for frame in frames) == "".join(ANSWER)


@pytest.mark.parametrize("client", [with_websockets, with_websocket_client, with_node])
def test_every_client_gets_the_same_answers_and_a_clean_goodbye(
    stack: Stack, visitor: Visitor, client: Client
) -> None:
    stack.model.answer_when("tell", Answer(tokens=ANSWER))
    received, code = client(visitor, questions())
    expect_answers(received)
    assert code == 1000
    assert {"".join(one.question.split()[1:]) for one in stack.model.asked("tell")} == {"ä", LONG}


def test_a_browser_gets_the_same_answers_and_a_clean_goodbye(
    stack: Stack, browser: Browser
) -> None:
    stack.model.answer_when("tell", Answer(tokens=ANSWER))
    context = browser.new_context(base_url=stack.url)
    try:
        page = context.new_page()
        page.goto("/my-feedback")
        sent = [json.dumps(frame) for frame in questions()]
        url = stack.web.socket_url
        answer: dict[str, Any] = page.evaluate(BROWSER_CLIENT, [url, sent, len(sent)])
    finally:
        context.close()
    expect_answers(answer["received"])
    assert (answer["code"], answer["wasClean"]) == (1000, True)


def test_curl_reads_the_stream_and_resumes_it(stack: Stack, visitor: Visitor) -> None:
    stack.model.answer_when("tell", Answer(tokens=ANSWER))
    body = json.dumps({"message": "tell ä", "client_request_id": "curl"})

    def read(*headers: str) -> list[tuple[int, Frame]]:
        named = [part for header in headers for part in ("--header", header)]
        curl = ["curl", "--silent", "--show-error", "--fail-with-body", "--no-buffer", *named]
        curl += ["--cookie", visitor.cookie, "--json", body, f"{visitor.url}/chat/stream"]
        ran = subprocess.run(curl, capture_output=True, check=False, timeout=60)
        assert ran.returncode == 0, ran.stderr
        events = [event.split("\n") for event in ran.stdout.decode().split("\n\n") if event]
        return [
            (int(number.removeprefix("id: ")), json.loads(data.removeprefix("data: ")))
            for number, data in events
        ]

    whole = read()
    assert [number for number, _ in whole] == [frame["seq"] for _, frame in whole]
    assert "".join(frame.get("content", "") for _, frame in whole) == "".join(ANSWER)
    assert whole[-1][1]["type"] == "done"
    assert read("Last-Event-ID: 0") == whole[1:]


def ask_frame(text: str, **more: Any) -> bytes:
    """The JSON of a message, its characters as they are."""
    return json.dumps({"type": "message", "content": text, **more}, ensure_ascii=False).encode()


def fragments(payload: bytes, size: int, between: bytes = b"") -> bytes:
    """A text message in fragments of `size` bytes, with `between` after each."""
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)]
    last = len(pieces) - 1
    return b"".join(
        encode(CONTINUATION if index else TEXT, piece, final=index == last)
        + (between if index < last else b"")
        for index, piece in enumerate(pieces)
    )


def test_a_character_may_be_torn_apart_by_fragments_with_pings_between(visitor: Visitor) -> None:
    with RawSocket(visitor) as socket:
        asked = ask_frame("übel 😀 Ж", client_request_id="torn")
        ping = encode(PING, b"still there?")
        socket.send_bytes(fragments(asked, 1, ping))
        pongs = 0
        text = ""
        while True:
            opcode, payload = socket.receive()
            if opcode == PONG:
                assert payload == b"still there?"
                pongs += 1
                continue
            frame = json.loads(payload)
            text += frame.get("content", "")
            if frame["type"] == "done":
                break
    assert text == "You said: übel 😀 Ж"
    assert pongs == len(asked) - 1


def test_empty_fragments_and_unasked_pongs_mean_nothing(visitor: Visitor) -> None:
    with RawSocket(visitor) as socket:
        payload = ask_frame("in between")
        socket.send_bytes(encode(PONG, b"unasked") + encode(TEXT, b"", final=False))
        socket.send_bytes(encode(CONTINUATION, payload, final=False) + encode(CONTINUATION, b""))
        assert socket.receive_json()["type"] == "start"


def test_a_ping_gets_its_own_words_back_in_the_middle_of_an_answer(
    stack: Stack, visitor: Visitor
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("slowly", Answer(tokens=["one", gate, " two"]))
    with RawSocket(visitor) as socket:
        socket.send_bytes(encode(TEXT, ask_frame("slowly")))
        assert [socket.receive_json()["type"] for _ in range(2)] == ["start", "token"]
        socket.send_bytes(encode(PING, b"\x00\xff" * 62))
        assert socket.receive() == (PONG, b"\x00\xff" * 62)
        gate.release()
        assert socket.receive_json()["content"] == " two"


HEAD = b"\x80" + bytes(4)  # a mask of zeros, no payload

VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "text that is not UTF-8": (encode(TEXT, b'{"type": "\xff"}'), 1007),
    "text that ends inside a character": (encode(TEXT, b'"\xf0\x9f\x98'), 1007),
    "an overlong encoding": (encode(TEXT, b'"\xc0\xaf"'), 1007),
    "a surrogate": (encode(TEXT, b'"\xed\xa0\x80"'), 1007),
    "beyond Unicode": (encode(TEXT, b'"\xf4\x90\x80\x80"'), 1007),
    "a torn character that never ends": (fragments(b'"\xf0\x9f\x98"', 2), 1007),
    "a close reason that is not UTF-8": (encode(CLOSE, b"\x03\xe8\xff"), 1007),
    "a frame without a mask": (b"\x81\x02{}", 1002),
    "a ping without a mask": (b"\x89\x00", 1002),
    **{f"reserved bit {bit:#x}": (bytes([0x81 | bit]) + HEAD, 1002) for bit in (64, 32, 16)},
    **{f"opcode {code:#x}": (encode(code, b""), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 15)},
    "a ping in fragments": (encode(PING, b"", final=False), 1002),
    "a ping that is too long": (encode(PING, b"x" * 126), 1002),
    "a continuation of nothing": (encode(CONTINUATION, b"x"), 1002),
    "a message within a message": (encode(TEXT, b"{", final=False) + encode(TEXT, b"}"), 1002),
    "a length in more bytes than it takes": (b"\x81\xfe\x00\x02" + bytes(4) + b"{}", 1002),
    "a length beyond 63 bits": (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1002),
    "a close frame with half a code": (encode(CLOSE, b"\x03"), 1002),
    **{
        f"close code {code}": (encode(CLOSE, struct.pack("!H", code)), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "a message that is too big": (encode(TEXT, b"x" * 200_000), 1009),
    "a message whose fragments are too big": (fragments(b"x" * 200_000, 10_000), 1009),
    "a message far too big": (encode(TEXT, b"x" * 8_000_000), 1009),
    "a binary message that is too big": (encode(BINARY, b"\xff" * 200_000), 1009),
}


def read_to_the_end(socket: RawSocket) -> list[tuple[int, bytes]]:
    """Every frame until the server closes the connection."""
    frames = []
    with suppress(ConnectionError):
        while True:
            frames.append(socket.receive(timeout=10))
    return frames


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_breach_of_the_protocol_is_named_and_ends_the_connection(
    visitor: Visitor, violation: str
) -> None:
    sent, code = VIOLATIONS[violation]
    with RawSocket(visitor) as socket:
        socket.send_bytes(sent)
        [(opcode, payload)] = read_to_the_end(socket)
    assert (opcode, code_of(payload)) == (CLOSE, code)


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 4999])
def test_a_goodbye_is_said_back(visitor: Visitor, code: int) -> None:
    with RawSocket(visitor) as socket:
        socket.send_bytes(encode(CLOSE, struct.pack("!H", code) + "тихо".encode()))
        [(opcode, payload)] = read_to_the_end(socket)
    assert (opcode, code_of(payload)) == (CLOSE, code)


def test_a_goodbye_without_a_code_is_said_back_and_nothing_after_it_counts(
    stack: Stack, visitor: Visitor
) -> None:
    with RawSocket(visitor) as socket:
        socket.send_bytes(encode(CLOSE, b"") + encode(TEXT, ask_frame("after the end")))
        assert read_to_the_end(socket) == [(CLOSE, b"")]
    assert stack.model.asked("after the end") == []


def test_nothing_follows_the_goodbye_however_fast_the_answer_comes(
    stack: Stack, visitor: Visitor
) -> None:
    stack.model.answer_when("flood", Answer(tokens=["x" * 20] * 15_000, delay_s=0.0005))
    with RawSocket(visitor) as socket:
        socket.send_bytes(encode(TEXT, ask_frame("flood me", client_request_id="flood")))
        for _ in range(20):
            socket.receive()
        socket.send_bytes(encode(CLOSE, b"\x03\xe8"))
        frames = read_to_the_end(socket)
    assert frames[-1] == (CLOSE, b"\x03\xe8")
    assert CLOSE not in [opcode for opcode, _ in frames[:-1]]
    visitor.send("POST", "/chat/stop", json={"client_request_id": "flood"})


def test_who_only_stops_sending_is_gone_and_the_answer_is_kept(
    stack: Stack, visitor: Visitor
) -> None:
    gate = stack.model.gate()
    stack.model.answer_when("half", Answer(tokens=["one", gate, " two"]))
    with RawSocket(visitor) as socket:
        socket.send_bytes(encode(TEXT, ask_frame("half closed", client_request_id="half")))
        assert [socket.receive_json()["type"] for _ in range(2)] == ["start", "token"]
        socket.stop_sending()
        assert read_to_the_end(socket) == []
    gate.release()
    with visitor.open_socket() as back:
        back.send({"type": "resume", "client_request_id": "half", "after_seq": 0})
        assert read_endings(back.receive, 1)[-1]["type"] == "done"

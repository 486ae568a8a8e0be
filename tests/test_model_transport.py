"""The requests to the model: answers in every shape HTTP has for them, and through a proxy."""

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx2
import pytest

from app.llm.transport import ModelTransport
from tests.processes import free_port
from tests.waiting import eventually

PIECES = (b"one ", b"two ", b"three")


class Endpoint(BaseHTTPRequestHandler):
    """Sends each piece when it is told to, in chunks, by a length, or until the connection ends."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]]
    headers_seen: ClassVar[list[dict[str, str]]]
    go: ClassVar[threading.Semaphore]

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.headers_seen.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        shape = self.path.rsplit("/", 1)[-1]
        chunked = shape in ("chunks", "gzip")
        squeeze = zlib.compressobj(wbits=31)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif shape == "length":
            self.send_header("Content-Length", str(len(b"".join(PIECES))))
        else:
            self.send_header("Connection", "close")
        if shape == "gzip":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        for piece in PIECES:
            self.go.acquire()
            if shape == "gzip":
                piece = squeeze.compress(piece) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@contextmanager
def endpoint() -> Iterator[tuple[type[Endpoint], str]]:
    class One(Endpoint):
        asked: ClassVar = []
        headers_seen: ClassVar = []
        go: ClassVar = threading.Semaphore(0)

    with ThreadingHTTPServer(("127.0.0.1", 0), One) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield One, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("shape", ["chunks", "gzip", "length", "until it closes"])
def test_each_piece_is_there_before_the_next_is_sent(shape: str) -> None:
    with endpoint() as (handler, url), httpx2.Client(transport=ModelTransport(url)) as client:
        where = f"{url}/{shape.split(' ', maxsplit=1)[0]}"
        with client.stream("POST", where, json={"some": "thing"}) as answer:
            pieces = answer.iter_raw()
            for piece in PIECES:
                handler.go.release()
                assert next(pieces) == piece
            assert list(pieces) == []


def test_a_compressed_answer_is_read_by_those_who_would_decompress_it_themselves() -> None:
    with endpoint() as (handler, url), httpx2.Client(transport=ModelTransport(url)) as client:
        for _ in PIECES:
            handler.go.release()
        assert client.post(f"{url}/gzip", json={}).content == b"".join(PIECES)
        assert "gzip" in handler.headers_seen[0]["accept-encoding"]


def test_a_connection_serves_one_answer_after_another() -> None:
    with endpoint() as (handler, url), httpx2.Client(transport=ModelTransport(url)) as client:
        for _ in range(3):
            for _ in PIECES:
                handler.go.release()
            assert client.post(f"{url}/chunks", json={}).content == b"".join(PIECES)
        assert handler.asked == ["/chunks"] * 3


def test_whoever_reads_can_be_interrupted() -> None:
    with endpoint() as (handler, url), httpx2.Client(transport=ModelTransport(url)) as client:
        came: list[bytes] = []
        failed: list[Exception] = []
        with client.stream("POST", f"{url}/chunks", json={}) as answer:

            def read() -> None:
                try:
                    came.extend(answer.iter_bytes())
                except httpx2.ReadError as error:
                    failed.append(error)

            reading = threading.Thread(target=read)
            reading.start()
            handler.go.release()
            eventually(lambda: len(handler.asked) == 1)
            answer.extensions["interrupt"]()
            reading.join(5)
            assert failed
        for _ in PIECES:
            handler.go.release()
        answer.extensions["interrupt"]()  # of one that is over: nothing happens


def test_failures_are_what_httpx_calls_them() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    client = httpx2.Client(transport=ModelTransport(nowhere))
    with client, pytest.raises(httpx2.ConnectError):
        client.post(nowhere, json={})
    with endpoint() as (handler, url), httpx2.Client(transport=ModelTransport(url)) as client:
        with pytest.raises(httpx2.ReadTimeout):
            client.post(f"{url}/chunks", json={}, timeout=0.05)
        for _ in PIECES:
            handler.go.release()


@pytest.mark.parametrize("shape", ["chunks", "length"])
def test_an_answer_has_so_much_time_in_all_however_often_something_comes(shape: str) -> None:
    with endpoint() as (handler, url), httpx2.Client(transport=ModelTransport(url)) as client:
        with client.stream("POST", f"{url}/{shape}", json={}, timeout=0.3) as answer:
            pieces = answer.iter_bytes()
            handler.go.release()
            assert next(pieces) == PIECES[0]
            with pytest.raises(httpx2.ReadTimeout):
                next(pieces)
        for _ in PIECES:
            handler.go.release()


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_of_the_environment_is_used_with_its_password_and_not_where_it_is_not_to_be(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with endpoint() as (handler, url):
        for _ in range(6):
            handler.go.release()
        place = url.removeprefix("http://")
        monkeypatch.setenv("http_proxy", f"{scheme}ann:p%40ss@{place}")
        monkeypatch.setenv("no_proxy", place)
        far = f"http://127.0.0.2:{free_port()}"
        with httpx2.Client(transport=ModelTransport(far)) as client:
            assert client.post(f"{far}/v1/chunks", json={}).content == b"".join(PIECES)
        with httpx2.Client(transport=ModelTransport(url)) as client:
            assert client.post(f"{url}/chunks", json={}).content == b"".join(PIECES)
        assert handler.asked == [f"{far}/v1/chunks", "/chunks"]
        assert handler.headers_seen[0]["proxy-authorization"] == "Basic YW5uOnBAc3M="
        assert "proxy-authorization" not in handler.headers_seen[1]
        client = httpx2.Client(transport=ModelTransport(far, trust_env=False))
        with client, pytest.raises(httpx2.ConnectError):
            client.post(f"{far}/v1/chunks", json={})

"""How requests to the model travel: httpx's interface, over urllib3.

An answer comes as one small chunk a token. httpx's own transport spends more on each of them than
everything else that happens to a token taken together; urllib3 spends a third of that.
See https://www.python-httpx.org/advanced/transports/ and https://urllib3.readthedocs.io
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.request import getproxies, proxy_bypass

import httpx2
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.response import BaseHTTPResponse

# Connections kept for the next answers; more may be open at once.
_KEPT = 100
_READ_AT_ONCE = 64 * 1024
# urllib3 undoes compression, so whoever reads can take the bytes as they are (`iter_raw`).
_ACCEPTED = urllib3.make_headers(accept_encoding=True)
_UNDONE = "content-encoding"

# It warns of each connection that is not kept.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class ModelTransport(httpx2.BaseTransport):
    """Sends requests and streams the answers, decompressed, piece by piece as they come.

    The extension `interrupt` of a response is a callable that ends whoever reads it, from any
    thread.
    """

    def __init__(self, url: str, *, trust_env: bool = True) -> None:
        """`url` is where requests go; with `trust_env` through the proxy the environment names."""
        proxy = _proxy_for(httpx2.URL(url)) if trust_env else None
        trusted = httpx2.create_ssl_context()
        self._connections = (
            urllib3.ProxyManager(
                proxy, proxy_headers=_credentials(proxy), maxsize=_KEPT, ssl_context=trusted
            )
            if proxy
            else urllib3.PoolManager(maxsize=_KEPT, ssl_context=trusted)
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; returns once the head of its answer is there. Raises httpx's errors."""
        patience = request.extensions["timeout"]
        with _translated():
            answer = self._connections.urlopen(
                request.method,
                str(request.url),
                body=request.read(),
                headers={**request.headers, **_ACCEPTED},
                timeout=urllib3.Timeout(connect=patience["connect"], read=patience["read"]),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=True,
            )
        return httpx2.Response(
            answer.status,
            headers=[one for one in answer.headers.items() if one[0].lower() != _UNDONE],
            stream=_Body(answer, patience["read"]),
            extensions={"interrupt": lambda: _interrupt(answer)},
        )

    def close(self) -> None:
        """Close the connections that were kept."""
        self._connections.clear()


class _Body(httpx2.SyncByteStream):
    """What comes after the head, for at most `patience_s` in all.

    One timer for the whole of it: a timeout for each read costs a tenth of what reading does.
    """

    def __init__(self, answer: BaseHTTPResponse, patience_s: float) -> None:
        self._answer = answer
        self._patience_s = patience_s
        self._ran_out = False

    def __iter__(self) -> Iterator[bytes]:
        answer = self._answer
        sock = getattr(answer.connection, "sock", None)  # None where the connection ends with it
        if sock:
            sock.settimeout(None)
        timer = threading.Timer(self._patience_s, self._run_out)
        timer.daemon = True
        timer.start()
        try:
            with _translated():
                if answer.chunked:
                    yield from answer.read_chunked(_READ_AT_ONCE, decode_content=True)
                else:  # whatever is there, instead of waiting until there is that much
                    yield from iter(lambda: answer.read1(_READ_AT_ONCE, decode_content=True), b"")
        except httpx2.ReadError:
            if not self._ran_out:
                raise
        finally:
            timer.cancel()
        if self._ran_out:
            raise httpx2.ReadTimeout("the answer took too long")

    def close(self) -> None:
        self._answer.close()

    def _run_out(self) -> None:
        self._ran_out = True
        _interrupt(self._answer)


def _interrupt(answer: BaseHTTPResponse) -> None:
    # One that has been read to its end has given its connection back.
    with suppress(OSError, ValueError, RuntimeError):
        answer.shutdown()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn urllib3's errors into httpx's, which the OpenAI SDK knows."""
    try:
        yield
    except NewConnectionError as error:
        raise httpx2.ConnectError(str(error)) from error
    except ConnectTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except ReadTimeoutError as error:
        raise httpx2.ReadTimeout(str(error)) from error
    # A connection that is shut down while it is read is a ValueError with TLS.
    except (HTTPError, OSError, ValueError) as error:
        if any(isinstance(cause, TimeoutError) for cause in error.args):  # while the request went
            raise httpx2.WriteTimeout(str(error)) from error
        raise httpx2.ReadError(str(error)) from error


def _proxy_for(url: httpx2.URL) -> str | None:
    if proxy_bypass(url.netloc.decode()):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _credentials(proxy: str) -> dict[str, str]:
    auth = urllib3.util.parse_url(proxy).auth_decoded_joined
    return dict(urllib3.make_headers(proxy_basic_auth=auth)) if auth else {}

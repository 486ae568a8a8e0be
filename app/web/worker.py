"""gunicorn's gevent worker, taught to leave in order.

On SIGTERM no new turn is taken, running ones finish or, when the time is almost up, end as
`interrupted`; sockets close (1012) once nothing that runs here streams over them, and at the very
end in any case (1001); and connections on which nothing is being asked are closed.
"""

import gc
import socket
import sys
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

import gevent
from gunicorn.errors import AppImportError
from gunicorn.workers.ggevent import GeventWorker

from app.errors import ThumbprintError
from app.web.afterwards import expect_more
from app.web.kept_connections import KeptConnections
from app.web.services import Services

# How long a native thread (SQLite, rendering) waits for busy streams at each of its calls, a dozen
# to a transaction. With Python's 5 ms one took 20 ms there, and the first token waits for two.
SWITCH_INTERVAL_S = 0.0005
# A peer that takes no bytes for this long is gone, whatever its keep-alives say.
DEAD_PEER_MS = 30_000
# While leaving, how long a connection that was just made may take to send its request.
LAST_REQUEST_S = 1.0
# Before the graceful timeout is over: time to save what is still running, and to say so.
LAST_WORDS_S = 5.0
# And time to say goodbye to those who have still not got all of it.
GOODBYE_S = 1.0


def give_up_when_dead(client: socket.socket) -> None:
    """Let the kernel end this connection once its peer has taken nothing for too long."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and client.family != socket.AF_UNIX:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)


class ChatWorker(GeventWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """One worker process of the chat."""

    def init_process(self) -> None:
        """Start serving; gunicorn calls this in the new process and it returns at its end."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._connections = KeptConnections()
        super().init_process()

    def load_wsgi(self) -> None:
        """Build the app. What is in the way is one line on the screen, and gunicorn ends."""
        try:
            super().load_wsgi()
            # What is there now stays: the collector need not look through all of it again.
            gc.freeze()
        except ThumbprintError as error:
            raise AppImportError(error.message) from error

    def run(self) -> None:
        """Serve until told to stop, then let turns that nobody watches finish too."""
        engine = self._services.engine
        engine.turn_log.start(engine.stop_here)
        self._services.watch.start()
        self._services.occupancy.start()
        super().run()
        engine.wait_until_idle(self.cfg.graceful_timeout)
        engine.turn_log.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: leave in order. A signal handler must not block, so the waiting is spawned."""
        super().handle_exit(sig, frame)
        if not self.wsgi:
            return  # told to stop before it had begun
        self._services.engine.refuse_new_turns()
        gevent.spawn(self._services.sockets.drain)
        for before_the_end_s, act in (
            (LAST_WORDS_S, self._services.engine.interrupt_running),
            (GOODBYE_S, self._services.sockets.close_all),
        ):
            gevent.spawn_later(max(0.0, self.cfg.graceful_timeout - before_the_end_s), act)
        self._connections.close(LAST_REQUEST_S)

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection, and the socket that it may become.

        A peer that takes no bytes for too long is given up.
        """
        give_up_when_dead(client)
        afterwards = expect_more()
        with self._connections.opened():
            super().handle(listener, client, addr)
        while afterwards:
            afterwards.pop()()

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Bound the wait for a connection's next request; gunicorn enters it for each."""
        return self._connections.waiting(self.cfg.keepalive if self.alive else LAST_REQUEST_S)

    @property
    def _services(self) -> Services:
        found: Services = self.wsgi.extensions["thumbprint"]
        return found

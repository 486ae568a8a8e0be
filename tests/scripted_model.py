"""A real OpenAI-compatible HTTP server inside the test process, answering as a test scripted it.

Answers are chosen by the last user message (`answer_when`), then from a queue (`enqueue`), and
else echo the question. Everything asked of it, and every connection a client closed early, is
recorded with times of `time.monotonic()`.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Self

from tests.completions_endpoint import CompletionsServer, ModelRequest
from tests.scripted_answer import Answer, Fault, Gate, echo

__all__ = ["Answer", "Fault", "Gate", "ModelRequest", "ScriptedModel"]


class ScriptedModel:
    """The server. Use it as a context manager, or start() and stop() it."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.requests: list[ModelRequest] = []
        self._lock = threading.Lock()
        self._queue: deque[Answer] = deque()
        self._rules: list[tuple[str, deque[Answer]]] = []
        self._gates: list[Gate] = []
        self._server: CompletionsServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self.stop()

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL must be."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Listen; again on the same port after a stop."""
        self._server = CompletionsServer(self.port, self.take)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on and cut the open ones."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_connections()
            self._server = None

    def enqueue(self, *answers: Answer) -> None:
        """Give these answers, in order, to the next requests no rule matches."""
        with self._lock:
            self._queue.extend(answers)

    def answer_when(self, text: str, *answers: Answer) -> None:
        """Answer questions that contain `text`: with these in turn, the last one for good.

        A later rule goes before an earlier one.
        """
        with self._lock:
            self._rules.insert(0, (text, deque(answers)))

    def gate(self) -> Gate:
        """A new gate; whatever happens it is released by clear()."""
        gate = Gate()
        with self._lock:
            self._gates.append(gate)
        return gate

    def asked(self, text: str) -> list[ModelRequest]:
        """The requests whose last user message contains `text`, oldest first."""
        with self._lock:
            return [request for request in self.requests if text in request.question]

    def clear(self) -> None:
        """Forget rules, queue and requests, and let every held answer go."""
        with self._lock:
            gates, self._gates = self._gates, []
            self._queue.clear()
            self._rules.clear()
            self.requests.clear()
        for gate in gates:
            gate.release()

    def take(self, request: ModelRequest) -> Answer:
        """Record a request and choose its answer (the handler's side)."""
        with self._lock:
            self.requests.append(request)
            for text, answers in self._rules:
                if text in request.question:
                    return answers.popleft() if len(answers) > 1 else answers[0]
            return self._queue.popleft() if self._queue else echo(request.question)

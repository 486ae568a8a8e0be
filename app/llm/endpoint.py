"""Answers by an OpenAI-compatible endpoint: OPENAI_BASE_URL, or the embedded model.

The SDK sends the request and raises its errors; reading the stream's lines is ours, because the
SDK's chunk objects cost several times as much as everything else that happens to a token.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, cast

import gevent
import httpx2
import openai
import orjson

from app.embedded_endpoint import read_endpoint
from app.errors import ModelError
from app.llm.agent import Completion, Message
from app.llm.transport import ModelTransport
from app.settings import Settings
from app.tracing.spans import TokenUsage

# The demonstration model can loop, so its answers are cut; other endpoints know their own limits.
_EMBEDDED_OPTIONS = {"max_tokens": 512, "temperature": 0.2}
# What fits the embedded model's context of 4,096 tokens beside its answer, in characters.
_EMBEDDED_CONTEXT_CHARS = 9_000
_LONGEST_LINE = 1_000_000


class EndpointError(Exception):
    """What the endpoint itself says went wrong."""


class EndpointModel:
    """Completions by an OpenAI-compatible endpoint (OPENAI_BASE_URL, or the built-in model)."""

    def __init__(self, settings: Settings) -> None:
        self._embedded_in: Path | None = settings.data_dir if settings.uses_embedded_model else None
        self._model = settings.chat_model
        url = settings.openai_base_url or "http://127.0.0.1"
        self._client = openai.OpenAI(
            base_url=url,
            api_key=settings.openai_api_key or "none",
            # The SDK would wait between tries where nobody can stop it; people have a Retry button.
            max_retries=0,
            timeout=httpx2.Timeout(settings.chat_turn_timeout_s, connect=5.0),
            http_client=openai.DefaultHttpxClient(
                # A proxy in the environment is not for a model on this machine.
                transport=ModelTransport(url, trust_env=self._embedded_in is None),
            ),
        )

    def complete(self, messages: Sequence[Message]) -> Completion:
        """Prepare a streamed chat completion. Raises `ModelError` when there is no endpoint."""
        if self._embedded_in is None:
            return _StreamedCompletion(self._client, self._model, messages, {})
        endpoint = read_endpoint(self._embedded_in)
        if endpoint is None:
            raise ModelError(
                "The built-in model is not running yet. Try again in a moment.",
                code="model_unreachable",
            )
        client = self._client.with_options(base_url=endpoint.base_url, api_key=endpoint.api_key)
        fitting = _fit(messages, _EMBEDDED_CONTEXT_CHARS)
        return _StreamedCompletion(client, endpoint.model, fitting, _EMBEDDED_OPTIONS)

    def close(self) -> None:
        """Close the connections kept for the next answers."""
        self._client.close()


class _StreamedCompletion(Completion):
    def __init__(
        self,
        client: openai.OpenAI,
        model: str,
        messages: Sequence[Message],
        options: dict[str, float],
    ) -> None:
        self.model: str = model
        self._client = client
        self._messages = messages
        self._options = options
        self._cancelled = False
        self._interrupt: Callable[[], None] | None = None
        self._reader: Any = None

    def __iter__(self) -> Iterator[str]:
        # The SDK's raw response keeps its authentication and errors but leaves the lines to us:
        # its own chunk objects cost several times as much as everything else a token passes.
        self._reader = gevent.getcurrent()
        if self._cancelled:
            return
        try:
            with self._client.chat.completions.with_streaming_response.create(
                model=self.model,
                # It would go through every message for what needs converting; in ours nothing does.
                messages=(),
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"messages": list(self._messages), **self._options},
            ) as response:
                self._interrupt = response.http_response.extensions["interrupt"]
                if not self._cancelled:
                    # Closed when it fails, too: an error's traceback would keep it, and its timer.
                    with closing(
                        cast(Generator[bytes, None, None], response.http_response.iter_raw())
                    ) as chunks:
                        yield from self._read(chunks)
        except (openai.APIError, httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            if not self._cancelled:
                raise _explain(error) from error
        except gevent.GreenletExit:
            pass  # by `cancel`, before there was a socket to wake
        finally:
            self._interrupt = self._reader = None

    def cancel(self) -> None:
        self._cancelled = True
        if (interrupt := self._interrupt) is not None:
            interrupt()
        elif isinstance(self._reader, gevent.Greenlet):
            # Still connecting or waiting for the headers. A plain thread notices when they come.
            self._reader.kill(block=False)

    def _read(self, chunks: Iterator[bytes]) -> Iterator[str]:
        """Yield the text of each network read as one piece: what arrives together stays so."""
        rest = b""
        for chunk in chain(chunks, (b"\n",)):  # the last line may lack its end
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise ModelError("The model's answer could not be understood.")
            text, failure = self._take_lines(lines)
            if text:
                yield text
            if failure:
                raise failure
            if self._cancelled:
                return
        if self._filtered:
            raise ModelError(
                "The model's provider withheld the rest of this answer.", code="model_filtered"
            )
        if not self._heard:
            raise ModelError("The model's answer could not be understood.")
        if not self._finished:
            raise ModelError("The model stopped in the middle of its answer.", code="model_cut_off")

    _heard = False
    _finished = False
    _filtered = False

    def _take_lines(self, lines: list[bytes]) -> tuple[str, ModelError | None]:
        """The text of these lines, and what went wrong after it."""
        text = ""
        for line in lines:
            if line.startswith(b"data:"):
                self._heard = True
                data = line[5:].strip()
                if data == b"[DONE]":
                    self._finished = True
                    continue
                try:
                    text += self._take(data)
                except ModelError as error:
                    return text, error
        return text, None

    def _take(self, data: bytes) -> str:
        try:
            chunk: dict[str, Any] = orjson.loads(data)
            if chunk.get("error"):
                raise ModelError(
                    "The model reported an error in the middle of its answer."
                ) from EndpointError(str(chunk["error"]))
            if usage := chunk.get("usage"):
                self.usage = _counted(usage) or self.usage
            choices = chunk.get("choices") or ()
            text = ""
            for choice in choices:
                text += (choice.get("delta") or {}).get("content") or ""
                if reason := choice.get("finish_reason"):
                    self._finished = True
                    self._filtered = reason == "content_filter"
                    self.finish_reason = "length" if reason == "length" else "stop"
            return text
        except (orjson.JSONDecodeError, AttributeError, TypeError) as error:
            raise ModelError("The model's answer could not be understood.") from error


def _counted(usage: dict[str, object]) -> TokenUsage | None:
    """The token counts, where the endpoint gave both: an answer does not fail for want of them."""
    asked, answered = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(asked, int) and isinstance(answered, int):
        return TokenUsage(asked, answered)
    return None


def _fit(messages: Sequence[Message], most_chars: int) -> list[Message]:
    """Leave out the oldest turns, two at a time, until the rest is short enough.

    The system prompt and the question always stay. Steps of two turns keep the beginning of the
    prompt the same for longer, which the model rewards with a quicker first token.
    """
    system, *rest = messages
    while len(rest) > 1 and sum(len(message["content"]) for message in rest) > most_chars:
        rest = rest[4:] or rest[-1:]
    return [system, *rest]


def _explain(error: Exception) -> ModelError:
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return ModelError(
                "The model refused our key. The operator needs to check OPENAI_API_KEY.",
                code="model_unauthorized",
                retryable=False,
            )
        case openai.RateLimitError():
            return ModelError(
                "The model is busy. Try again in a moment.", code="model_rate_limited"
            )
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return ModelError("The model took too long to answer.", code="model_timeout")
        case openai.APIConnectionError():
            return ModelError("The model cannot be reached.", code="model_unreachable")
        case openai.APIError():
            return ModelError("The model failed to answer.")
        case _:
            return ModelError(
                "The model stopped in the middle of its answer.", code="model_cut_off"
            )

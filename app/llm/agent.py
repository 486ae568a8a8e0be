"""The seam for your own chain or agent: messages in, an iterator of text out (CHAT_AGENT).

Whatever answers, an endpoint or an agent, does so as a `Completion`, which can be cancelled from
another thread.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol, TypedDict

from app.errors import ModelError, SettingsError
from app.tracing.spans import TokenUsage


class Message(TypedDict):
    """One message of the conversation, in OpenAI's shape."""

    role: str
    content: str


class Agent(Protocol):
    """Your own chain or agent: gets the conversation, yields pieces of the answer's text."""

    def __call__(self, messages: Sequence[Message], /) -> Iterator[str]:
        """Answer the last of `messages`, the oldest of which is the system prompt."""
        ...


class Completion(ABC):
    """One answer in the making. Iterate it once; it raises `ModelError` when the model fails."""

    model: str | None = None
    finish_reason: str = "stop"
    usage: TokenUsage | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[str]:
        """Yield pieces of text as they arrive."""

    @abstractmethod
    def cancel(self) -> None:
        """End the iteration soon, from any thread, and release what it holds upstream."""

    def cut(self) -> None:
        """Take no more of an answer that is long enough."""
        self.finish_reason = "length"
        self.cancel()


class Model(Protocol):
    """Starts completions; `connect` makes the one the settings name."""

    def complete(self, messages: Sequence[Message], /) -> Completion:
        """Prepare an answer to `messages`; nothing is sent until it is iterated."""
        ...


class AgentModel:
    """Completions by a function of your own (CHAT_AGENT)."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def complete(self, messages: Sequence[Message]) -> Completion:
        """Prepare a call of the agent."""
        return _AgentCompletion(self._agent, messages)


class _AgentCompletion(Completion):
    def __init__(self, agent: Agent, messages: Sequence[Message]) -> None:
        self._agent = agent
        self._messages = messages
        self._cancelled = False

    def __iter__(self) -> Iterator[str]:
        try:
            pieces = self._agent(self._messages)
            try:
                for piece in pieces:
                    if self._cancelled:
                        return
                    # A lone surrogate is no character and cannot be sent or stored. Not
                    # `piece.isascii()`: bytes have that too, and are no text.
                    yield (
                        piece if str.isascii(piece) else piece.encode("utf-8", "replace").decode()
                    )
            finally:
                # A generator's own `finally` runs now, in this thread, not when it is collected.
                if close := getattr(pieces, "close", None):
                    close()
        except ModelError:
            raise
        except Exception as error:
            raise ModelError("The agent failed to answer.", code="agent_failed") from error

    def cancel(self) -> None:
        self._cancelled = True


def load_agent(reference: str) -> Agent:
    """Import the agent that `package.module:name` names. Raises `SettingsError`."""
    module_name, _, name = reference.partition(":")
    try:
        agent: Agent = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"CHAT_AGENT: expected package.module:name, {error}") from error
    if not callable(agent):
        raise SettingsError(f"CHAT_AGENT: expected a callable, got {type(agent).__name__}")
    return agent

"""Asks the configured model a recorded question, the way a turn would today."""

import time
from collections.abc import Callable, Mapping, Sequence

from app.errors import ModelError
from app.llm.agent import Message, Model
from app.tracing.evaluation import Answer


class Replay:
    """Puts recorded questions to a model, under today's system prompt."""

    def __init__(
        self,
        model: Model,
        system_prompt: str,
        timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout_s` is the longest that one answer may take."""
        self._model = model
        self._system_prompt = system_prompt
        self._timeout_s = timeout_s
        self._monotonic = monotonic

    def __call__(self, recorded: Sequence[Mapping[str, str]]) -> Answer:
        """Answer the last of these messages. Raises `ModelError`.

        A system prompt among them is not used: it may be what one wants to change.
        """
        asked = [Message(role="system", content=self._system_prompt)]
        asked += [
            Message(role=one["role"], content=one["content"])
            for one in recorded
            if one["role"] != "system"
        ]
        deadline = self._monotonic() + self._timeout_s
        completion = self._model.complete(asked)
        text = ""
        for piece in completion:
            text += piece
            if self._monotonic() > deadline:
                completion.cancel()
                raise ModelError("The model took too long to answer.", code="model_timeout")
        return Answer(text, tuple(asked), completion.model, completion.usage)

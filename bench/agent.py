"""An agent for our own app (CHAT_AGENT) that writes tokens at the pace the question asks for."""

import time
from collections.abc import Iterator, Mapping, Sequence

from bench.tokens import stamp, wanted


def answer(messages: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield one token after the other, each when it is due."""
    tokens, rate = wanted(messages[-1]["content"])
    begin = time.monotonic()
    for number in range(tokens):
        wait_s = begin + number / rate - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        yield stamp()

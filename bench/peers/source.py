"""What `bench.agent` is to our app, for peers on asyncio: the same tokens at the same pace."""

import asyncio
import time
from collections.abc import AsyncIterator

from bench.tokens import stamp, wanted


async def answer(message: str) -> AsyncIterator[str]:
    """Yield one token after the other, each when it is due."""
    tokens, rate = wanted(message)
    begin = time.monotonic()
    for number in range(tokens):
        wait_s = begin + number / rate - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        yield stamp()

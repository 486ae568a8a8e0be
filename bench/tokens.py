"""The tokens of every measurement: each says when it left, so that whoever reads it knows its age.

A token is `@` and eight hexadecimal digits, the time in units of 10 microseconds, and a space. The
clock is the machine's monotonic one, the same for all processes.
"""

import re
import time

TOKEN = re.compile(rb"@([0-9a-f]{8})")
LENGTH = 9
UNIT_S = 1e-5
_TURN = 0x100000000


def now() -> int:
    """The time in units, as tokens carry it."""
    return int(time.monotonic() / UNIT_S) % _TURN


def stamp() -> str:
    """A token that leaves now."""
    return f"@{now():08x} "


def since(earlier: int, later: int) -> float:
    """Seconds from one stamp to another; negative when it was the other way round."""
    return ((later - earlier + _TURN // 2) % _TURN - _TURN // 2) * UNIT_S


def question(tokens: int, rate: float) -> str:
    """What to ask for an answer of so many tokens, so many a second."""
    return f"Write {tokens} tokens, {rate:g} a second."


def wanted(message: str) -> tuple[int, float]:
    """How many tokens, and how many a second, a question asks for."""
    tokens, rate = re.findall(r"[\d.]+\d|\d", message)[-2:]
    return int(tokens), float(rate)

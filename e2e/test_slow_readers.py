"""Readers that never read: nobody else waits for them, and they cost the server little."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from e2e.raw_socket import RawSocket
from e2e.visitor import Turn, Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

# Five turns of four megabytes each, as fast as the app takes them.
TURNS = 5
FLOOD = [f"{number:04d} " + "x" * 4091 for number in range(1000)]
STEADY = ["tick "] * 100


def longest_gap(stack: Stack, name: str) -> float:
    """Ask for a steady answer and return the longest wait between two of its frames, in s."""
    stack.model.answer_when(name, Answer(tokens=STEADY, delay_s=0.02))
    with Visitor(stack.url).open_socket() as socket:
        turn = socket.read_until(socket.send_message(name), "start")
        seen = [time.monotonic()]
        while turn.last["type"] == "token" or len(turn.frames) == 1:
            turn.frames.append(socket.receive())
            seen.append(time.monotonic())
    assert turn.text == "".join(STEADY)
    return max(later - earlier for earlier, later in itertools.pairwise(seen))


def worker_megabytes(stack: Stack) -> float:
    """Resident memory of gunicorn's worker."""
    [worker] = Path(f"/proc/{stack.web.pid}/task/{stack.web.pid}/children").read_text().split()
    [line] = [
        line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if "VmRSS" in line
    ]
    return int(line.split()[1]) / 1024

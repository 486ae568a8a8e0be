"""How a process leaves: what is being asked is answered, and nothing is torn out of its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import requests

from e2e.visitor import Visitor
from tests.servers import Stack
from tests.waiting import eventually

PEOPLE = 24


def test_who_is_asking_when_the_process_leaves_gets_a_true_answer_or_none(
    stack_with: Callable[..., Stack],
) -> None:
    stack = stack_with()
    visitors = [Visitor(stack.url) for _ in range(PEOPLE)]
    answered: Counter[int] = Counter()
    enough = Event()

    def keep_asking(visitor: Visitor) -> None:
        # One request after the other over a connection that is kept.
        while not enough.is_set():
            try:
                answered[visitor.send("GET", "/conversations").status_code] += 1
            except requests.RequestException:
                return  # The connection was closed between two requests.

    with ThreadPoolExecutor(PEOPLE) as pool:
        asking = [pool.submit(keep_asking, visitor) for visitor in visitors]
        try:
            eventually(lambda: answered[200] > PEOPLE * 3)
            stack.web.ask_to_end()
            eventually(lambda: not stack.web.is_running, timeout=15)
        finally:
            enough.set()
        for one in asking:
            one.result()
    assert set(answered) == {200}
    assert "level=ERROR" not in stack.web.log()

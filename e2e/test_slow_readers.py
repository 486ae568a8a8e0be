"""Readers that never read: nobody else waits for them, and they cost the server little."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from e2e.raw_socket import RawSocket
from e2e.visitor import Turn, Visitor
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

# A megabyte a turn, twenty together, as fast as the app takes them.
TURNS = 20
FLOOD = [f"{number:04d} " + "x" * 4091 for number in range(250)]
FLOOD_MB = TURNS * len("".join(FLOOD)) / 2**20
STEADY = ["tick "] * 100
# So little that the kernel holds next to nothing of what the app sends.
TINY = 4096


def longest_gap(stack: Stack, question: str) -> float:
    """Ask somebody else's steady question; the longest wait between two of its tokens, in s."""
    stack.model.answer_when(question, Answer(tokens=STEADY, delay_s=0.02))
    with Visitor(stack.url).open_socket() as socket:
        turn = socket.send_message(question)
        seen = []
        while socket.read_until(turn, "token").text != "".join(STEADY):
            seen.append(time.monotonic())
    return max(later - earlier for earlier, later in itertools.pairwise(seen))


def worker_mb(stack: Stack) -> float:
    """Resident memory of gunicorn's worker."""
    master = stack.web.pid
    [worker] = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = Path(f"/proc/{worker}/status").read_text().splitlines()
    [resident] = [line for line in status if line.startswith("VmRSS:")]
    return int(resident.split()[1]) / 1024


def send_flood(stack: Stack, reader: RawSocket, name: str) -> None:
    """Ask for one flood after the other over this socket, reading nothing."""
    for number in range(TURNS):
        question = f"flood {number} for who {name}"
        reader.send({"type": "message", "content": question})
        eventually(lambda: stack.model.asked(question)[0].ended_at, timeout=30)  # noqa: B023


def read_flood(reader: RawSocket) -> None:
    ended = 0
    while ended < TURNS:
        ended += reader.receive_json()["type"] == "done"


def has_ended(visitor: Visitor) -> bool:
    """Whether everything the visitor asked is over."""
    listed = visitor.send("GET", "/conversations").json()["conversations"]
    whole = [visitor.send("GET", f"/conversations/{one['id']}").json() for one in listed]
    endings = [turn["ending"] for one in whole for turn in one["turns"]]
    return len(endings) == TURNS and "running" not in endings


def test_sockets_that_ask_for_a_long_answer_and_never_read_hold_no_copies(
    stack: Stack, visitor: Visitor
) -> None:
    stack.model.answer_when("one flood", Answer(tokens=FLOOD * 4))
    with visitor.open_socket() as socket:
        turn = socket.ask("one flood")
    before = worker_mb(stack)
    with ExitStack() as held:
        for _ in range(40):
            held.enter_context(RawSocket(visitor, receive_buffer=TINY)).send(resume(turn))
        late = held.enter_context(RawSocket(visitor, receive_buffer=16 * TINY))
        late.send(resume(turn))
        assert longest_gap(stack, "beside forty") < 1
        assert worker_mb(stack) < before + 60
        # None of them has lost anything: what one reads late is all there.
        frames = [late.receive_json()]
        while frames[-1]["type"] != "done":
            frames.append(late.receive_json())
    assert frames == turn.frames


def test_a_reader_who_never_reads_costs_no_more_than_one_who_does(stack: Stack) -> None:
    stack.model.answer_when("flood", Answer(tokens=FLOOD))
    gaps, memory = {}, {}
    # The ones who read come first, and so pay for what twenty megabytes cost anyway: in the turn
    # log, and for a moment on the way to MLflow and the database, which Python keeps for later.
    for name in ("reads first", "reads", "never reads"):
        visitor = Visitor(stack.url)
        with RawSocket(visitor, receive_buffer=TINY if name == "never reads" else None) as reader:
            flood = threading.Thread(target=send_flood, args=(stack, reader, name), daemon=True)
            flood.start()
            if name != "never reads":
                threading.Thread(target=read_flood, args=(reader,), daemon=True).start()
            gaps[name] = longest_gap(stack, f"beside who {name}")
            flood.join()
            eventually(lambda: has_ended(visitor), timeout=60, every=0.2)  # noqa: B023
            memory[name] = worker_mb(stack)
    assert gaps["never reads"] < 3 * gaps["reads"] + 0.2, gaps
    # Its frames stay in the turn log for a while, read or not.
    assert memory["never reads"] < memory["reads"] + 3 * FLOOD_MB, memory


def resume(turn: Turn) -> dict[str, object]:
    return {"type": "resume", "client_request_id": turn.client_request_id, "after_seq": -1}

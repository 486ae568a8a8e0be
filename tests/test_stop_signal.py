"""However many signals come, and however close together, the process ends."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from app.stop_signal import StopSignal
from tests.processes import ServerProcess, clean_environment

PROGRAM = """
import signal
from pathlib import Path
from app.stop_signal import StopSignal

stopping = StopSignal(signal.SIGTERM)
Path("up").touch()
while not stopping.wait(0.001):
    pass
while Path("more").exists():  # all of them are to find somebody
    stopping.wait(0.001)
Path("over").touch()
"""


def test_a_signal_that_interrupts_the_handler_of_another_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "more").touch()
    command = [sys.executable, "-c", PROGRAM]
    ready = (tmp_path / "up").exists
    process = ServerProcess(command, clean_environment(), tmp_path, "program", ready)
    process.start()
    for _ in range(200_000):
        process.ask_to_end()
    (tmp_path / "more").unlink()
    process.terminate(timeout=10)
    assert (tmp_path / "over").exists()


def test_it_stays_given() -> None:
    stopping = StopSignal()
    assert not stopping.wait(0)
    stopping.give()
    assert stopping.wait(0)
    assert stopping.wait(60)


def test_a_signal_gives_it_and_ends_the_wait() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    try:
        stopping = StopSignal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        assert stopping.wait(60)
    finally:
        signal.signal(signal.SIGUSR1, before)

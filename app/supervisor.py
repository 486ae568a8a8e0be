"""Runs the Procfile's processes: starts them, keeps what they say, notices an end, stops all.

honcho reads the Procfile and labels the lines; its own Manager is not used because its processes
outlive a killed launcher and it does not say which of them ended first.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TextIO

from honcho.printer import Message, Printer

COLOURS = ("36", "33", "32", "35")
TROUBLE = re.compile(rb"\b(WARNING|ERROR|CRITICAL)\b")
LONGEST_SCREEN_LINE = 200
KEPT_LINES = 20
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended by itself: its name, exit status, and its last lines."""

    name: str
    status: int
    last_lines: tuple[str, ...]


class Supervisor:
    """The running processes. As a context manager it leaves none behind."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], log_path: Path, screen: TextIO
    ) -> None:
        """Processes run in `folder`; all they print goes to `log_path`.

        The start of a line that tells of trouble goes to `screen` too.
        """
        log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log = log_path.open("w", encoding="utf-8")
        self._folder = folder
        self._environment = dict(environment)
        self._log_printer = Printer(self._log, width=6)
        self._screen_printer = Printer(screen, width=6)
        self._printing = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: dict[str, threading.Thread] = {}
        self._last_lines: dict[str, deque[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        with suppress(OSError):  # what a full disk did not take
            self._log.close()

    def start(self, name: str, command: str) -> None:
        """Start `command` in a shell and in a process group of its own."""
        process = subprocess.Popen(
            [*_until_we_end(), "sh", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        self._processes[name] = process
        self._last_lines[name] = deque(maxlen=KEPT_LINES)
        colour = COLOURS[len(self._readers) % len(COLOURS)]
        arguments = (name, colour, process.stdout)
        self._readers[name] = threading.Thread(target=self._read, args=arguments, daemon=True)
        self._readers[name].start()

    def find_ended(self) -> Ended | None:
        """The first process found to have ended, or None while all run."""
        for name, process in self._processes.items():
            if (status := process.poll()) is not None:
                self._readers[name].join(timeout=1)
                return Ended(name, status, tuple(self._last_lines[name]))
        return None

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask every process to end, and kill what still runs after `timeout_s`."""
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        try:
            for process in self._processes.values():
                process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        self._signal_all(signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        for reader in self._readers.values():
            reader.join(timeout=1)

    def _signal_all(self, number: int) -> None:
        for process in self._processes.values():
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                continue

    def _read(self, name: str, colour: str, output: IO[bytes]) -> None:
        for line in output:
            self._last_lines[name].append(line.decode(errors="replace").rstrip())
            moment = datetime.now().astimezone()
            with self._printing:
                _print(self._log_printer, Message("line", line, moment, name, colour))
                if TROUBLE.search(line):
                    start = line[:LONGEST_SCREEN_LINE]
                    _print(self._screen_printer, Message("line", start, moment, name, colour))
        output.close()


def _print(printer: Printer, line: Message) -> None:
    """Print a line, or leave it out: a process whose lines nobody reads would wait for ever.

    A disk may be full, a screen closed or without these letters (`UnicodeError`, a `ValueError`).
    """
    with suppress(OSError, ValueError):
        printer.write(line)


def _until_we_end() -> list[str]:
    """What to put before a command so that it ends even when the launcher is killed (Linux)."""
    return ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []

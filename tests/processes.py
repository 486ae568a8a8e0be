"""A server process a test starts, kills and restarts on its own port."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import requests

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A free port below those the system gives to clients, so that a restart finds it free too."""
    while True:
        port = random.randint(20_000, 29_999)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment, with `settings` in place of the app's, MLflow's and OpenAI's."""
    # Imported here so that a broken app fails the tests that start it, not all of them.
    from app.settings import Settings

    ours = {name.upper() for name in Settings.model_fields}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("MLFLOW_", "OPENAI_"))
    }
    always = {
        "PYTHONPATH": str(ROOT),
        "PYTHONFAULTHANDLER": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return {**kept, **always, **settings}


class ServerProcess:
    """One command in a process group of its own, its output in a log file."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        name: str,
        is_ready: Callable[[], bool] | None = None,
        start_timeout: float = 60.0,
        run_in: Path | None = None,
    ) -> None:
        """`folder` gets the log; the command runs there too, or in `run_in`."""
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.folder = folder
        self._run_in = run_in or folder
        self.log_path = folder / f"{name}.log"
        self._is_ready = is_ready
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the command without waiting for it to be ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self._run_in,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return once the process answers; with the log's end when it died instead."""

        def ready() -> bool:
            if not self.is_running:
                return True
            return self._is_ready is None or self._is_ready()

        try:
            eventually(ready, timeout=self._start_timeout, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{self.name} is not ready: {error}\n{self.log_tail()}") from error
        if not self.is_running:
            raise AssertionError(f"{self.name} ended at once:\n{self.log_tail()}")

    def start(self) -> None:
        """Start the command and wait until it answers."""
        self.launch()
        self.wait_ready()

    @property
    def is_running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process ID of the group's leader."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def kill9(self) -> None:
        """Kill the whole process group at once, as a crash or the kernel would."""
        self._signal(signal.SIGKILL, group=True)
        self._reap(10)

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process and wait for nothing."""
        self._signal(signal.SIGTERM, group=False)

    def terminate(self, timeout: float = 40.0) -> None:
        """Ask the process to end, wait for it, and kill what is left of its group."""
        if self.is_running:
            self.ask_to_end()
        try:
            self._reap(timeout)
        finally:
            self._signal(signal.SIGKILL, group=True)

    def restart(self) -> None:
        """End the process in an orderly way and start it again."""
        self.terminate()
        self.start()

    def log(self) -> str:
        """Everything the process has printed."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 40) -> str:
        """The last lines the process has printed."""
        return "\n".join(self.log().splitlines()[-lines:])

    def _signal(self, number: int, *, group: bool) -> None:
        if self._process is None:
            return
        try:
            if group:
                os.killpg(self._process.pid, number)
            else:
                os.kill(self._process.pid, number)
        except ProcessLookupError:
            return

    def _reap(self, timeout: float) -> None:
        if self._process is not None:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGABRT, group=False)  # it says where it stands
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(10)
                raise AssertionError(
                    f"{self.name} still ran {timeout} s after SIGTERM:\n{self.log_tail()}"
                ) from None


def answers(url: str) -> bool:
    """Whether `url` answers 200 right now."""
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False

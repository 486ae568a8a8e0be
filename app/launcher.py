"""`make run`: starts the Procfile, waits until it answers, says where, and stops it all on Ctrl-C.

`python -m app.launcher [PROCFILE]`. MLflow takes longest to start and the chat does not need it
(answers wait in the outbox meanwhile): what the chat needs starts first and is announced first.
"""

import http.client
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from honcho.environ import parse_procfile

from app import mlflow_database
from app.embedded_endpoint import FILE_NAME, read_endpoint
from app.errors import SettingsError
from app.preflight import CannotStart, check_folder, check_port, keep_folder
from app.settings import Settings, load_settings
from app.stop_signal import StopSignal
from app.supervisor import Ended, Supervisor

ROOT = Path(__file__).resolve().parent.parent
# Later ones would only slow down those that people wait for.
ORDER = (("web", "model"), ("mlflow",))
# The commands of the environment this runs in, activated or not; `mlflow` may have its own.
COMMANDS = (f"{sys.prefix}/bin", f"{sys.prefix}/mlflow/bin")
POLL_S = 0.1
PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A process that something can be asked of: its name for people, and whether it answers."""

    title: str
    is_ready: Callable[[], bool]


class Launcher:
    """One run: from the checks to the last process's end."""

    def __init__(
        self,
        settings: Settings,
        commands: Mapping[str, str],
        screen: TextIO,
        folder: Path = ROOT,
    ) -> None:
        """`commands` are the Procfile's, run in `folder`; `screen` is where people look."""
        self._settings = settings
        self._folder = folder
        self._commands = choose(settings, commands)
        self._screen = screen
        self._ended: Ended | None = None
        self._began = time.monotonic()

    def run(self, stopping: StopSignal) -> int:
        """Run until `stopping` (returns 0) or until a process ends by itself (returns 1).

        Raises `CannotStart` when a port or the data folder is not as it must be.
        """
        check_folder(self._settings.data_dir)
        with keep_folder(self._settings.data_dir):
            self._check_ports()
            return self._run(stopping)

    def _run(self, stopping: StopSignal) -> int:
        log_path = self._settings.data_dir / "logs" / "run.log"
        try:
            made = Supervisor(self._folder, self._environment(), log_path, self._screen)
        except OSError as error:
            raise CannotStart(f"Cannot write to {log_path}: {error.strerror}.") from error
        with made as processes:
            self._say(f"Starting {', '.join(self._commands)}. Ctrl-C stops everything.")
            self._say(f"What they print goes to {log_path}")
            self._follow(processes, stopping)
            if self._ended is None:
                self._say("Stopping ...")
        if self._ended is None:
            self._say("Stopped.")
            return 0
        self._say(explain(self._ended))
        return 1

    def _check_ports(self) -> None:
        settings = self._settings
        if "web" in self._commands:
            check_port(settings.host, settings.port, "PORT")
        if "mlflow" in self._commands:
            check_port("127.0.0.1", settings.mlflow_port, "MLFLOW_PORT")

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        return {
            **os.environ,
            "PATH": os.pathsep.join([*COMMANDS, os.environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
            "PORT": str(settings.port),
            "MLFLOW_PORT": str(settings.mlflow_port),
            "DATA_DIR": str(settings.data_dir),
        }

    def _follow(self, processes: Supervisor, stopping: StopSignal) -> None:
        self._prepare()
        for names in self._in_order():
            for name in names:
                processes.start(name, self._commands[name])
            waiting = self._stages(names)
            while waiting and self._goes_on(processes, stopping):
                for name in [name for name, stage in waiting.items() if stage.is_ready()]:
                    self._say(f"{waiting.pop(name).title} is ready ({self._elapsed()}).")
            if waiting:
                return
            if "web" in names and "mlflow" in self._commands:
                self._say(f"You can chat now: {self._chat_url()}")
                self._say("MLflow is still starting; answers and verdicts reach it when it is up.")
        self._say(box([f"{name:<10} {url}" for name, url in self._addresses().items()]))
        while self._goes_on(processes, stopping):
            pass

    def _prepare(self) -> None:
        folder = self._settings.data_dir
        # One that a killed model left behind would announce a model that is not there.
        (folder / FILE_NAME).unlink(missing_ok=True)
        if "mlflow" in self._commands and (unfinished := mlflow_database.prepare(folder)):
            self._say("The last run was stopped before MLflow had made its database.")
            self._say(f"What there was of it is now {unfinished}; MLflow begins again.")

    def _in_order(self) -> list[list[str]]:
        rest = self._commands.keys() - {name for names in ORDER for name in names}
        steps = [[name for name in names if name in self._commands] for names in (*ORDER, rest)]
        return [names for names in steps if names]

    def _goes_on(self, processes: Supervisor, stopping: StopSignal) -> bool:
        """Wait a moment; returns False once a process has ended or the run was stopped."""
        self._ended = processes.find_ended()
        return self._ended is None and not stopping.wait(POLL_S)

    def _stages(self, names: list[str]) -> dict[str, Stage]:
        settings = self._settings
        host = reachable(settings.host)
        stages = {
            "web": Stage("The web server", lambda: answers(host, settings.port, "/healthz")),
            "model": Stage("The model", lambda: read_endpoint(settings.data_dir) is not None),
            "mlflow": Stage("MLflow", self._mlflow_answers),
        }
        return {name: stages[name] for name in names if name in stages}

    def _mlflow_answers(self) -> bool:
        port = self._settings.mlflow_port
        if not answers("127.0.0.1", port, "/health"):
            return False
        # Its first request that needs the database is slow: better this one than a person's.
        return answers("127.0.0.1", port, "/api/2.0/mlflow/experiments/get?experiment_id=0")

    def _addresses(self) -> dict[str, str]:
        chat = self._chat_url()
        ours = {"Chat": chat, "Insights": f"{chat}/insights"} if "web" in self._commands else {}
        return {**ours, "MLflow UI": self._settings.mlflow_link}

    def _chat_url(self) -> str:
        return f"http://{reachable(self._settings.host)}:{self._settings.port}"

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.1f} s"

    def _say(self, text: str) -> None:
        print(text, file=self._screen, flush=True)


def choose(settings: Settings, commands: Mapping[str, str]) -> dict[str, str]:
    """Leave out what the settings have elsewhere: an MLflow server, a model or an agent."""
    elsewhere = {
        "mlflow": settings.mlflow_tracking_uri is not None,
        "model": not settings.uses_embedded_model,
    }
    return {name: line for name, line in commands.items() if not elsewhere.get(name)}


def answers(host: str, port: int, path: str) -> bool:
    """Whether `path` answers 200 within two seconds."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    """The address to reach a server on this machine that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def explain(ended: Ended) -> str:
    """Say which process ended, how, and what it said last."""
    how = f"exit status {ended.status}" if ended.status >= 0 else signal.Signals(-ended.status).name
    said = [f"  {line}" for line in ended.last_lines] or ["  (it printed nothing)"]
    return "\n".join([f"{ended.name} ended ({how}), so everything was stopped. It said:", *said])


def box(lines: list[str]) -> str:
    """Draw a frame round `lines`."""
    width = max(map(len, lines))
    rule = "─" * (width + 2)
    return "\n".join([f"╭{rule}╮", *(f"│ {line:<{width}} │" for line in lines), f"╰{rule}╯"])


def main() -> None:
    """Run the Procfile; exits with 0 when told to stop and with 1 when something failed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack letters
    procfile = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "Procfile"
    try:
        settings = load_settings()
        settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
        commands = parse_procfile(procfile.read_text()).processes
        launcher = Launcher(settings, commands, sys.stdout, procfile.parent)
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
            signals.append(signal.SIGHUP)
        raise SystemExit(launcher.run(StopSignal(*signals)))
    except (SettingsError, CannotStart) as error:
        raise SystemExit(error.message) from None


if __name__ == "__main__":
    main()

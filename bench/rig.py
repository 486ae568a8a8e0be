"""Starts the peers, each with its processes, for the side-by-side measurements."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import outbox
from app.clock import now_ms
from app.store.database import Database
from bench.load.processes import cpu_s, members
from tests.engines import RedisServer
from tests.processes import ROOT, ServerProcess, answers, clean_environment, free_port
from tests.servers import AppServer, MlflowServer, Relay
from tests.waiting import eventually

PYTHON = ROOT / ".venv/bench/bin/python"
CHAINLIT_PYTHON = ROOT / ".venv/chainlit/bin/python"
# Made once it is installed whole.
CHAINLIT_STAMP = ROOT / ".venv/chainlit/stamp"
OURS = "Thumbprint"
PAGE = "MLflow's page"
PAGE_UNPAUSED = "MLflow's page, no pause"
PAGE_UVLOOP = "MLflow's page, no pause, on uvloop"
# The page names FastAPI and no more: so uvicorn as `pip install fastapi uvicorn` leaves it.
AS_PUBLISHED = ("--loop", "asyncio", "--http", "h11")
# Its pause after each token in seconds, and what uvicorn runs on.
PAGES = {
    PAGE: ("0.01", AS_PUBLISHED),
    PAGE_UNPAUSED: ("0", AS_PUBLISHED),
    PAGE_UVLOOP: ("0", ("--loop", "uvloop", "--http", "httptools")),
}
CHAINLIT = "Chainlit"
PICOWS = "picows"
PICOWS_UVLOOP = "picows, on uvloop"
# Their modules, and what these are to run on. picows as its own examples serve: on asyncio's loop.
FLOORS = {
    "websockets": ("with_websockets",),
    PICOWS: ("with_picows", "asyncio"),
    PICOWS_UVLOOP: ("with_picows", "uvloop"),
    "uvloop": ("with_uvloop",),
}


@dataclass(frozen=True)
class Peer:
    """A server that runs."""

    name: str
    kind: str
    """How the client speaks to it: see `bench.load.streams.KINDS`."""
    port: int
    groups: list[int]
    """Its process groups."""
    database: Path | None = None
    """Where ours keeps what it still owes MLflow."""


def why_missing(name: str) -> str | None:
    """Why a peer cannot be measured here; None if it can."""
    if name == CHAINLIT and not CHAINLIT_STAMP.exists():
        return "not installed in .venv/chainlit; `make bench` installs it and says what went wrong"
    return None


class Rig:
    """What all peers share: MLflow, Redis and the model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mlflow = MlflowServer(folder / "mlflow")
        self._redis = RedisServer(folder / "redis")
        self._model_port = free_port()
        self._model = _process(
            ["-m", "bench.load.model", str(self._model_port)], folder, "model", self._model_port
        )

    @contextmanager
    def running(self) -> Iterator["Rig"]:
        """Start what is shared; stop it in the end."""
        with ExitStack() as stack:
            for server in (self._mlflow, self._redis, self._model):
                stack.callback(server.kill9)
                server.start()
            yield self

    def kill_mlflow(self) -> None:
        """End MLflow's server at once."""
        self._mlflow.kill9()

    @contextmanager
    def peers(self, names: list[str], workers: int, *, over_http: bool) -> Iterator[list[Peer]]:
        """Start these peers, with the model over HTTP or in their own processes."""
        with ExitStack() as stack:
            yield [self._start(stack, name, workers, over_http) for name in names]

    def measure(self, peer: Peer, **spec: Any) -> dict[str, Any]:
        """Let the client read from a peer; see `bench.load.client.Spec`."""
        groups = {"server": peer.groups, "model": [self._model.pid], "mlflow": [self._mlflow.pid]}
        whole = {"port": peer.port, "kind": peer.kind, "groups": groups, **spec}
        ran = subprocess.run(
            [str(PYTHON), "-m", "bench.load.client", json.dumps(whole)],
            env=clean_environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"the client failed on {peer.name}: {ran.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(ran.stdout)
        if "cpu_s" in found:
            found["cpu_s"]["server"] += _deliver(peer)
        return found

    def _start(self, stack: ExitStack, name: str, workers: int, over_http: bool) -> Peer:
        if name == OURS:
            return self._start_ours(stack, workers, over_http)
        if name in FLOORS:
            return self._start_floor(stack, name)
        if name == CHAINLIT:
            return self._start_chainlit(stack)
        return self._start_page(stack, name, workers, over_http)

    def _start_ours(self, stack: ExitStack, workers: int, over_http: bool) -> Peer:
        settings = {
            "MLFLOW_TRACKING_URI": self._mlflow.url,
            "MLFLOW_EXPERIMENT_NAME": "thumbprint",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self._model_port}/v1",
            "CHAT_MODEL": "scripted",
            "WEB_CONCURRENCY": str(workers),
        }
        if workers > 1:
            settings["REDIS_URL"] = self._redis.url
        if not over_http:
            settings["CHAT_AGENT"] = "bench.agent:answer"
        web = AppServer(self._folder / f"ours-{free_port()}", **settings)
        relay = Relay(web)
        for server in (web, relay):
            stack.callback(server.kill9)
            server.start()
        groups = [web.pid, relay.pid]
        if workers > 1:
            groups.append(self._redis.pid)  # nobody else uses it
        return Peer(OURS, "websocket", web.port, groups, web.folder / "thumbprint.db")

    def _start_page(self, stack: ExitStack, name: str, workers: int, over_http: bool) -> Peer:
        port = free_port()
        pause_s, runs_on = PAGES[name]
        settings = {"MLFLOW_TRACKING_URI": self._mlflow.url, "PAGE_PAUSE_S": pause_s}
        if over_http:
            settings["PAGE_MODEL_URL"] = f"http://127.0.0.1:{self._model_port}/v1"
        command = [
            *("-m", "uvicorn", "bench.peers.page:app", "--port", str(port)),
            *("--workers", str(workers), "--log-level", "warning", "--no-access-log"),
            *runs_on,
        ]
        server = _process(command, self._folder, f"page-{port}", port, settings, "/healthz")
        stack.callback(server.kill9)
        server.start()
        return Peer(name, "events", port, [server.pid])

    def _start_chainlit(self, stack: ExitStack) -> Peer:
        port = free_port()
        folder = self._folder / f"chainlit-{port}"
        settings = {
            "MLFLOW_TRACKING_URI": self._mlflow.url,
            "CHAINLIT_AUTH_SECRET": "nobody's but the benchmark's, and 32 bytes long",
            "CHAINLIT_DATABASE": str(folder / "chainlit.db"),
            "CHAINLIT_MODEL_URL": f"http://127.0.0.1:{self._model_port}/v1",
        }
        app = ROOT / "bench/peers/with_chainlit.py"
        command = ["-m", "chainlit", "run", str(app), "--headless", "--port", str(port)]
        server = _process(
            command, folder, "chainlit", port, settings, "/project/translations", CHAINLIT_PYTHON
        )
        stack.callback(server.kill9)
        server.start()
        return Peer(CHAINLIT, "socket.io", port, [server.pid])

    def _start_floor(self, stack: ExitStack, name: str) -> Peer:
        port = free_port()
        module, *runs_on = FLOORS[name]
        command = ["-m", f"bench.peers.{module}", str(port), *runs_on]
        server = _process(command, self._folder, f"{name}-{port}", port)
        stack.callback(server.kill9)
        server.start()
        return Peer(name, "websocket", port, [server.pid])


def _deliver(peer: Peer) -> float:
    """Wait until a peer owes MLflow nothing, lest it does so while others are read.

    Returns what CPU time it took for that, in seconds.
    """
    if peer.database is None:
        return 0.0
    before = cpu_s(members(peer.groups))
    with closing(Database(f"sqlite:///{peer.database}")) as database:
        eventually(
            lambda: database.read(lambda c: outbox.status(c, now_ms())).waiting == 0, 300, 0.2
        )
    return cpu_s(members(peer.groups)) - before


def _process(
    command: list[str],
    folder: Path,
    name: str,
    port: int,
    settings: Mapping[str, str] | None = None,
    path: str = "",
    python: Path = PYTHON,
) -> ServerProcess:
    environment = clean_environment(**(settings or {}))

    def listens() -> bool:
        if path:
            return answers(f"http://127.0.0.1:{port}{path}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ServerProcess([str(python), *command], environment, folder, name, listens)


def describe_machine() -> str:
    """One line about this machine."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({model}), {memory_gb:.0f} GB, Linux {os.uname().release}, "
        f"Python {sys.version.split()[0]}"
    )

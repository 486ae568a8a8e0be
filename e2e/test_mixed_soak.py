"""People of every kind chat with two instances while every process is killed: all stays true.

The short form is in every run. `SOAK=1` makes it ten minutes and three hundred people; the last
four of the minutes without kills, so that memory and descriptors can be seen to stay as they are.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import mean

from sqlalchemy import Row, select

from app import outbox
from app.clock import now_ms
from app.store.database import Database
from app.store.tables import turns as turns_table
from e2e.balancer import Balancer
from e2e.soak_people import Malicious, Person, invite
from tests.cluster import Cluster
from tests.mlflow_reader import verdicts_of
from tests.process_figures import connections_at, descriptors, resident_mb
from tests.processes import ServerProcess
from tests.servers import AppServer
from tests.waiting import eventually

SOAK = os.environ.get("SOAK") == "1"
PEOPLE, PACE_S = (300, 90.0) if SOAK else (20, 3.0)
LASTS_S, KILLS_FOR_S, KILL_EVERY_S = (600.0, 360.0, 15.0) if SOAK else (12.0, 0.0, 0.0)
SETTLES_IN_S = 900.0 if SOAK else 180.0
SEED = 20261125
# What a process may hold more at the end than at the beginning of the time without kills.
MORE_MB, MORE_DESCRIPTORS = 40, 20

TurnRow = Row[tuple[object, ...]]


def revive(server: ServerProcess) -> None:
    """Start a server again, and once more if what its death left behind is in the way."""

    def started() -> bool:
        if not server.is_running:
            server.launch()
        server.wait_ready()
        return True

    eventually(started, timeout=240, every=0.5)


def kill_everything(cluster: Cluster) -> Counter[str]:
    """Kill every process and start it again: each once, then any, for as long as it is to last."""
    lots = random.Random(SEED)
    servers = {
        "MLflow": cluster.mlflow,
        "web 1": cluster.web,
        "relay": cluster.relay,
        "Redis": cluster.redis,
        "PostgreSQL": cluster.postgresql,
        "web 2": cluster.second,
    }
    ends_at = time.monotonic() + KILLS_FOR_S
    killed: Counter[str] = Counter()
    first = list(servers)
    with ThreadPoolExecutor(1) as aside:
        # It takes long to start; meanwhile other processes die.
        mlflow: Future[None] | None = None
        while first or time.monotonic() < ends_at:
            due = time.monotonic() + KILL_EVERY_S
            running = [name for name in servers if name != "MLflow" or not mlflow or mlflow.done()]
            name = first.pop(0) if first else lots.choice(running)
            servers[name].kill9()
            killed[name] += 1
            if name == "MLflow":
                mlflow = aside.submit(revive, servers[name])
            else:
                revive(servers[name])
            eventually(lambda due=due: time.monotonic() >= due, KILL_EVERY_S + 1)  # type: ignore[misc]
        if mlflow:
            mlflow.result()
    return killed


class Watch:
    """Looks every second at what each process holds besides its clients, until it is over."""

    def __init__(self, cluster: Cluster) -> None:
        self.servers: dict[str, ServerProcess] = {
            "web 1": cluster.web,
            "web 2": cluster.second,
            "relay": cluster.relay,
        }
        self.memory: dict[str, list[float]] = {name: [] for name in self.servers}
        self.opened: dict[str, list[int]] = {name: [] for name in self.servers}

    def run(self, over: threading.Event) -> None:
        """Look; nothing may be killed meanwhile."""
        while True:
            for name, server in self.servers.items():
                self.memory[name].append(resident_mb(server.pid))
                clients = connections_at(server.port) if isinstance(server, AppServer) else 0
                self.opened[name].append(descriptors(server.pid) - clients)
            if over.wait(1.0):
                return

    def growth(self) -> dict[str, tuple[float, float, float, float]]:
        """Megabytes, then descriptors, at the beginning and at the end, by process."""
        found = {}
        for name in self.servers:
            megabytes, opened = self.memory[name], self.opened[name]
            quarter = max(1, len(megabytes) // 4)
            found[name] = (
                mean(megabytes[:quarter]),
                mean(megabytes[-quarter:]),
                mean(opened[:quarter]),
                mean(opened[-quarter:]),
            )
        return found


def test_all_that_was_acknowledged_is_true_after_everything_was_killed(cluster: Cluster) -> None:
    watch, calm, over = Watch(cluster), threading.Event(), threading.Event()
    with Balancer([web.url for web in cluster.webs]) as balancer:
        people = invite(balancer.url, PEOPLE, cluster.model, SEED)
        began = time.monotonic()
        with ThreadPoolExecutor(PEOPLE + 2) as pool:
            living = [pool.submit(person.live, PACE_S, over) for person in people]
            try:
                killed = kill_everything(cluster)
                watching = pool.submit(watch.run, calm)
                time_left = max(1.0, LASTS_S - (time.monotonic() - began))
                over.wait(time_left)
            finally:
                calm.set()
                over.set()
            watching.result()
            for one in living:
                one.result()
        lasted = time.monotonic() - began
    database = Database(cluster.web.environment["DATABASE_URL"])
    try:
        rows = expect_true_here(people, database)
        expect_delivered(database)
    finally:
        database.close()
    settled = time.monotonic() - began - lasted
    expect_true_in_mlflow(cluster, people, rows)
    tell(people, rows, killed, watch, lasted, settled)
    expect_nothing_left_open(cluster, watch)
    asked = Counter(request.question for request in cluster.model.requests)
    assert max(asked.values()) == 1, "the model was asked something twice"


def expect_true_here(people: list[Person], database: Database) -> dict[str, TurnRow]:
    """Compare what people were told with the record; returns its turns by client request ID."""
    ours = select(turns_table).where(turns_table.c.question.like("%[soak %"))

    def ended() -> list[TurnRow]:
        rows = list(database.read(lambda c: c.execute(ours)))
        return [] if any(row.ending == "running" for row in rows) else rows

    rows = {row.client_request_id: row for row in eventually(ended, timeout=120, every=0.5)}
    users: list[set[str]] = []
    for person in people:
        mine = [rows[request_id] for request_id in person.acknowledged]
        assert [row.question for row in mine] == list(person.acknowledged.values())
        users.append({row.user_id for row in mine})
        for turn in person.turns:
            row, last = rows[turn.client_request_id], turn.frames[-1]
            whole = "".join(f"{turn.question[8:-1]}:{word} " for word in range(12))
            assert whole.startswith(turn.text), "somebody else's text"
            if last["type"] == "done":
                assert (row.ending, row.trace_id) == ("complete", last["trace_id"])
                assert row.answer == turn.text == whole
            else:
                assert row.ending in {"failed", "interrupted"}, last
                assert last["code"] == "not_saved" or last["code"] == row.error_code
    assert all(len(ids) <= 1 for ids in users), "one person under two names"
    assert len(set().union(*users)) == sum(map(len, users)), "two people under one name"
    return rows


def expect_delivered(database: Database) -> None:
    """Wait until MLflow is owed nothing."""

    def owed() -> tuple[int, int]:
        status = database.read(lambda c: outbox.status(c, now_ms()))
        return status.waiting, status.dead

    eventually(lambda: owed() == (0, 0), timeout=SETTLES_IN_S, every=1.0)


def expect_true_in_mlflow(cluster: Cluster, people: list[Person], rows: dict[str, TurnRow]) -> None:
    """Every turn is one trace there, with its one last verdict, under its own user."""
    verdicts = {key: value for person in people for key, value in person.verdicts.items()}
    traces = [one for one in cluster.reader.traces() if one.info.client_request_id in rows]
    assert Counter(one.info.client_request_id for one in traces) == Counter(rows.keys())
    for trace in traces:
        info, row = trace.info, rows[trace.info.client_request_id or ""]
        assert info.trace_id == row.trace_id
        assert info.trace_metadata["mlflow.trace.infoFinalized"] == "true"
        assert info.trace_metadata["mlflow.trace.user"] == row.user_id
        assert info.tags["thumbprint.ending"] == row.ending
        said = [
            (one.value, one.source_id) for one in verdicts_of(trace) if one.source_type == "HUMAN"
        ]
        wanted = verdicts.get(row.client_request_id)
        assert said == ([] if wanted is None else [(wanted, row.user_id)]), row.trace_id


def expect_nothing_left_open(cluster: Cluster, watch: Watch) -> None:
    """Nobody is connected any more, and no process has grown in the time without kills."""
    for web in cluster.webs:
        eventually(lambda web=web: connections_at(web.port) == 0, timeout=60)  # type: ignore[misc]
    if not SOAK:
        return  # the kills leave too little of the short form to grow in
    for name, (memory, then, opened, later) in watch.growth().items():
        assert then - memory < MORE_MB, (name, watch.memory[name])
        assert later - opened < MORE_DESCRIPTORS, (name, watch.opened[name])


def tell(
    people: list[Person],
    rows: dict[str, TurnRow],
    killed: Counter[str],
    watch: Watch,
    lasted: float,
    settled: float,
) -> None:
    """Print the figures."""
    refused = sum((one.refused for one in people if isinstance(one, Malicious)), Counter[str]())
    assert refused.total(), "nobody tried anything"
    troubles = sum((person.troubles for person in people), Counter[str]())
    endings = Counter(row.ending for row in rows.values())
    verdicts = sum(len(person.verdicts) for person in people)
    print(  # noqa: T201
        f"\n{PEOPLE} people for {lasted:.0f} s: {len(rows)} turns {dict(endings)}, {verdicts} "
        f"turns judged, {refused.total()} attempts refused; killed {dict(killed)}; troubles "
        f"{dict(troubles)}; all in MLflow {settled:.0f} s later; MB and descriptors, before and "
        f"after: { {name: [round(x) for x in of] for name, of in watch.growth().items()} }"
    )

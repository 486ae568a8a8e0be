"""Two instances, no sticky sessions: whatever one of them runs, the other can show and stop."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families
from websockets.protocol import State

from e2e.balancer import Balancer
from e2e.chat_page import ChatPage, answer_text, expect_recorded, thumb, trace_id
from e2e.test_interruptions import only_turn
from e2e.visitor import ChatSocket, Turn, Visitor
from tests.cluster import Cluster
from tests.process_figures import family
from tests.scripted_answer import Step
from tests.scripted_model import Answer, Gate
from tests.servers import MlflowServer, Stack
from tests.waiting import eventually

ENDED = "thumbprint_turns_ended_total"


@pytest.fixture
def here(cluster: Cluster) -> Visitor:
    """Somebody, at the first instance."""
    return Visitor(cluster.web.url)


@pytest.fixture
def there(cluster: Cluster, here: Visitor) -> Visitor:
    """The same person, at the second instance."""
    return here.at(cluster.second.url)


@pytest.fixture
def gate(cluster: Cluster) -> Gate:
    """What the answer to `go on` waits for after `one `."""
    gate = cluster.model.gate()
    cluster.model.answer_when("go on", Answer(tokens=["one ", gate, "two ", "three"]))
    return gate


def resumed(turn: Turn, after_seq: int) -> dict[str, object]:
    request_id = turn.client_request_id
    return {"type": "resume", "client_request_id": request_id, "after_seq": after_seq}


def test_a_turn_is_followed_live_at_the_other_instance(
    cluster: Cluster, here: Visitor, there: Visitor, gate: Gate
) -> None:
    with here.open_socket() as first, there.open_socket() as second:
        turn = first.read_until(first.send_message("go on"), "token")
        second.send(resumed(turn, -1))
        watched = second.read_until(Turn(turn.client_request_id), "token")
        gate.release()
        first.read_until(turn)
        second.read_until(watched)
    assert watched.frames == turn.frames
    assert turn.text == "one two three"


def test_a_reader_who_changes_the_instance_misses_and_doubles_nothing(
    cluster: Cluster, here: Visitor, there: Visitor, gate: Gate
) -> None:
    with here.open_socket() as first:
        turn = first.read_until(first.send_message("go on"), "token")
    with there.open_socket() as second:
        second.send(resumed(turn, turn.last["seq"]))
        gate.release()
        second.read_until(turn)
    assert [frame["seq"] for frame in turn.frames] == list(range(len(turn.frames)))
    assert (turn.text, turn.last["type"]) == ("one two three", "done")


@pytest.mark.parametrize("transport", ["socket", "http"])
def test_a_stop_at_the_other_instance_ends_the_turn_at_once(
    cluster: Cluster, here: Visitor, there: Visitor, gate: Gate, transport: str
) -> None:
    with here.open_socket() as first, there.open_socket() as second:
        turn = first.read_until(first.send_message("go on"), "token")
        stop = {"client_request_id": turn.client_request_id}
        began = time.monotonic()
        if transport == "socket":
            second.send({"type": "stop", **stop})
        else:
            assert there.send("POST", "/chat/stop", json=stop).status_code == 200
        [asked] = cluster.model.asked("go on")
        eventually(lambda: asked.disconnected_at)
        assert asked.disconnected_at is not None
        assert asked.disconnected_at - began < 1.0
        first.read_until(turn)
    assert (turn.last["finish_reason"], turn.text) == ("stopped", "one ")


def test_a_message_sent_again_to_the_other_instance_is_asked_once(
    cluster: Cluster, here: Visitor, there: Visitor, gate: Gate
) -> None:
    with here.open_socket() as first, there.open_socket() as second:
        turn = first.read_until(first.send_message("go on"), "token")
        again = second.send_message("go on", client_request_id=turn.client_request_id)
        gate.release()
        assert second.read_until(again).frames == first.read_until(turn).frames
    assert len(cluster.model.asked("go on")) == 1
    body = {"message": "go on", "client_request_id": turn.client_request_id}
    answer = there.send("POST", "/chat", json=body).json()
    assert (answer["response"], answer["trace_id"]) == (turn.text, turn.trace_id)


def test_a_stream_over_http_is_taken_up_at_the_other_instance(
    cluster: Cluster, here: Visitor, there: Visitor, gate: Gate
) -> None:
    with here.open_socket() as first:
        turn = first.read_until(first.send_message("go on"), "token")
        body = {"message": "go on", "client_request_id": turn.client_request_id}
        headers = {"Last-Event-ID": "0"}
        options = {"json": body, "headers": headers, "stream": True}
        with there.send("POST", "/chat/stream", **options) as response:
            gate.release()
            lines = [line for line in response.iter_lines() if line.startswith(b"data: ")]
        first.read_until(turn)
    frames = [json.loads(line[6:]) for line in lines]
    assert frames == turn.frames[1:]


def test_history_and_verdicts_are_the_same_at_both_instances(
    cluster: Cluster, here: Visitor, there: Visitor
) -> None:
    with here.open_socket() as socket:
        turn = socket.ask("remember this")
    with there.open_socket() as socket:
        follow_up = socket.ask("and this", conversation_id=turn.conversation_id)
    assert there.judge(True, trace_id=turn.trace_id).status_code == 200
    path = f"/conversations/{turn.conversation_id}"
    assert here.send("GET", path).json() == there.send("GET", path).json()
    told = [m["content"] for m in cluster.model.asked("and this")[0].messages]
    assert told[1:3] == ["remember this", turn.text]
    assert follow_up.conversation_id == turn.conversation_id
    eventually(lambda: cluster.reader.verdict(turn.trace_id) is True, timeout=30)


def test_a_page_goes_on_at_the_other_instance_when_its_own_restarts(
    cluster: Cluster, open_page: Callable[..., ChatPage]
) -> None:
    gates = [cluster.model.gate(), cluster.model.gate()]
    story: list[Step] = ["It began. ", gates[0], "It went on. ", gates[1], "The end."]
    cluster.model.answer_when("long story", Answer(tokens=story))
    with Balancer([web.url for web in cluster.webs]) as balancer:
        balancer.prefer(cluster.web.url)
        chat = open_page(balancer.url)
        chat.ask("A long story, please")
        expect(answer_text(chat.answers)).to_have_text("It began.")
        balancer.prefer(cluster.second.url)
        tab = ChatPage(chat.page.context.new_page()).open(chat.page.url)
        expect(answer_text(tab.answers)).to_have_text("It began.")

        balancer.prefer(cluster.web.url)
        cluster.second.ask_to_end()  # the second tab was there
        gates[0].release()
        expect(answer_text(tab.answers)).to_contain_text("It went on.")
        eventually(lambda: not cluster.second.is_running, timeout=40)
        cluster.second.start()

        balancer.prefer(cluster.second.url)
        cluster.web.ask_to_end()  # the turn runs there, and both tabs are there
        gates[1].release()
        for page in (chat, tab):
            expect(page.answers).to_have_attribute("data-ending", "complete", timeout=30_000)
            expect(answer_text(page.answers)).to_have_text("It began. It went on. The end.")
            assert len(page.frames("done")) == 1
        eventually(lambda: not cluster.web.is_running, timeout=40)
        thumb(tab.answers, "up").click()
        expect_recorded(tab.answers)
        assert cluster.reader.verdict(trace_id(tab.answers)) is True
        chat.ask_and_wait("still there?")


@pytest.fixture(scope="module")
def two_workers(
    tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer, shared_cluster: Cluster
) -> Iterator[Stack]:
    """One web server with two worker processes, on SQLite and Redis."""
    folder = tmp_path_factory.mktemp("two-workers")
    redis = shared_cluster.redis.url
    stack = Stack(folder, mlflow_server, WEB_CONCURRENCY="2", REDIS_URL=redis)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def test_several_workers_of_one_machine_share_sqlite_and_redis(two_workers: Stack) -> None:
    stack = two_workers
    gate = stack.model.gate()
    stack.model.answer_when("share", Answer(tokens=["one ", gate, "two"]))
    visitor = Visitor(stack.url)
    with visitor.open_socket() as first:
        turn = first.read_until(first.send_message("share"), "token")
        # The kernel hands connections out as it likes: of several some are at each worker.
        with ExitStack() as opened:
            watchers = [opened.enter_context(visitor.open_socket()) for _ in range(6)]
            for watcher in watchers:
                watcher.send(resumed(turn, -1))
            seen = [one.read_until(Turn(turn.client_request_id), "token") for one in watchers]
            stop = {"client_request_id": turn.client_request_id}
            answers = [visitor.send("POST", "/chat/stop", json=stop) for _ in range(4)]
            first.read_until(turn)
            for watcher, watched in zip(watchers, seen, strict=True):
                assert watcher.read_until(watched).frames == turn.frames
    assert {answer.status_code for answer in answers} == {200}
    assert (turn.last["finish_reason"], turn.text) == ("stopped", "one ")


def test_metrics_speak_for_all_workers_of_a_server(two_workers: Stack) -> None:
    stack = two_workers
    visitor = Visitor(stack.url)
    before = scrape(stack)
    with ExitStack() as opened:
        sockets = [opened.enter_context(visitor.open_socket()) for _ in range(6)]
        for socket in sockets:
            assert socket.ask("who counts?").last["type"] == "done"
        expected = {"thumbprint_open_sockets": float(len(sockets))} | {
            name: before[name] + len(sockets)
            for name in (ENDED, "thumbprint_turn_duration_seconds_count")
        }
        # Whoever of the two answers the scrape.
        for _ in range(6):
            eventually(lambda: expected.items() <= scrape(stack).items())
        workers = family(stack.web.pid)[1:]
        os.kill(workers[0], signal.SIGKILL)
        eventually(lambda: set(family(stack.web.pid)[1:]) - set(workers), timeout=30)
        # What a worker held open is gone with it; what it counted is not.
        eventually(lambda: scrape(stack)["thumbprint_open_sockets"] == still_open(sockets))
        assert scrape(stack)["thumbprint_turns_ended_total"] == expected[ENDED]


def scrape(stack: Stack) -> dict[str, float]:
    """The metrics as one of the workers tells them; values of one name are added up."""
    text = requests.get(f"{stack.url}/metrics", timeout=30).text
    found: defaultdict[str, float] = defaultdict(float)
    for family_ in text_string_to_metric_families(text):
        for sample in family_.samples:
            found[sample.name] += sample.value
    return found


def still_open(sockets: list[ChatSocket]) -> int:
    """How many of these sockets are open."""
    return sum(socket.connection.state is State.OPEN for socket in sockets)


def test_a_worker_killed_for_its_memory_is_replaced_and_its_turn_ends_honestly(
    two_workers: Stack,
) -> None:
    stack = two_workers
    gate = stack.model.gate()
    stack.model.answer_when("too much", Answer(tokens=["one ", gate, "two"]))
    visitor = Visitor(stack.url)
    workers = set(family(stack.web.pid)[1:])
    assert len(workers) == 2
    with visitor.open_socket() as socket:
        turn = socket.read_until(socket.send_message("too much"), "token")
        # The watch notes a turn's text every second; wait until it has.
        eventually(lambda: only_turn(visitor, turn.conversation_id)["answer"] == "one ")
        os.kill(worker_with_a_connection_to(stack, workers), signal.SIGKILL)
    eventually(lambda: set(family(stack.web.pid)[1:]) - workers, timeout=30)
    ended = eventually(
        lambda: (one := only_turn(visitor, turn.conversation_id))["ending"] != "running" and one,
        timeout=30,
    )
    assert (ended["ending"], ended["answer"]) == ("interrupted", "one ")
    eventually(lambda: stack.reader.is_stored(ended["trace_id"]), timeout=30)
    with visitor.open_socket() as socket:
        assert socket.ask("who are you?").last["type"] == "done"


def worker_with_a_connection_to(stack: Stack, workers: set[int]) -> int:
    """The worker that runs the only turn: the one connected to the model."""
    port = f"{stack.model.port:04X}"
    for worker in workers:
        opened = {str(one.readlink()) for one in Path(f"/proc/{worker}/fd").iterdir()}
        for line in Path(f"/proc/{worker}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[2].endswith(f":{port}") and f"socket:[{fields[9]}]" in opened:
                return worker
    raise AssertionError("no worker is connected to the model")

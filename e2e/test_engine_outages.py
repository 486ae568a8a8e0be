"""Redis emptied and restarted, PostgreSQL restarted, MLflow restarted, while people chat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.balancer import Balancer
from e2e.steady_reader import SteadyReader, SteadyTurn
from e2e.visitor import Turn, Visitor
from tests.cluster import Cluster
from tests.scripted_model import Answer
from tests.waiting import eventually

PEOPLE = 6
OUTAGES: dict[str, Callable[[Cluster], object]] = {
    "redis emptied": lambda cluster: cluster.redis.client().flushall(),
    "redis restarted": lambda cluster: cluster.redis.restart(),
    "postgresql restarted": lambda cluster: cluster.postgresql.restart(),
    "mlflow restarted": lambda cluster: cluster.mlflow.restart(),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_answers_that_run_through_an_outage_are_whole_and_judged_once(
    cluster: Cluster, outage: str
) -> None:
    gate = cluster.model.gate()
    answers = {}
    for person in range(PEOPLE):
        words = [f"{outage} {person}-{number} " for number in range(30)]
        answers[person] = Answer(tokens=[*words[:15], gate, *words[15:]], delay_s=0.01)
        cluster.model.answer_when(f"{outage} of {person}.", answers[person])
    with Balancer([web.url for web in cluster.webs]) as balancer:
        readers = [SteadyReader(Visitor(balancer.url)) for _ in range(PEOPLE)]

        def ask_and_judge(person: int) -> SteadyTurn:
            turn = readers[person].ask(f"{outage} of {person}.")
            readers[person].judge(turn, person % 2 == 0)
            readers[person].close()
            return turn

        with ThreadPoolExecutor(PEOPLE) as pool:
            turns = [pool.submit(ask_and_judge, person) for person in range(PEOPLE)]
            try:
                eventually(lambda: len(cluster.model.requests) == PEOPLE, timeout=60)
                gate.wait_reached()
                OUTAGES[outage](cluster)
            finally:
                gate.release()
            told = [turn.result() for turn in turns]
    for person, turn in enumerate(told):
        assert (turn.text, turn.frames[-1]["type"]) == (answers[person].text, "done")
        expect_verdict(cluster, turn.frames[-1]["trace_id"], person % 2 == 0)
    asked = Counter(request.question for request in cluster.model.requests)
    assert set(asked.values()) == {1}


def expect_verdict(cluster: Cluster, trace_id: str, verdict: bool) -> None:
    """Wait until MLflow has the one verdict on the trace."""
    eventually(lambda: cluster.reader.verdict(trace_id) is verdict, timeout=90, every=0.5)


def test_a_reader_at_the_other_instance_ends_with_the_same_text_when_redis_is_emptied(
    cluster: Cluster,
) -> None:
    gate = cluster.model.gate()
    cluster.model.answer_when("emptied", Answer(tokens=["one ", gate, "two ", "three"]))
    here = Visitor(cluster.web.url)
    with here.open_socket() as first, here.at(cluster.second.url).open_socket() as second:
        turn = first.read_until(first.send_message("emptied"), "token")
        watched = Turn(turn.client_request_id)
        request = {"client_request_id": turn.client_request_id, "after_seq": -1}
        second.send({"type": "resume", **request})
        second.read_until(watched, "token")
        cluster.redis.client().flushall()
        gate.release()
        first.read_until(turn)
        second.read_until(watched)
    assert watched.frames == turn.frames
    assert [frame["type"] for frame in watched.frames].count("done") == 1
    assert turn.text == "one two three"

"""Traces and verdicts in a real MLflow server: what was written is what is read back."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Span, SpanType

from app.errors import ModelError
from app.llm import connect
from app.llm.agent import AgentModel, Message
from app.settings import load_settings
from app.tracing.failures import NotDelivered
from app.tracing.spans import Recorder, TokenUsage, Trace
from app.tracing.tracking import TrackingServer, Verdict
from tests.forgetful_proxy import forgetful_proxy
from tests.mlflow_reader import MlflowReader
from tests.processes import free_port
from tests.servers import MlflowServer
from tests.turn_scene import TurnScene
from tests.waiting import eventually

EXPERIMENT = "tracing-tests"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why? 😀"}]
numbers = itertools.count()


@pytest.fixture(scope="module")
def tracking(mlflow_server: MlflowServer, recorder: Recorder) -> TrackingServer:
    """A server that has taken a trace before: its first one takes it seconds."""
    tracking = TrackingServer(mlflow_server.url, EXPERIMENT)
    _, trace = record(recorder)

    def taken() -> bool:
        tracking.write_trace(trace)
        return True

    eventually(taken, timeout=60)
    return tracking


@pytest.fixture(scope="module")
def reader(mlflow_server: MlflowServer) -> MlflowReader:
    return MlflowReader(mlflow_server.url, EXPERIMENT)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder({"thumbprint.version": "1.2.3", "thumbprint.environment": "test"})


def record(recorder: Recorder, error: Exception | None = None) -> tuple[str, Trace]:
    """One finished turn: its trace ID and trace."""
    trace = recorder.start_turn()
    trace.describe(f"req-{next(numbers)}", "ann", "conversation-1", MESSAGES)
    trace.start_llm("tiny", MESSAGES)
    ending = "failed" if error else "complete"
    finished = trace.end(ending, "Because.", usage=TokenUsage(11, 7), error=error)  # type: ignore[arg-type]
    return trace.trace_id, finished


def llm_span(reader: MlflowReader, trace_id: str) -> Span:
    """The span of the model call."""
    (found,) = (s for s in reader.trace(trace_id).data.spans if s.span_type == SpanType.CHAT_MODEL)
    return found


def test_a_clock_that_jumps_back_makes_no_span_that_ends_before_it_began(
    tracking: TrackingServer, reader: MlflowReader
) -> None:
    times = itertools.count(1_795_478_400_000_000_000, -3_600_000_000_000)
    trace_id, trace = record(Recorder({}, clock_ns=lambda: next(times)), ModelError("oh"))
    tracking.write_trace(trace)
    stored = reader.trace(trace_id)
    for span in stored.data.spans:
        assert span.start_time_ns <= (span.end_time_ns or 0)
    assert (stored.info.execution_duration or 0) >= 0


@pytest.fixture
def stored(recorder: Recorder, tracking: TrackingServer) -> str:
    """The ID of a trace that MLflow holds."""
    trace_id, trace = record(recorder)
    tracking.write_trace(trace)
    return trace_id


def verdict(trace_id: str, value: object, **changes: object) -> Verdict:
    values: dict[str, object] = {
        "assessment_id": "a-" + trace_id[3:],
        "trace_id": trace_id,
        "kind": "feedback",
        "name": "user_feedback",
        "value": value,
        "source_type": "HUMAN",
        "source_id": "ann",
        "rationale": None,
        "metadata": {"client_request_id": "r1"},
    }
    return Verdict(**(values | changes))  # type: ignore[arg-type]


def test_a_trace_is_readable_with_everything_it_should_say(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    trace_id, trace = record(recorder)
    tracking.write_trace(trace)
    trace = reader.trace(trace_id)
    assert reader.is_stored(trace_id)
    info = trace.info
    assert info.client_request_id is not None
    assert info.client_request_id.startswith("req-")
    assert info.trace_metadata["mlflow.trace.user"] == "ann"
    assert info.trace_metadata["mlflow.trace.session"] == "conversation-1"
    assert str(info.state.value) == "OK"
    assert info.tags["thumbprint.version"] == "1.2.3"
    assert info.tags["thumbprint.environment"] == "test"
    assert info.tags["thumbprint.ending"] == "complete"
    assert info.token_usage == {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    root = next(span for span in trace.data.spans if span.parent_id is None)
    assert root.name == "chat_turn"
    assert root.inputs == {"messages": MESSAGES}
    assert root.outputs == "Because."
    llm = llm_span(reader, trace_id)
    assert llm.parent_id == root.span_id
    assert llm.inputs["model"] == "tiny"
    assert str(llm.status.status_code.value) in {"OK", "STATUS_CODE_OK"}


def test_a_failed_turn_is_an_error_with_its_exception(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    trace_id, trace = record(recorder, ModelError("It broke.", code="model_cut_off"))
    tracking.write_trace(trace)
    trace = reader.trace(trace_id)
    assert str(trace.info.state.value) == "ERROR"
    assert trace.info.tags["thumbprint.ending"] == "failed"
    for span in trace.data.spans:
        assert [event.name for event in span.events] == ["exception"]
        assert "It broke." in str(span.events[0].attributes)


def test_a_trace_written_twice_is_one_trace(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    trace_id, trace = record(recorder)
    tracking.write_trace(trace)
    once = reader.trace(trace_id).to_dict()
    tracking.write_trace(trace)
    assert reader.trace(trace_id).to_dict() == once
    assert len(reader.traces(f"request_id = '{trace_id}'")) == 1


def test_a_trace_written_twice_at_once_is_one_trace(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    trace_id, trace = record(recorder)

    def write(_: int) -> bool:
        try:
            tracking.write_trace(trace)
        except NotDelivered as error:
            return not error.refused  # then the outbox repeats it
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write, range(4)))
    tracking.write_trace(trace)
    assert reader.is_stored(trace_id)
    assert len(reader.trace(trace_id).data.spans) == 2


def test_a_verdict_on_a_stored_trace_keeps_its_feedback_when_the_trace_comes_again(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    trace_id, trace = record(recorder)
    tracking.write_trace(trace)
    tracking.write_verdict(verdict(trace_id, True))
    tracking.write_trace(trace)
    assert reader.verdict(trace_id) is True


def test_interleaved_turns_do_not_mix(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    traces = [recorder.start_turn() for _ in range(6)]
    for number, trace in enumerate(traces):
        trace.describe(f"mix-{number}", f"user-{number}", "c", MESSAGES)
        trace.start_llm(f"model-{number}", MESSAGES)
    finished = [trace.end("complete", f"answer {n}") for n, trace in enumerate(traces)]
    for number, trace in enumerate(traces):
        tracking.write_trace(finished[number])
        found = reader.trace(trace.trace_id)
        assert found.info.trace_metadata["mlflow.trace.user"] == f"user-{number}"
        assert llm_span(reader, trace.trace_id).inputs["model"] == f"model-{number}"
        assert len(found.data.spans) == 2


def test_a_trace_that_died_with_its_process_is_written_under_its_own_id(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    lost = "tr-" + "0" * 28 + f"{next(numbers):04x}"
    trace = recorder.restart_turn(lost, 1_795_478_400_000, 1_795_478_402_500)
    assert trace.trace_id == lost
    trace.describe("req-lost", "ann", "c", MESSAGES)
    tracking.write_trace(trace.end("interrupted", "Half", error=ModelError("Interrupted.")))
    info = reader.trace(lost).info
    assert (info.request_time, info.execution_duration) == (1_795_478_400_000, 2500)
    assert recorder.start_turn().trace_id != lost


def test_a_long_answer_and_odd_text_survive(
    tracking: TrackingServer, reader: MlflowReader, recorder: Recorder
) -> None:
    trace = recorder.start_turn()
    trace.describe("req-long", "ünï😀", "c", MESSAGES)
    answer = '😀"\\\n\t</script>' * 5000
    tracking.write_trace(trace.end("complete", answer))
    found = reader.trace(trace.trace_id)
    assert found.data.spans[0].outputs == answer
    assert found.info.trace_metadata["mlflow.trace.user"] == "ünï😀"


# Verdicts


def test_a_verdict_is_read_back_as_it_was_given(
    tracking: TrackingServer, reader: MlflowReader, stored: str
) -> None:
    tracking.write_verdict(verdict(stored, False, rationale="Wrong 😀", metadata={"k": "v"}))
    (found,) = reader.verdicts(stored)
    assert (found.name, found.value, found.rationale) == ("user_feedback", False, "Wrong 😀")
    assert (found.source_type, found.source_id) == ("HUMAN", "ann")
    assert found.metadata["k"] == "v"


@pytest.mark.parametrize("value", [True, False, 0.2, 1.0, "text", ["a", "b"]])
def test_every_kind_of_value_survives(
    tracking: TrackingServer, reader: MlflowReader, stored: str, value: object
) -> None:
    tracking.write_verdict(verdict(stored, value))
    found = reader.verdict(stored)
    assert (found, isinstance(found, bool)) == (value, isinstance(value, bool))


def test_a_change_of_mind_updates_the_one_assessment(
    tracking: TrackingServer, reader: MlflowReader, stored: str
) -> None:
    tracking.write_verdict(verdict(stored, False, rationale="Wrong"))
    tracking.write_verdict(verdict(stored, True))
    (found,) = reader.verdicts(stored)
    assert (found.value, found.rationale or None) == (True, None)


def test_the_same_verdict_again_changes_nothing(
    tracking: TrackingServer, reader: MlflowReader, stored: str
) -> None:
    for _ in range(3):
        tracking.write_verdict(verdict(stored, True, rationale="Right"))
    (found,) = reader.verdicts(stored)
    assert (found.value, found.rationale) == (True, "Right")


def test_eight_writers_at_once_make_one_assessment(
    tracking: TrackingServer, reader: MlflowReader, stored: str
) -> None:
    together = threading.Barrier(8)

    def write(_: int) -> None:
        together.wait(10)
        tracking.write_verdict(verdict(stored, True))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert reader.verdict(stored) is True


def test_a_withdrawal_removes_the_assessment_and_may_be_repeated(
    tracking: TrackingServer, reader: MlflowReader, stored: str
) -> None:
    one = verdict(stored, True)
    tracking.write_verdict(one)
    for _ in range(2):
        tracking.withdraw(stored, one.assessment_id)
    assert reader.verdicts(stored) == []
    tracking.write_verdict(one)
    assert reader.verdict(stored) is True


def test_a_correction_is_an_expectation(
    tracking: TrackingServer, reader: MlflowReader, stored: str
) -> None:
    name = "expected_response"
    for text in ("Forty-one", "Forty-two"):
        tracking.write_verdict(verdict(stored, text, kind="expectation", name=name))
    (found,) = reader.trace(stored).info.assessments
    assert found.expectation is not None
    assert (found.name, found.expectation.value) == (name, "Forty-two")


# What is not delivered


def test_a_verdict_on_a_trace_mlflow_does_not_have_is_refused(tracking: TrackingServer) -> None:
    with pytest.raises(NotDelivered) as caught:
        tracking.write_verdict(verdict("tr-" + "f" * 32, True))
    assert (caught.value.refused, caught.value.unreachable) == (True, False)


def test_a_server_that_is_not_there_is_unreachable(recorder: Recorder) -> None:
    away = TrackingServer(f"http://127.0.0.1:{free_port()}", EXPERIMENT, timeout_s=1)
    _, trace = record(recorder)
    for work in (
        lambda: away.write_trace(trace),
        lambda: away.write_verdict(verdict("tr-" + "f" * 32, True)),
        lambda: away.withdraw("tr-" + "f" * 32, "a-1"),
        away.experiment_id,
    ):
        with pytest.raises(NotDelivered) as caught:
            work()
        assert (caught.value.refused, caught.value.unreachable) == (False, True)


def test_a_server_that_would_not_tell_its_version_once_is_asked_again(
    mlflow_server: MlflowServer, recorder: Recorder, reader: MlflowReader
) -> None:
    with forgetful_proxy(mlflow_server.url) as address:
        through_proxy = TrackingServer(address, EXPERIMENT)
        trace_id, trace = record(recorder)
        with pytest.raises(NotDelivered) as caught:
            through_proxy.write_trace(trace)
        assert (caught.value.refused, caught.value.unreachable) == (False, True)
        through_proxy.write_trace(trace)
    assert len(reader.trace(trace_id).data.spans) == 2


def test_the_experiment_is_made_once_whoever_comes_first(mlflow_server: MlflowServer) -> None:
    servers = [TrackingServer(mlflow_server.url, "made-once") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(TrackingServer.experiment_id, servers))
    assert len(ids) == 1


# The seam for agents


def nesting_agent(messages: Sequence[Message]) -> Iterator[str]:
    """An agent as its owner would write it: with spans of its own."""
    with mlflow.start_span("retrieve") as span:
        span.set_inputs({"question": messages[-1]["content"]})
    yield "Because"
    with mlflow.start_span("rank"), mlflow.start_span("score"):
        pass
    yield " so."


def open_span_agent(messages: Sequence[Message]) -> Iterator[str]:
    """An agent that yields inside its span, and so leaves it open when it is stopped."""
    with mlflow.start_span("thinking"):
        for number in itertools.count():
            yield f"{number} "
            WAITING.wait(0.01)


WAITING = threading.Event()


def scene_with(folder: Path, tracking: TrackingServer, agent: str) -> TurnScene:
    settings = load_settings(_env_file=None, chat_agent=f"tests.test_tracing:{agent}")
    model = connect(settings)
    assert isinstance(model, AgentModel)
    return TurnScene(folder, model=model, tracking=tracking)


def test_an_agents_own_spans_nest_under_the_turn(
    tmp_path: Path, tracking: TrackingServer, reader: MlflowReader
) -> None:
    scene = scene_with(tmp_path, tracking, "nesting_agent")
    _, done = scene.answer("Why?")
    scene.close()
    assert done["trace_state"] == "stored"
    spans = {span.name: span for span in reader.trace(done["trace_id"]).data.spans}
    assert set(spans) == {"chat_turn", "retrieve", "rank", "score"}
    assert spans["retrieve"].parent_id == spans["chat_turn"].span_id
    assert spans["rank"].parent_id == spans["chat_turn"].span_id
    assert spans["score"].parent_id == spans["rank"].span_id
    assert spans["chat_turn"].outputs == "Because so."


def test_an_agent_stopped_inside_its_span_costs_neither_its_trace_nor_the_next(
    tmp_path: Path, tracking: TrackingServer, reader: MlflowReader
) -> None:
    scene = scene_with(tmp_path, tracking, "open_span_agent")
    for number in range(2):
        ref = scene.ask("Why?", client_request_id=f"stop-{number}")
        (turn,) = eventually(lambda: list(scene.engine.running.values()))
        eventually(turn.answer)
        scene.engine.stop("ann", f"stop-{number}")
        done = scene.frames(ref)[-1]
        scene.wait_idle()
        assert (done["finish_reason"], done["trace_state"]) == ("stopped", "stored")
        trace = reader.trace(done["trace_id"])
        assert trace.info.tags["thumbprint.ending"] == "stopped"
        assert "chat_turn" in {span.name for span in trace.data.spans}
    scene.close()


def test_an_agent_that_seeds_random_costs_no_trace_its_id(recorder: Recorder) -> None:
    ids = set()
    for _ in range(2):
        random.seed(42)
        turn = recorder.start_turn()
        ids.add(turn.trace_id)
        turn.discard()
    random.seed()
    assert len(ids) == 2

"""Datasets in a real MLflow server: what people said becomes what is tested, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import create_app
from app.clock import Clock, now_ms
from app.datasets import DatasetDesk, as_jsonl
from app.errors import InvalidValue, NotFound, Unavailable
from app.settings import load_settings
from app.tracing.datasets import EvaluationDatasets, Record
from app.tracing.failures import NotDelivered
from app.tracing.links import Links
from app.tracing.spans import Recorder
from app.tracing.traced_turns import TracedTurns
from app.tracing.tracking import TrackingServer
from app.web.feedback_bodies import LONGEST_CORRECTION
from tests.doubles import ModelDouble
from tests.judged_experiment import JudgedExperiment
from tests.processes import free_port
from tests.servers import MlflowServer
from tests.waiting import eventually

CORRECTION = "Because blue light scatters most."


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder({"thumbprint.version": "7"})


@pytest.fixture
def experiment(
    mlflow_server: MlflowServer, recorder: Recorder, request: pytest.FixtureRequest
) -> JudgedExperiment:
    made = JudgedExperiment(mlflow_server, recorder, request.node.name[:200])

    def known() -> bool:
        made.tracking.experiment_id()
        return True

    eventually(known, timeout=60)
    return made


def desk_on(
    datasets: EvaluationDatasets, experiment: JudgedExperiment, clock: Clock = now_ms
) -> DatasetDesk:
    """A desk of the experiment's turns on datasets of a test's own."""
    tracking = experiment.tracking
    return DatasetDesk(datasets, TracedTurns(tracking), Links("http://x", tracking), clock)


def test_a_thumb_down_becomes_a_record_without_an_expected_answer(
    experiment: JudgedExperiment,
) -> None:
    trace_id = experiment.ask("Why is the sky blue?", thumb=False)
    experiment.ask("Is it far?", thumb=True)
    experiment.ask("And so?")
    built = experiment.desk.build("night", "negative", 1)
    assert built is not None
    assert (built.added, built.total, built.with_expectation) == (1, 1, 0)
    [record] = experiment.desk.records("night")
    # The prompt is the app's, and a test of another prompt asks the same question.
    assert record.inputs == {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    assert record.expectations == {}
    assert record.trace_id == trace_id
    assert record.tags == {
        "thumbprint.trace_id": trace_id,
        "thumbprint.verdict": "negative",
        "thumbprint.version": "7",
        "thumbprint.ending": "complete",
    }


def test_no_answer_of_the_model_becomes_an_expected_one(experiment: JudgedExperiment) -> None:
    experiment.ask("Bad?", thumb=False)
    experiment.ask("Good?", thumb=True)
    experiment.ask("Unjudged?")
    experiment.ask("Corrected?", thumb=False, correction=CORRECTION)
    experiment.desk.build("everything", "all", 1)
    assert experiment.expected("everything") == {
        "Bad?": None,
        "Good?": None,
        "Unjudged?": None,
        "Corrected?": CORRECTION,
    }


def test_only_corrected_questions_where_asked_for(experiment: JudgedExperiment) -> None:
    experiment.ask("Bad?", thumb=False)
    experiment.ask("Blank?", correction="   ")
    experiment.ask("Corrected?", correction=CORRECTION)
    experiment.desk.build("corrected", "corrected", 1)
    assert experiment.expected("corrected") == {"Corrected?": CORRECTION}


def test_building_again_changes_nothing(experiment: JudgedExperiment) -> None:
    experiment.ask("Why?", thumb=False, correction=CORRECTION)
    experiment.desk.build("again", "negative", 1)
    before = list(as_jsonl(experiment.desk.records("again")))
    built = experiment.desk.build("again", "negative", 1)
    assert built is not None
    assert (built.added, built.changed, built.unchanged, built.total) == (0, 0, 1, 1)
    assert list(as_jsonl(experiment.desk.records("again"))) == before


def test_a_dataset_follows_what_people_change_and_take_back(experiment: JudgedExperiment) -> None:
    changed = experiment.ask("Changed?", thumb=False, correction="First.")
    withdrawn = experiment.ask("Withdrawn?", thumb=False, correction="Never mind.")
    experiment.desk.build("followed", "corrected", 1)
    experiment.say(changed, "expected_response", "Second.")
    experiment.withdraw(withdrawn, "expected_response")
    built = experiment.desk.build("followed", "corrected", 1)
    assert built is not None
    assert (built.added, built.changed, built.total, built.with_expectation) == (0, 2, 2, 1)
    assert experiment.expected("followed") == {"Changed?": "Second.", "Withdrawn?": None}


def test_the_latest_correction_of_a_question_wins_whichever_is_added_last(
    experiment: JudgedExperiment,
) -> None:
    first = experiment.ask("Why?", correction="First.")
    experiment.ask("Why?", correction="Second.")
    unjudged = experiment.ask("Why?")
    experiment.desk.build("one", "all", 1)
    assert experiment.expected("one") == {"Why?": "Second."}
    for trace_id in (first, unjudged):
        added = experiment.desk.add_trace("one", trace_id)
        assert (added.added, added.changed, added.total) == (0, 0, 1)
    assert experiment.expected("one") == {"Why?": "Second."}


def test_one_trace_is_added_once(experiment: JudgedExperiment) -> None:
    trace_id = experiment.ask("Why?", thumb=False, correction=CORRECTION)
    added = experiment.desk.add_trace("triage", trace_id)
    assert (added.added, added.with_expectation) == (1, 1)
    again = experiment.desk.add_trace("triage", trace_id)
    assert (again.added, again.changed, again.unchanged, again.total) == (0, 0, 1, 1)


def test_a_deleted_trace_keeps_its_record_and_its_correction(experiment: JudgedExperiment) -> None:
    trace_id = experiment.ask("Why?", correction=CORRECTION)
    experiment.desk.build("kept", "corrected", 1)
    experiment.reader.client.delete_traces(experiment.reader.experiment_id, trace_ids=[trace_id])
    experiment.desk.build("kept", "corrected", 1)
    experiment.desk.add_trace("kept", experiment.ask("Why?"))
    assert experiment.expected("kept") == {"Why?": CORRECTION}


def test_traces_that_are_not_ours_are_passed_over(experiment: JudgedExperiment) -> None:
    known = experiment.ask("Why?")
    turns = TracedTurns(experiment.tracking)
    found = list(turns.load(["tr-" + "0" * 32, known]))
    assert [turn and turn.trace_id for turn in found] == [None, known]


def test_nothing_found_makes_no_dataset(experiment: JudgedExperiment) -> None:
    experiment.ask("Why?", thumb=True)
    assert experiment.desk.build("empty", "negative", 1) is None
    assert experiment.desk.names() == []


def test_the_longest_correction_arrives_whole(experiment: JudgedExperiment) -> None:
    longest = "😀" * LONGEST_CORRECTION
    experiment.ask("Why?", correction=longest)
    experiment.desk.build("long", "corrected", 1)
    assert experiment.expected("long") == {"Why?": longest}


def test_two_who_build_at_once_get_one_dataset(experiment: JudgedExperiment) -> None:
    trace_ids = [experiment.ask(f"Question {number}?") for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda one: experiment.desk.add_trace("shared", one), trace_ids))
    assert experiment.desk.names() == ["shared"]
    assert len(experiment.expected("shared")) == 6


def test_what_a_developer_added_to_a_record_stays(experiment: JudgedExperiment) -> None:
    trace_id = experiment.ask("Why?", thumb=False, correction=CORRECTION)
    experiment.desk.build("tended", "negative", 1)
    [record] = experiment.desk.records("tended")
    added = replace(record, expectations={"expected_facts": ["blue"]}, tags={"team": "sky"})
    dataset = experiment.desk.find("tended")
    experiment.datasets.merge(dataset.id, [added])
    built = experiment.desk.build("tended", "negative", 1)
    assert built is not None
    assert (built.changed, built.unchanged) == (0, 1)

    experiment.withdraw(trace_id, "expected_response")
    experiment.desk.build("tended", "negative", 1)
    [record] = experiment.desk.records("tended")
    assert record.expectations == {"expected_facts": ["blue"]}
    assert record.tags["team"] == "sky"


def test_a_correction_counts_again_when_the_later_one_is_taken_back(
    experiment: JudgedExperiment,
) -> None:
    experiment.ask("Why?", correction="First.")
    experiment.desk.build("both", "corrected", 1)
    later = experiment.ask("Why?", thumb=False, correction="Second.")
    experiment.desk.add_trace("both", later)
    assert experiment.expected("both") == {"Why?": "Second."}
    experiment.withdraw(later, "expected_response")
    experiment.desk.add_trace("both", later)  # which does not find the first by itself
    assert experiment.expected("both") == {"Why?": "First."}


class RefusesAll(EvaluationDatasets):
    """A server that takes no record any more."""

    def _upsert(self, dataset_id: str, records: Sequence[Record]) -> None:
        raise NotDelivered("400: no", refused=True)


def test_a_record_that_is_refused_when_it_is_written_anew_is_named_and_not_counted(
    experiment: JudgedExperiment,
) -> None:
    trace_id = experiment.ask("Why?", thumb=False, correction=CORRECTION)
    experiment.desk.build("lost", "negative", 1)
    experiment.withdraw(trace_id, "expected_response")
    desk = desk_on(RefusesAll(experiment.tracking), experiment)
    built = desk.build("lost", "negative", 1)
    assert built is not None
    assert (built.added, built.changed, built.total, built.refused) == (0, 0, 0, (trace_id,))


class RestartsAfterRemoval(EvaluationDatasets):
    """A server that does not answer the two requests after a removal."""

    failures = 0

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if self.failures:
            self.failures -= 1
            raise NotDelivered("restarting", unreachable=True)
        if method == "DELETE":
            self.failures = 2
        return super()._call(method, path, body)


def test_a_record_written_anew_survives_a_moment_without_mlflow(
    experiment: JudgedExperiment,
) -> None:
    trace_id = experiment.ask("Why?", thumb=False, correction=CORRECTION)
    experiment.desk.build("kept", "negative", 1)
    experiment.withdraw(trace_id, "expected_response")
    desk = desk_on(RestartsAfterRemoval(experiment.tracking), experiment)
    assert desk.build("kept", "negative", 1)
    assert experiment.expected("kept") == {"Why?": None}


class Raced(EvaluationDatasets):
    """Another process makes every dataset a moment earlier."""

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if path == "/create":
            super()._call(method, path, body)
        return super()._call(method, path, body)


def test_of_two_processes_that_make_one_dataset_the_later_takes_its_own_back(
    experiment: JudgedExperiment,
) -> None:
    made = Raced(experiment.tracking).find_or_create("shared")
    assert experiment.datasets.known() == [made]


class RefusesOne(EvaluationDatasets):
    """A server that refuses every request that contains a certain question."""

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if method == "POST" and "too long" in json.dumps(body):
            raise NotDelivered("413: too large", refused=True)
        return super()._call(method, path, body)


def test_what_mlflow_refuses_is_named_and_the_rest_goes_in(
    experiment: JudgedExperiment,
) -> None:
    experiment.ask("Fine?", thumb=False)
    refused = experiment.ask("Fine too?", thumb=False, correction="too long")
    desk = desk_on(RefusesOne(experiment.tracking), experiment)
    built = desk.build("partly", "negative", 1)
    assert built is not None
    assert (built.added, built.changed, built.refused) == (1, 0, (refused,))
    assert experiment.expected("partly") == {"Fine?": None}


def test_an_unknown_trace_or_dataset_is_said_to_be_unknown(experiment: JudgedExperiment) -> None:
    with pytest.raises(NotFound, match="no trace of a turn"):
        experiment.desk.add_trace("x", "tr-" + "0" * 32)
    assert experiment.desk.names() == []
    experiment.desk.add_trace("known", experiment.ask("Why?"))
    with pytest.raises(NotFound, match=r"no dataset 'x'\. There is: known\."):
        experiment.desk.records("x")


@pytest.mark.parametrize("name", ["", " ", "a'b", 'a"b', "a/b", "x" * 101, "a\nb"])
def test_a_bad_name_is_refused(name: str, experiment: JudgedExperiment) -> None:
    with pytest.raises(InvalidValue, match="name: expected"):
        experiment.desk.build(name, "all", 1)


def test_without_mlflow_it_says_so(recorder: Recorder) -> None:
    tracking = TrackingServer(f"http://127.0.0.1:{free_port()}", "nowhere")
    desk = DatasetDesk(
        EvaluationDatasets(tracking), TracedTurns(tracking), Links("http://x", tracking)
    )
    with pytest.raises(Unavailable, match="MLflow cannot be reached"):
        desk.build("x", "all", 1)


def test_records_of_many_pages_are_all_read(experiment: JudgedExperiment) -> None:
    dataset = experiment.datasets.find_or_create("large")
    many = [Record({"messages": [{"role": "user", "content": str(n)}]}) for n in range(1001)]
    assert experiment.datasets.merge(dataset.id, many) == []
    assert {one.key for one in experiment.datasets.records(dataset.id)} == {one.key for one in many}


@pytest.fixture
def app(
    tmp_path: Path, experiment: JudgedExperiment, mlflow_server: MlflowServer
) -> Iterator[Flask]:
    settings = load_settings(
        _env_file=None,
        data_dir=tmp_path,
        openai_base_url="http://127.0.0.1:1",
        mlflow_tracking_uri=mlflow_server.url,
        mlflow_experiment_name=experiment.name,
    )
    app = create_app(settings, ModelDouble())
    yield app
    app.extensions["thumbprint"].database.close()


def test_the_commands_build_and_export(app: Flask, experiment: JudgedExperiment) -> None:
    run = app.test_cli_runner().invoke
    nothing = run(args=["dataset", "build", "--name", "night"])
    assert nothing.output == "No thumb down in the last 24 hours, so no dataset was made.\n"
    trace_id = experiment.ask("Why?", thumb=False, correction="Wegen der Luft: 空.")
    built = run(args=["dataset", "build", "--name", "night", "--from", "corrected", "--hours", "1"])
    assert built.exit_code == 0, built.output
    assert "night: 1 added, 0 changed, 0 as they were.\n" in built.output
    assert "Records: 1, with an expected answer: 1.\n" in built.output
    exported = run(args=["dataset", "export", "--name", "night"])
    [line] = exported.stdout.splitlines()
    assert json.loads(line) == {
        "inputs": {"messages": [{"role": "user", "content": "Why?"}]},
        "expectations": {"expected_response": "Wegen der Luft: 空."},
        "tags": {
            "thumbprint.trace_id": trace_id,
            "thumbprint.verdict": "negative",
            "thumbprint.version": "7",
            "thumbprint.ending": "complete",
        },
        "source": {"trace_id": trace_id},
    }


def test_the_commands_fail_with_one_line(app: Flask) -> None:
    failed = app.test_cli_runner().invoke(args=["dataset", "export", "--name", "none"])
    assert failed.exit_code == 1
    assert failed.output == "Error: There is no dataset 'none'. There is: none yet.\n"


def test_a_command_that_could_not_add_everything_fails(
    app: Flask, experiment: JudgedExperiment
) -> None:
    experiment.ask("Fine?", thumb=False)
    experiment.ask("Fine too?", thumb=False, correction="too long")
    picky = desk_on(RefusesOne(experiment.tracking), experiment)
    app.extensions["thumbprint"] = replace(app.extensions["thumbprint"], datasets=picky)
    command = ["dataset", "build", "--name", "partly", "--from", "negative"]
    built = app.test_cli_runner().invoke(args=command)
    assert built.exit_code == 1
    assert "1 added" in built.output
    assert "MLflow refused the record of tr-" in built.output


def test_times_are_those_of_the_question(experiment: JudgedExperiment) -> None:
    experiment.ask("Why?", thumb=False)
    later = desk_on(experiment.datasets, experiment, clock=lambda: now_ms() + 2 * 3_600_000)
    assert later.build("late", "negative", 1) is None
    assert later.build("late", "negative", 3) is not None

"""Evaluations: what passes, and that MLflow, the table and the exit status all say the same."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from mlflow.entities import Trace

from app import create_app
from app.cli.evaluate import as_table, summary
from app.errors import ModelError
from app.evaluation.checks import (
    Checked,
    Status,
    Verdict,
    check,
    contains_text,
    is_refusal,
    token_f1,
)
from app.evaluation.evaluator import EXPERIMENT_SUFFIX, Evaluated, Row
from app.evaluation.replay import Replay
from app.llm.endpoint import EndpointModel
from app.settings import Settings, load_settings
from app.tracing.datasets import Record
from app.tracing.evaluation import Asked
from app.tracing.spans import Recorder
from tests.doubles import ModelDouble
from tests.judged_experiment import JudgedExperiment
from tests.mlflow_reader import MlflowReader, verdicts_of
from tests.scripted_model import Answer, ScriptedModel
from tests.servers import MlflowServer
from tests.waiting import eventually

SKY = "Because blue light scatters most."
RIGHT = Verdict(True, "says so")
WRONG = Verdict(False, "says otherwise")
BROKEN = Verdict(None, "timed out")


@pytest.mark.parametrize(
    ("answer", "expected", "verdict", "status"),
    [
        ("Well: because blue light scatters MOST!", SKY, None, "passed"),
        ("Blue light scatters the most.", SKY, None, "passed"),
        ("It mirrors the sea.", SKY, None, "failed"),
        ("It mirrors the sea.", SKY, RIGHT, "passed"),
        (SKY, SKY, WRONG, "failed"),
        (SKY, SKY, BROKEN, "failed"),
        ("I'm sorry, but I can't. " + SKY, SKY, RIGHT, "passed"),
        ("I'm sorry, but I can't. " + SKY, SKY, WRONG, "failed"),
        ("I'm sorry, but I can't say why blue light scatters.", SKY, None, "failed"),
        ("I cannot know that.", "I can't know that.", None, "passed"),
        ("", SKY, None, "failed"),
        (None, SKY, RIGHT, "failed"),
        ("...", SKY, None, "failed"),
        (" 👍", "👍 ", None, "passed"),
        ("+", "+", None, "passed"),
        ("+", "-", None, "failed"),
        ("Plus.", "+", None, "failed"),
        ("👍", None, None, "unchecked"),
        ("Anything.", None, None, "unchecked"),
        ("I'm unable to say.", None, None, "failed"),
        (None, None, None, "failed"),
    ],
)
def test_what_passes(
    answer: str | None, expected: str | None, verdict: Verdict | None, status: Status
) -> None:
    assert check(answer, expected, verdict).status == status


@pytest.mark.parametrize(
    ("answer", "why"),
    [("👎", "unlike the correction"), (" \n", "no answer"), (None, "no answer")],
)
def test_only_a_blank_answer_is_none(answer: str | None, why: str) -> None:
    assert check(answer, "👍").why == why


def test_how_similar_an_answer_must_be_can_be_chosen() -> None:
    answer = "Blue light scatters the most."
    assert check(answer, SKY, similar_enough=0.8).status == "passed"
    assert check(answer, SKY, similar_enough=0.81).status == "failed"


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("a b c d", "d c b a", 1.0),
        ("a a b", "a b b", 2 / 3),
        ("a b", "c d", 0.0),
        ("", "", 0.0),
        ("空は青い", "空は赤い", 0.75),
        ("👍", "👍", 1.0),
        ("Don't", "don t", 1.0),
    ],
)
def test_similarity_is_the_f1_of_the_words(one: str, other: str, shared: float) -> None:
    assert token_f1(one, other) == pytest.approx(shared)
    assert token_f1(other, one) == pytest.approx(shared)


def test_a_correction_is_contained_only_as_whole_words_in_a_row() -> None:
    assert contains_text("It is 12 km, roughly.", "12 km")
    assert not contains_text("It is 12 kmh.", "12 km")
    assert not contains_text("12 or so km", "12 km")


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can\u2019t help with that.", True),
        ("As an AI, I have no opinion.", True),
        ("We are unable to say.", True),
        ("I will not do that.", True),
        ("Unfortunately, I am not able to say.", True),
        ("I\u2019m afraid that we can\u2019t.", True),
        ("Thanks for asking! I cannot help with that.", True),
        ("I apologize, but I cannot help with that.", True),
        ("I'm sorry for any confusion, but I can't.", True),
        ("I'm sorry, Dave, I can't do that.", True),
        ("Sorry about that, but I can't.", True),
        ("No, we can't see ultraviolet light.", False),
        ("Thanks to Heisenberg we cannot know both.", False),
        ("Thanks - flights to Hawaii cannot be booked.", False),
        ("Thanks" + " -" * 50_000, False),
        ("You cannot park here.", False),
        ("Because of the sun's light, we can't see stars by day.", False),
        ("Paris. We can not be sure about 1200 AD, but it is Paris today.", False),
        ("Press Escape twice. If it still hangs, we are unable to save the file.", False),
        ("Sure. " + "Because. " * 30 + "I cannot say more.", False),
    ],
)
def test_a_refusal_says_so_at_the_beginning(text: str, refused: bool) -> None:
    assert is_refusal(text) is refused


def test_what_looks_like_a_refusal_passes_where_it_is_what_was_wanted() -> None:
    answer = "I cannot see why not: Paris."
    assert check(answer, "Paris").status == "passed"
    assert check(answer, "Lutetia").why == "refused"
    assert check(answer, "Lutetia", Verdict(True, "the same city")).status == "passed"
    assert check(answer, "Lutetia", Verdict(False, "no city")).why == "refused"


def row(question: str, why: str, trace_id: str | None = "tr-1", seconds: float = 2.0) -> Row:
    """A row of an answer that failed."""
    asked = Asked([{"role": "user", "content": question}], None, None, seconds, trace_id)
    return Row(asked, Checked("failed", why, 7, refused=False))


def test_an_answer_that_mlflow_lost_has_no_words_and_took_no_time() -> None:
    lost = row("Lost?", "MLflow kept no trace of the answer", None, 0.0)
    kept = row("Kept?", "refused")
    assert Evaluated([lost, lost, kept], "").median_seconds == 2.0
    assert re.findall(r"\d", as_table([lost])) == []
    assert Evaluated([lost], "").median_seconds is None
    assert summary(Evaluated([lost], "")) == "0 of 1 checked answers passed (0.0%)."


def test_a_row_is_one_line_of_nothing_but_text() -> None:
    made = row("Why\x1b[2J\x07 is\nthat?", "judge: It is\n\nwrong.\x1b]0;title\x07")
    _, line = as_table([made]).split("\n")
    assert line.isprintable()
    assert line.endswith("  Why [2J is that? (judge: It is wrong. ]0;title)")


def test_a_replay_asks_under_todays_system_prompt() -> None:
    model = ModelDouble()
    recorded = [
        {"role": "system", "content": "Yesterday's."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Two?"},
    ]
    answer = Replay(model, "Today's.", 60)(recorded)
    assert model.asked == [[{"role": "system", "content": "Today's."}, *recorded[1:]]]
    assert (answer.text, answer.model) == ("Hello there.", "double")
    assert list(answer.asked) == model.asked[0]


def test_a_replay_that_takes_too_long_fails() -> None:
    model = ModelDouble()
    seconds = iter([0.0, 1.0, 3.0])
    with pytest.raises(ModelError, match="too long"):
        Replay(model, "", 2, monotonic=lambda: next(seconds))([{"role": "user", "content": "?"}])
    assert model.completions[0].cancelled.is_set()


class Bench:
    """An app whose model is scripted, and an experiment with datasets."""

    def __init__(self, folder: Path, experiment: JudgedExperiment, server: MlflowServer) -> None:
        self.experiment = experiment
        self.model = ScriptedModel()
        self.model.start()
        self.reader = MlflowReader(server.url, experiment.name + EXPERIMENT_SUFFIX)
        self._settings: dict[str, Any] = {
            "data_dir": folder,
            "openai_base_url": self.model.base_url,
            "openai_api_key": "scripted-key",
            "chat_model": "scripted",
            "mlflow_tracking_uri": server.url,
            "mlflow_experiment_name": experiment.name,
        }
        self._apps: list[Flask] = []
        self._models: list[EndpointModel] = []

    def evaluate(self, *arguments: str, **settings: Any) -> Result:
        """Run the command."""
        loaded = load_settings(_env_file=None, **(self._settings | settings))
        app = create_app(loaded, self._open(loaded))
        self._apps.append(app)
        return app.test_cli_runner().invoke(args=["evaluate", *arguments])

    def _open(self, settings: Settings) -> EndpointModel:
        self._models.append(EndpointModel(settings))
        return self._models[-1]

    def close(self) -> None:
        self.model.clear()
        self.model.stop()
        for model in self._models:
            model.close()
        for app in self._apps:
            app.extensions["thumbprint"].database.close()


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder({"thumbprint.version": "7"})


@pytest.fixture
def bench(
    tmp_path: Path,
    mlflow_server: MlflowServer,
    recorder: Recorder,
    request: pytest.FixtureRequest,
) -> Iterator[Bench]:
    experiment = JudgedExperiment(mlflow_server, recorder, request.node.name[:200])

    def known() -> bool:
        experiment.tracking.experiment_id()
        return True

    eventually(known, timeout=60)
    made = Bench(tmp_path, experiment, mlflow_server)
    yield made
    made.close()


def results(result: Result) -> dict[str, str]:
    """Each question of the table, and whether its answer passed."""
    table = re.findall(r"(?m)^(passed|failed|unchecked) .*\d  (.*?\?)", result.output)
    return {question: status for status, question in table}


def values(trace: Trace) -> dict[str, object]:
    """Everything that is said of a trace in MLflow."""
    found = {one.name: one.feedback or one.expectation for one in trace.info.assessments}
    return {name: one.value for name, one in found.items() if one}


def test_the_table_and_mlflow_say_which_answers_pass(bench: Bench) -> None:
    people = bench.experiment
    asked = people.ask("Why is the sky blue?", thumb=False, correction=SKY)
    people.ask("How far is it?", thumb=False, correction="Ten kilometres.")
    people.ask("Is it broken?", thumb=False, correction="No.")
    people.ask("And nobody wrote?", thumb=False)
    people.desk.build("night", "negative", 1)
    bench.model.answer_when("sky", Answer(tokens=["Blue light ", "scatters the most."]))
    bench.model.answer_when("far", Answer(tokens=["I'm sorry, but I can't say."]))
    bench.model.answer_when("broken", Answer(status=500))
    before = {one.info.trace_id: len(one.info.assessments) for one in people.reader.traces()}

    result = bench.evaluate("--dataset", "night")
    assert result.exit_code == 0, result.output
    assert results(result) == {
        "Why is the sky blue?": "passed",
        "How far is it?": "failed",
        "Is it broken?": "failed",
        "And nobody wrote?": "unchecked",
    }
    assert "(no answer: The model failed to answer.)" in result.output
    assert "1 of 3 checked answers passed (33.3%).\n1 not checked" in result.output

    traces = {one.info.tags["thumbprint.trace_id"]: one for one in bench.reader.traces()}
    assert len(traces) == 4
    said = values(traces[asked])
    assert said["passed"] is True
    assert said["similarity"] == pytest.approx(0.8)
    assert {"words", "seconds", "no_refusal", "contains_correction"} <= said.keys()
    assert said["expected_response"] == SKY
    [span] = bench.reader.trace(traces[asked].info.trace_id).data.spans
    assert span.outputs == "Blue light scatters the most."
    assert span.inputs["messages"][0]["content"].startswith("You are a helpful assistant")
    # People's own traces are as they were.
    after = {one.info.trace_id: len(one.info.assessments) for one in people.reader.traces()}
    assert after == before

    found = re.search(r"experiments/(\d+)/runs/(\w+)/evaluations", result.output)
    assert found
    run = bench.reader.client.get_run(found[2])
    assert run.info.experiment_id == found[1] == bench.reader.experiment_id
    assert run.data.metrics["passed/mean"] == pytest.approx(1 / 3)
    assert run.data.params["model"] == "scripted"
    assert run.inputs
    assert run.inputs.dataset_inputs[0].dataset.name == "night"


def test_the_exit_status_holds_to_the_pass_rate(bench: Bench) -> None:
    bench.experiment.ask("Why is the sky blue?", correction=SKY)
    bench.experiment.ask("Why is the grass green?", correction="Chlorophyll.")
    bench.experiment.desk.build("two", "corrected", 1)
    bench.model.answer_when("sky", Answer(tokens=[SKY]))
    assert bench.evaluate("--dataset", "two", "--min-pass-rate", "0.5").exit_code == 0
    result = bench.evaluate("--dataset", "two", "--min-pass-rate", "0.51")
    assert result.exit_code == 1
    assert result.output.endswith("Error: The pass rate 50.0% is below 51.0%.\n")


def test_a_pass_rate_of_nothing_is_no_pass(bench: Bench) -> None:
    bench.experiment.ask("Why?", thumb=False)
    bench.experiment.desk.build("unjudged", "negative", 1)
    result = bench.evaluate("--dataset", "unjudged", "--min-pass-rate", "0")
    assert result.exit_code == 1
    assert "Error: No answer could be checked" in result.output


def test_a_judge_decides_where_there_is_a_correction(bench: Bench) -> None:
    bench.experiment.ask("Why is the sky blue?", correction=SKY)
    bench.experiment.ask("And nobody wrote?")
    bench.experiment.desk.build("judged", "all", 1)
    yes = '{"result": "yes", "rationale": "It means the same."}'
    bench.model.answer_when("sky", Answer(tokens=["Short waves are dispersed."]))
    bench.model.answer_when("<claim>", Answer(tokens=[yes]))
    result = bench.evaluate("--dataset", "judged", evaluation_judge_model="wise")
    assert results(result) == {"Why is the sky blue?": "passed", "And nobody wrote?": "unchecked"}
    judged = [one for one in bench.model.requests if one.body["model"] == "wise"]
    # Tried once, and asked once: there is nothing to hold the other answer against.
    assert len(judged) == 2
    assert SKY in str(judged[1].body["messages"])
    [said] = [
        one
        for trace in bench.reader.traces()
        for one in verdicts_of(trace)
        if one.name == "correctness"
    ]
    assert (said.value, said.rationale) == (True, "It means the same.")
    assert (said.source_type, said.source_id) == ("LLM_JUDGE", "wise")


def test_a_judge_that_answers_nonsense_lets_nothing_pass(bench: Bench) -> None:
    bench.experiment.ask("Why is the sky blue?", correction=SKY)
    bench.experiment.desk.build("judged", "all", 1)
    bench.model.answer_when("sky", Answer(tokens=[SKY]))
    bench.model.answer_when("<claim>", Answer(tokens=["Sure!"]))
    result = bench.evaluate("--dataset", "judged", "--judge", "wise")
    assert results(result) == {"Why is the sky blue?": "failed"}
    assert "(the judge failed: " in result.output


def test_a_judge_that_cannot_be_asked_is_one_line_before_anything_else(bench: Bench) -> None:
    bench.experiment.ask("Why?", correction=SKY)
    bench.experiment.desk.build("judged", "all", 1)
    bench.model.enqueue(Answer(status=401))
    result = bench.evaluate("--dataset", "judged", "--judge", "wise")
    assert result.exit_code == 1
    assert result.output.startswith("Error: The judge wise cannot be asked. The model refused")
    assert len(bench.model.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("--dataset", "none"), {}, "There is no dataset 'none'. There is: empty, listed, other."),
        (("--dataset", "empty"), {}, "The dataset 'empty' has no records."),
        (
            ("--dataset", "other"),
            {},
            "The dataset 'other' has 1 records that are no chat questions",
        ),
        (
            ("--dataset", "listed"),
            {},
            "The dataset 'listed' has 1 records whose expected_response is no text",
        ),
        (("--dataset", "other", "--judge", "x"), {"openai_base_url": None}, "OPENAI_BASE_URL"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    bench: Bench, arguments: tuple[str, ...], settings: dict[str, Any], said: str
) -> None:
    datasets = bench.experiment.datasets
    datasets.merge(datasets.find_or_create("other").id, [Record({"question": "Why?"})])
    datasets.find_or_create("empty")
    asked = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
    either = Record(asked, {"expected_response": ["Paris", "it is Paris"]})
    datasets.merge(datasets.find_or_create("listed").id, [either])
    result = bench.evaluate(*arguments, **settings)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert said in result.output
    assert result.output.count("\n") == 1


def test_without_the_full_mlflow_it_says_what_to_install(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.genai", None)
    result = bench.evaluate("--dataset", "any")
    assert result.exit_code == 1
    assert "pip install -c constraints.txt -e '.[mlflow]'" in result.output
    assert result.output.count("\n") == 1

"""The demo: a month made by the app's own code, told from the real, and gone without a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import create_app
from app.demo import DEMO_TAG, PEOPLE
from app.demo.filling import Filler
from app.demo.plan import DAYS, VERSIONS, Conversation, Vocabulary, make_plan
from app.demo.removing import remove
from app.errors import Conflict, Unavailable
from app.insights.statistics import Rate, difference
from app.settings import Settings, load_settings
from app.store.database import Database
from app.store.tables import conversations, feedback, outbox, turns
from app.tracing.spans import Recorder
from app.tracing.tracking import TrackingServer
from tests.doubles import NOON, ModelDouble
from tests.judged_experiment import JudgedExperiment
from tests.mlflow_reader import verdicts_of
from tests.processes import free_port
from tests.servers import MlflowServer
from tests.waiting import eventually

DAY = 86_400_000
SOME = 24
VOCABULARY = Vocabulary(
    ("accuracy", "helpfulness"), {"up": ["Correct"], "down": ["Incorrect", "Incomplete"]}
)


@pytest.fixture(scope="module")
def plan() -> list[Conversation]:
    return make_plan(NOON, VOCABULARY)


def test_the_same_seed_makes_the_same_plan(plan: list[Conversation]) -> None:
    assert make_plan(NOON, VOCABULARY) == plan
    assert make_plan(NOON, VOCABULARY, seed=25) != plan


def test_the_plan_has_something_of_everything(plan: list[Conversation]) -> None:
    assert [one.starts_at for one in plan] == sorted(one.starts_at for one in plan)
    assert all(NOON - DAYS * DAY <= one.starts_at < NOON for one in plan)
    assert {one.person for one in plan} <= set(PEOPLE)
    assert len({one.person for one in plan}) > 15
    asked = [turn for one in plan for turn in one.turns]
    assert 250 <= len(asked) <= 450
    assert {turn.outcome for turn in asked} == {"complete", "stopped", "failed"}
    said = [turn.said for turn in asked]
    for something in ("comment", "reasons", "stars", "correction", "withdrawn", "copied"):
        assert any(getattr(one, something) for one in said), something
    assert any(one.first_thumb is not None for one in said)
    assert any(turn.again for turn in asked)
    offered = {reason for side in VOCABULARY.reasons.values() for reason in side}
    assert {reason for one in said for reason in one.reasons} <= offered


@pytest.mark.parametrize("later", [0, 3 * DAY + 19_000_000, 5 * DAY])
def test_the_last_version_is_better_and_the_second_is_not(later: int) -> None:
    thumbs: dict[str, Counter[bool]] = {version.name: Counter() for version in VERSIONS}
    for one in make_plan(NOON + later, VOCABULARY):
        thumbs[one.version.name].update(
            turn.said.thumb for turn in one.turns if turn.said.thumb is not None
        )
    first, second, last = (Rate.of(said[True], said.total()) for said in thumbs.values())
    change, progress = difference(second, first), difference(last, second)
    assert change
    assert change.low < 0 < change.high
    assert progress
    assert progress.low > 0.1


@pytest.fixture
def settings(
    tmp_path: Path, mlflow_server: MlflowServer, request: pytest.FixtureRequest
) -> Settings:
    return load_settings(
        _env_file=None,
        data_dir=tmp_path,
        openai_base_url="http://127.0.0.1:1",
        mlflow_tracking_uri=mlflow_server.url,
        mlflow_experiment_name=request.node.name,
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    made = Database(settings.database)
    made.migrate()
    yield made
    made.close()


def count(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    tables = (conversations, turns, feedback, outbox)
    return database.read(
        lambda c: {
            table.name: c.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        }
    )


def test_what_it_makes_is_the_same_here_and_in_mlflow_and_can_be_removed(
    settings: Settings, database: Database, mlflow_server: MlflowServer
) -> None:
    recorder = Recorder({"thumbprint.version": "7"})
    people = JudgedExperiment(mlflow_server, recorder, settings.mlflow_experiment_name)
    real = eventually(lambda: people.ask("Why?", thumb=False), timeout=60)
    filler = Filler(settings, database, people.tracking, clock=lambda: NOON)
    filled = filler.fill(most=SOME)
    assert filler.deliver() == 0
    assert filled.conversations == SOME

    rows = database.read(lambda c: c.execute(select(turns)).all())
    assert len(rows) == filled.turns
    traces = {one.info.trace_id: one for one in people.reader.traces() if one.info.trace_id != real}
    assert traces.keys() == {row.trace_id for row in rows}
    for row in rows:
        info = traces[row.trace_id].info
        assert info.tags[DEMO_TAG] == "true"
        assert info.tags["thumbprint.version"] == row.app_version
        assert info.tags["thumbprint.ending"] == row.ending
        # On paper all of it was long ago, and took its time.
        assert NOON - 30 * DAY < info.request_time == row.created_at < NOON
        assert info.execution_duration == row.ended_at - row.created_at > 300
        assert row.created_at < row.first_token_at <= row.ended_at
    here = database.read(lambda c: c.execute(select(feedback).where(~feedback.c.withdrawn)).all())
    assert here
    there = [said for trace in traces.values() for said in verdicts_of(trace)]
    assert Counter(said.name for said in there) == Counter(
        row.name for row in here if row.kind == "feedback"
    )
    assert all(row.recorded_revision == row.revision for row in here)

    with pytest.raises(Conflict, match="already"):
        filler.fill(most=1)

    people.desk.build("mixed", "negative", 87_600)
    people.desk.add_trace("demo", rows[0].trace_id)
    assert people.desk.names() == ["mixed", "demo"]
    removed = remove(settings, database, people.tracking)
    assert (removed.conversations, removed.traces) == (SOME, filled.turns)
    assert removed.records > 0
    assert set(count(database).values()) == {0}
    assert [one.info.trace_id for one in people.reader.traces()] == [real]
    assert people.desk.names() == ["mixed"]
    assert list(people.expected("mixed")) == ["Why?"]
    again = remove(settings, database, people.tracking)
    assert (again.conversations, again.traces, again.records) == (0, 0, 0)


def test_without_mlflow_it_waits_here(
    settings: Settings, database: Database, mlflow_server: MlflowServer
) -> None:
    nowhere = TrackingServer(f"http://127.0.0.1:{free_port()}", settings.mlflow_experiment_name)
    filler = Filler(settings, database, nowhere)
    filled = filler.fill(most=2)
    assert filled.waiting >= filled.turns
    assert filler.deliver() == filled.waiting
    with pytest.raises(Unavailable, match="make run"):
        remove(settings, database, nowhere)
    assert count(database)["conversations"] == 2


def test_the_demo_has_no_place_in_production(settings: Settings) -> None:
    changes = {"app_environment": "production", "secret_key": "s" * 32}
    app = create_app(settings.model_copy(update=changes), ModelDouble())
    result = app.test_cli_runner().invoke(args=["demo", "fill"])
    app.extensions["thumbprint"].database.close()
    assert result.exit_code == 1
    assert result.output.startswith("Error: Demo data has no place in production")

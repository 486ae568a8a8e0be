"""Datasets: makes regression tests of what people said of answers.

A record is a question (with the conversation before it) and, only where a person wrote one, the
answer it should have had. What the model answered never becomes an expectation, good or bad: a
thumb up says that an answer was welcome, not that it is the one to be had again.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from app.clock import Clock, now_ms
from app.errors import InvalidValue, NotFound, Unavailable
from app.feedback import EXPECTED_RESPONSE
from app.tracing.datasets import Dataset, EvaluationDatasets, Record
from app.tracing.failures import NotDelivered
from app.tracing.links import Links
from app.tracing.traced_turns import Selection, TracedTurn, TracedTurns, fits

SOURCE_TAG = "thumbprint.trace_id"
VERDICT_TAG = "thumbprint.verdict"
_COPIED_TAGS = ("thumbprint.version", "thumbprint.model", "thumbprint.ending", "thumbprint.demo")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What was done to a dataset, in records, and where it is in MLflow's UI.

    `gone` counts the traces that MLflow no longer has, or that are no turns of ours; `refused`
    names the traces whose records MLflow would not take.
    """

    name: str
    link: str
    added: int
    changed: int
    unchanged: int
    total: int
    with_expectation: int
    gone: int = 0
    refused: tuple[str, ...] = ()


class DatasetDesk:
    """Builds, changes and exports datasets in MLflow.

    Every method raises `Unavailable` when MLflow cannot be reached or fails.
    """

    def __init__(
        self,
        datasets: EvaluationDatasets,
        turns: TracedTurns,
        links: Links,
        clock: Clock = now_ms,
    ) -> None:
        self._datasets = datasets
        self._turns = turns
        self._links = links
        self._clock = clock

    def build(
        self,
        name: str,
        selection: Selection,
        hours: float,
        progress: Progress = lambda *_: None,
    ) -> Built | None:
        """Merge the questions of the last `hours` into the dataset `name`; None: there were none.

        Run again, it adds what is new and follows what people have changed or taken back since,
        also in records made earlier. `progress` gets traces read and traces to read. Raises
        `InvalidValue` for a name that cannot be one.
        """
        check_name(name)
        with _explained():
            since = self._clock() - int(hours * 3_600_000)
            trace_ids = self._turns.find(selection, since)
            turns, gone = [], 0
            for done, turn in enumerate(self._turns.load(trace_ids), 1):
                gone += turn is None
                if turn and fits(turn, selection):
                    turns.append(turn)
                progress(done, len(trace_ids))
            if not turns and self._datasets.find(name) is None:
                return None
            return self._merge(name, turns, gone, follow_all=True)

    def add_trace(self, name: str, trace_id: str) -> Built:
        """Put one turn into the dataset `name`, made if need be; again changes nothing.

        Raises `NotFound` when MLflow has no such turn, `InvalidValue` for a bad name.
        """
        check_name(name)
        with _explained():
            turn = next(self._turns.load([trace_id]))
            if turn is None:
                raise NotFound("MLflow has no trace of a turn by that ID.", code="unknown_trace")
            return self._merge(name, [turn], follow_all=False)

    def names(self) -> list[str]:
        """The names of all datasets, the oldest first."""
        with _explained():
            return [one.name for one in self._datasets.known()]

    def find(self, name: str) -> Dataset:
        """The dataset of that name. Raises `NotFound`, naming those there are."""
        with _explained():
            known = self._datasets.known()
        for one in known:
            if one.name == name:
                return one
        there = ", ".join(sorted({one.name for one in known})) or "none yet"
        raise NotFound(f"There is no dataset {name!r}. There is: {there}.", code="unknown_dataset")

    def records(self, name: str) -> list[Record]:
        """Every record of a dataset, in the order they came in. Raises `NotFound`."""
        dataset = self.find(name)
        with _explained():
            return list(self._datasets.records(dataset.id))

    def _merge(
        self, name: str, turns: list[TracedTurn], gone: int = 0, *, follow_all: bool
    ) -> Built:
        dataset = self._datasets.find_or_create(name)
        before = {record.key: record for record in self._datasets.records(dataset.id)}
        wanted = self._wanted(before, turns, follow_all=follow_all)
        changed = [one for key, one in wanted.items() if _differs(before.get(key), one)]
        anew = {
            one.key: _without_correction(known, one)
            for one in changed
            if (known := before.get(one.key)) and _is_corrected(known) and not one.expectations
        }
        refused = self._datasets.merge(dataset.id, [one for one in changed if one.key not in anew])
        lost = [one for new in anew.values() for one in self._datasets.replace(dataset.id, new)]
        refused += lost
        out = {one.key for one in refused}
        after = before | {one.key: one for one in changed if one.key not in out}
        for one in lost:
            del after[one.key]
        added = len(after.keys() - before.keys())
        return Built(
            name=name,
            link=self._links.dataset(dataset.id),
            added=added,
            changed=len(changed) - len(refused) - added,
            unchanged=len(wanted) - len(changed),
            total=len(after),
            with_expectation=sum(EXPECTED_RESPONSE in one.expectations for one in after.values()),
            gone=gone,
            refused=tuple(one.tags[SOURCE_TAG] for one in refused),
        )

    def _wanted(
        self, before: dict[str, Record], turns: list[TracedTurn], *, follow_all: bool
    ) -> dict[str, Record]:
        """The records that these turns make, by key; with `follow_all`, of all others too.

        Several turns may have asked the same. The latest correction among them wins, or the latest
        turn where there is none. What the dataset has from a trace that is gone stays.
        """
        asked = {_as_record(turn).key for turn in turns}
        known = {turn.trace_id for turn in turns}
        earlier = {
            trace_id
            for key, record in before.items()
            if SOURCE_TAG in record.tags and (follow_all or key in asked)
            # Who was corrected by somebody else counts again when that is taken back.
            for trace_id in (record.tags[SOURCE_TAG], record.trace_id)
        } - known
        found = [turn for turn in self._turns.load(sorted(filter(None, earlier))) if turn]
        wanted: dict[str, Record] = {}
        for turn in sorted([*turns, *found], key=lambda one: (one.corrected_at, one.asked_at)):
            record = _as_record(turn)
            if record.key in asked or record.key in before:
                wanted[record.key] = record
        alive = known | {turn.trace_id for turn in found}
        return {
            key: record
            for key, record in wanted.items()
            if record.expectations or _may_be_emptied(before.get(key), alive)
        }


def check_name(name: str) -> None:
    """Raise `InvalidValue` unless `name` is 1-100 letters, digits, spaces and `._-`."""
    if not re.fullmatch(r"\w[\w .-]{0,99}", name):
        raise InvalidValue(
            "name: expected 1 to 100 letters, digits, spaces, dots, dashes or underscores, "
            f"got {name[:120]!r}"
        )


def as_jsonl(records: Iterable[Record]) -> Iterator[str]:
    """One line of JSON for each record: inputs, expectations, tags and the source trace."""
    for record in records:
        line = {
            "inputs": record.inputs,
            "expectations": record.expectations,
            "tags": record.tags,
            "source": {"trace_id": record.tags.get(SOURCE_TAG, record.trace_id)},
        }
        yield json.dumps(line, ensure_ascii=False, sort_keys=True)


def _as_record(turn: TracedTurn) -> Record:
    tags = {name: turn.tags[name] for name in _COPIED_TAGS if name in turn.tags}
    # The system prompt is the app's and may be what one wants to compare; replays use today's.
    asked = [message for message in turn.messages if message["role"] != "system"]
    return Record(
        inputs={"messages": asked},
        expectations={EXPECTED_RESPONSE: turn.correction} if turn.correction else {},
        tags={**tags, SOURCE_TAG: turn.trace_id, VERDICT_TAG: turn.verdict},
        trace_id=turn.trace_id,
    )


def _may_be_emptied(before: Record | None, alive: set[str]) -> bool:
    """Whether nothing is lost when a record loses its expectation: whose it was took it back."""
    return not (before and _is_corrected(before)) or before.tags.get(SOURCE_TAG) in alive


def _differs(before: Record | None, record: Record) -> bool:
    return before is None or (
        before.expectations.get(EXPECTED_RESPONSE) != record.expectations.get(EXPECTED_RESPONSE)
        or any(before.tags.get(name) != value for name, value in record.tags.items())
    )


def _is_corrected(record: Record) -> bool:
    return EXPECTED_RESPONSE in record.expectations


def _without_correction(before: Record, record: Record) -> Record:
    """What is to be in the place of `before`; what others have added to it stays."""
    others = {k: v for k, v in before.expectations.items() if k != EXPECTED_RESPONSE}
    return replace(record, id=before.id, expectations=others, tags=before.tags | record.tags)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what MLflow's failure means to a person; the log has the rest."""
    try:
        yield
    except NotDelivered as error:
        raise Unavailable(
            "MLflow refused the request."
            if error.refused
            else "MLflow cannot be reached right now.",
            code="mlflow_unavailable",
        ) from error

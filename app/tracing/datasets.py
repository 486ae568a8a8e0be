"""Evaluation datasets in MLflow, through the server's own routes, so the light package is enough.

`mlflow.genai.datasets` asks the same routes but comes with the full package only. MLflow tells the
records of a dataset apart by their inputs: the same inputs again change the one record.
See https://mlflow.org/docs/latest/genai/datasets/
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from mlflow.utils.rest_utils import http_request_safe

from app.tracing.failures import NotDelivered, explained
from app.tracing.tracking import TrackingServer

log = logging.getLogger(__name__)

_ROUTE = "/api/3.0/mlflow/datasets"
# Records in one request, so that it fits the server's memory and our timeout.
_BATCH = 100
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Dataset:
    """An evaluation dataset as MLflow lists it."""

    id: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Record:
    """One question of a dataset; `id` is MLflow's, once it is stored.

    `trace_id` is the trace it was first made from. MLflow keeps that one when a record changes.
    """

    inputs: dict[str, Any]
    expectations: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    id: str | None = None

    @property
    def key(self) -> str:
        """What MLflow tells records apart by."""
        return json.dumps(self.inputs, sort_keys=True)


class EvaluationDatasets:
    """The datasets of our experiment. Every method raises `NotDelivered`."""

    def __init__(self, tracking: TrackingServer) -> None:
        self._tracking = tracking
        self._making = threading.Lock()

    def known(self) -> list[Dataset]:
        """Every dataset, the oldest first."""
        found: list[Dataset] = []
        page: dict[str, str] = {}
        while True:
            wanted = {"experiment_ids": [self._tracking.experiment_id()], "max_results": 1000}
            answer = self._call("POST", "/search", wanted | page)
            for one in answer.get("datasets", ()):
                created = int(one["created_time"])
                found.append(Dataset(one["dataset_id"], one["name"], created))
            if not answer.get("next_page_token"):
                return sorted(found, key=lambda one: (one.created_at, one.id))
            page = {"page_token": answer["next_page_token"]}

    def find(self, name: str) -> Dataset | None:
        """The dataset of that name; the oldest, should there be several."""
        return next((one for one in self.known() if one.name == name), None)

    def find_or_create(self, name: str) -> Dataset:
        """The dataset of that name, made when there is none."""
        with self._making:
            return self.find(name) or self._create(name)

    def _create(self, name: str) -> Dataset:
        body = {"name": name, "experiment_ids": [self._tracking.experiment_id()]}
        made = self._call("POST", "/create", body)["dataset"]["dataset_id"]
        oldest = self.find(name)
        if oldest is None or oldest.id == made:
            return oldest or Dataset(made, name, 0)
        # Another process made it at the same moment; MLflow would keep both.
        self.delete(made)
        return oldest

    def delete(self, dataset_id: str) -> None:
        """Delete a dataset with its records."""
        self._call("DELETE", f"/{quote(dataset_id)}")

    def records(self, dataset_id: str) -> Iterator[Record]:
        """Every record, in the order they came in."""
        page: dict[str, Any] = {"max_results": 1000}
        while True:
            answer = self._call("GET", f"/{quote(dataset_id)}/records", page)
            for one in json.loads(answer.get("records", "[]")):
                yield _as_record(one)
            if not answer.get("next_page_token"):
                return
            page["page_token"] = answer["next_page_token"]

    def merge(self, dataset_id: str, records: Sequence[Record]) -> list[Record]:
        """Add records, and change those with the same inputs; what they lack stays as it was.

        Returns the records that the server will not take; the others are stored.
        """
        refused: list[Record] = []
        for start in range(0, len(records), _BATCH):
            batch = list(records[start : start + _BATCH])
            try:
                self._upsert(dataset_id, batch)
            except NotDelivered as error:
                if not error.refused:
                    raise
                refused += self._merge_singly(dataset_id, batch)
        return refused

    def _merge_singly(self, dataset_id: str, records: Sequence[Record]) -> Iterator[Record]:
        """Store each for itself, because the server took none of them; yield those it refuses."""
        for record in records:
            try:
                self._upsert(dataset_id, [record])
            except NotDelivered as error:
                if not error.refused:
                    raise
                log.warning("MLflow refused the record of %s: %s", record.trace_id, error)
                yield record

    def replace(self, dataset_id: str, record: Record) -> list[Record]:
        """Write a stored record anew: MLflow keeps the expectations that a change leaves out.

        Returns it if the server will not take it. It is nowhere meanwhile, so a server that
        restarts is waited for.
        """
        self.remove(dataset_id, [record.id] if record.id else [])
        pauses_s = iter(_PAUSES_S)
        while True:
            try:
                return list(self._merge_singly(dataset_id, [record]))
            except NotDelivered:
                if (pause_s := next(pauses_s, None)) is None:
                    log.error("the record of %s is lost until it is built again", record.trace_id)
                    raise
                time.sleep(pause_s)

    def _upsert(self, dataset_id: str, records: Sequence[Record]) -> None:
        body = {"records": json.dumps([_as_json(one) for one in records])}
        self._call("POST", f"/{quote(dataset_id)}/records", body)

    def remove(self, dataset_id: str, record_ids: Sequence[str]) -> None:
        """Remove records; those that are not there are passed over."""
        if record_ids:
            path = f"/{quote(dataset_id)}/records"
            self._call("DELETE", path, {"dataset_record_ids": list(record_ids)})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        sent = {"params": body} if method == "GET" else {"json": body}
        with explained():
            answer = http_request_safe(  # type: ignore[no-untyped-call]
                self._tracking.client.store.get_host_creds(), _ROUTE + path, method, **sent
            )
            found: dict[str, Any] = answer.json()
            return found


def _as_json(record: Record) -> dict[str, Any]:
    source = {"source_type": "TRACE", "source_data": {"trace_id": record.trace_id}}
    return {
        "inputs": record.inputs,
        "expectations": record.expectations,
        "tags": record.tags,
        **({"source": source} if record.trace_id else {}),
    }


def _as_record(found: dict[str, Any]) -> Record:
    source = found.get("source") or {}
    return Record(
        inputs=found["inputs"],
        expectations=found.get("expectations") or {},
        tags=found.get("tags") or {},
        trace_id=(source.get("source_data") or {}).get("trace_id"),
        id=found["dataset_record_id"],
    )

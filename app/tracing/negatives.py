"""The latest turns with thumb down, found by MLflow's server and read without their spans."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Assessment, TraceInfo
from mlflow.entities.trace_location import TraceLocation
from mlflow.protos.service_pb2 import SearchTracesV3
from mlflow.tracing.constant import TraceMetadataKey
from mlflow.utils.proto_json_utils import parse_dict

from app.store.filters import Filters
from app.tracing.aggregates import conditions_of
from app.tracing.rest import ask
from app.tracing.tracking import TrackingServer

# The server also finds superseded thumbs and the text "false", which are passed over; however
# many of those there are, this many pages are looked at.
_PAGE = 50
_MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class NegativeTrace:
    """A trace with thumb down; question and answer as MLflow previews them."""

    trace_id: str
    at_ms: int
    question: str
    answer: str
    comment: str | None
    reasons: tuple[str, ...]
    correction: str | None
    tags: dict[str, str]
    user: str | None


def latest_negatives(
    tracking: TrackingServer, filters: Filters, limit: int, timeout_s: float
) -> list[NegativeTrace]:
    """The latest ones, newest first, at most `limit`. Raises `NotDelivered`."""
    found: list[NegativeTrace] = []
    for info in _candidates(tracking, filters, timeout_s):
        if (negative := _as_negative(info)) is not None:
            found.append(negative)
        if len(found) == limit:
            break
    return found


def _candidates(
    tracking: TrackingServer, filters: Filters, timeout_s: float
) -> Iterator[TraceInfo]:
    conditions = [
        "feedback.user_feedback = 'false'",
        f"timestamp_ms >= {filters.start_ms}",
        f"timestamp_ms <= {filters.end_ms}",
        *conditions_of(filters, {}),
    ]
    where = TraceLocation.from_experiment_id(tracking.experiment_id())
    body: dict[str, Any] = {
        "locations": [where.to_dict()],
        "filter": " AND ".join(conditions),
        "max_results": _PAGE,
        "order_by": ["timestamp_ms DESC"],
    }
    for _ in range(_MOST_PAGES):
        answer = SearchTracesV3.Response()
        found = ask(tracking, "/traces/search", body, timeout_s)
        parse_dict(found, answer)  # type: ignore[no-untyped-call]
        yield from map(TraceInfo.from_proto, answer.traces)
        if not answer.next_page_token:
            return
        body["page_token"] = answer.next_page_token


def _as_negative(info: TraceInfo) -> NegativeTrace | None:
    current = [one for one in info.assessments if one.valid is not False]
    thumb = next((one for one in _named(current, "user_feedback") if one.value is False), None)
    if thumb is None:
        return None
    lists = [one.value for one in _named(current, "user_reasons") if isinstance(one.value, list)]
    corrections = [
        one.value for one in _named(current, "expected_response") if isinstance(one.value, str)
    ]
    return NegativeTrace(
        trace_id=info.trace_id,
        at_ms=info.request_time,
        question=info.request_preview or "",
        answer=info.response_preview or "",
        comment=thumb.rationale or None,
        reasons=tuple(str(reason) for reasons in lists[-1:] for reason in reasons),
        correction=corrections[-1] if corrections else None,
        tags=dict(info.tags),
        user=info.trace_metadata.get(TraceMetadataKey.TRACE_USER),
    )


def _named(assessments: list[Assessment], name: str) -> list[Any]:
    """Those of that name, oldest first."""
    found = [one for one in assessments if one.name == name]
    return sorted(found, key=lambda one: one.last_update_time_ms or 0)

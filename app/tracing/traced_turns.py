"""Reads turns back from MLflow: what was asked, answered and said of it.

Only current assessments count: MLflow keeps superseded ones on the trace, marked as not valid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlflow.entities import Assessment, Expectation, Feedback, Trace

from app.tracing.failures import explained
from app.tracing.tracking import TrackingServer

Selection = Literal["negative", "corrected", "all"]

# Found by MLflow's server; superseded assessments match too, so each trace is looked at again.
_FILTERS: dict[Selection, list[str]] = {
    "negative": ["feedback.user_feedback = 'false'"],
    "corrected": ["expectation.expected_response IS NOT NULL"],
    "all": [],
}
_PAGE = 500
_BATCH = 100


@dataclass(frozen=True, slots=True)
class TracedTurn:
    """One turn as MLflow holds it; `messages` are what the model was told, the question last."""

    trace_id: str
    asked_at: int
    messages: tuple[dict[str, str], ...]
    answer: str
    tags: dict[str, str]
    thumb: bool | None
    correction: str | None
    corrected_at: int

    @property
    def verdict(self) -> str:
        """`negative`, `positive` or `none`: what people say of the answer."""
        return {False: "negative", True: "positive", None: "none"}[self.thumb]


class TracedTurns:
    """The turns of our experiment. Every method raises `NotDelivered`."""

    def __init__(self, tracking: TrackingServer) -> None:
        self._tracking = tracking

    def find(self, selection: Selection, since_ms: int) -> list[str]:
        """Trace IDs of the turns asked since then that may fit `selection`, newest first."""
        conditions = [f"timestamp_ms >= {since_ms}", *_FILTERS[selection]]
        found: list[str] = []
        token: str | None = None
        while True:
            with explained():
                page = self._tracking.client.search_traces(
                    locations=[self._tracking.experiment_id()],
                    filter_string=" AND ".join(conditions),
                    max_results=_PAGE,
                    order_by=["timestamp_ms DESC"],
                    include_spans=False,
                    page_token=token,
                )
            found += [trace.info.trace_id for trace in page]
            token = page.token
            if not token:
                return found

    def load(self, trace_ids: Sequence[str]) -> Iterator[TracedTurn | None]:
        """Each of these turns, in their order; None for a trace that is gone or no turn of ours."""
        experiment_id = self._tracking.experiment_id()
        for start in range(0, len(trace_ids), _BATCH):
            wanted = list(trace_ids[start : start + _BATCH])
            with explained():
                traces = self._tracking.client.batch_get_traces(wanted)
            found = {
                trace.info.trace_id: trace
                for trace in traces
                if trace.info.experiment_id == experiment_id
            }
            for trace_id in wanted:
                yield _as_turn(found[trace_id]) if trace_id in found else None


def fits(turn: TracedTurn, selection: Selection) -> bool:
    """Whether what people say of the turn now is what `selection` asks for."""
    match selection:
        case "negative":
            return turn.thumb is False
        case "corrected":
            return turn.correction is not None
        case "all":
            return True


def _as_turn(trace: Trace) -> TracedTurn | None:
    root = next((span for span in trace.data.spans if span.parent_id is None), None)
    if root is None or root.name != "chat_turn":
        return None
    messages = _messages(root.inputs)
    if not messages:
        return None
    thumbs = _current(trace, Feedback, "user_feedback")
    corrections = [
        one
        for one in _current(trace, Expectation, "expected_response")
        if isinstance(one.value, str) and one.value.strip()
    ]
    correction = corrections[-1] if corrections else None
    return TracedTurn(
        trace_id=trace.info.trace_id,
        asked_at=trace.info.request_time,
        messages=messages,
        answer=root.outputs if isinstance(root.outputs, str) else "",
        tags={name: str(value) for name, value in trace.info.tags.items()},
        # One person's "no" is not outvoted by another's "yes": somebody should look at it.
        thumb=None if not thumbs else all(one.value is not False for one in thumbs),
        correction=correction.value if correction else None,
        corrected_at=(correction.last_update_time_ms or 0) if correction else 0,
    )


def _messages(inputs: Any) -> tuple[dict[str, str], ...]:
    found = inputs.get("messages") if isinstance(inputs, dict) else None
    if not isinstance(found, list) or not found:
        return ()
    return tuple({"role": str(one["role"]), "content": str(one["content"])} for one in found)


def _current(trace: Trace, kind: type[Assessment], name: str) -> list[Any]:
    """The valid assessments by people under that name, oldest first."""
    found = [
        one
        for one in trace.info.assessments
        if isinstance(one, kind)
        and one.name == name
        and one.valid is not False
        and one.source.source_type == "HUMAN"
    ]
    return sorted(found, key=lambda one: one.last_update_time_ms or 0)

"""What many traces and assessments add up to, counted by MLflow's server.

One request a figure, however many traces there are, and never one a trace. The server leaves out
superseded assessments; withdrawn ones are gone. This is what the Overview in MLflow's UI asks too.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mlflow.tracing.constant import TraceMetadataKey

from app.errors import InvalidValue
from app.store.filters import Filters
from app.tracing.rest import ask
from app.tracing.tracking import TrackingServer

_COUNT = {"aggregation_type": "COUNT"}
_AVERAGE = {"aggregation_type": "AVG"}
_NAME = "assessment_name"
_VALUE = "assessment_value"

_FEEDBACK = ["assessment.type = 'feedback'"]

# Groups in one answer. The server gives the first ones and does not say that there are more.
MOST_GROUPS = 2000

# A point of the answer: `dimensions` that it is grouped by, and `values` by aggregation.
Point = dict[str, dict[str, Any]]


class Aggregates:
    """The figures of our experiment. Every method raises `NotDelivered`.

    `tags` narrow the traces further, by whole values.
    """

    def __init__(self, tracking: TrackingServer, timeout_s: float) -> None:
        """`timeout_s` bounds each request."""
        self._tracking = tracking
        self._timeout_s = timeout_s

    def count_traces(
        self, filters: Filters, tags: Mapping[str, str] | None = None, *, failed: bool = False
    ) -> int:
        """How many traces there are; with `failed`, of those with status ERROR."""
        conditions = ["trace.status = 'ERROR'"] if failed else []
        return _total(
            self._query(
                filters, "TRACES", "trace_count", [_COUNT], conditions=conditions, tags=tags
            )
        )

    def traces_over_time(self, filters: Filters, interval_s: int) -> dict[int, int]:
        """Traces by the time their stretch of `interval_s` begins, in milliseconds."""
        points = self._query(filters, "TRACES", "trace_count", [_COUNT], interval_s=interval_s)
        return {_begin(point): _total([point]) for point in points}

    def durations(self, filters: Filters, shares: Sequence[float]) -> list[float | None]:
        """How long traces took at most, in milliseconds, for each of `shares` of them."""
        wanted = [share * 100 for share in shares]
        aggregations = [
            {"aggregation_type": "PERCENTILE", "percentile_value": one} for one in wanted
        ]
        points = self._query(filters, "TRACES", "latency", aggregations)
        values = points[0]["values"] if points else {}
        return [values.get(f"P{one}") for one in wanted]

    def values_over_time(
        self, filters: Filters, name: str, interval_s: int
    ) -> dict[tuple[int, str], int]:
        """Values under a name as JSON, by the stretch of time in which their turns began."""
        points = self._count_feedback(filters, _VALUE, name=name, interval_s=interval_s)
        return {(_begin(one), one["dimensions"][_VALUE]): _total([one]) for one in points}

    def values(
        self, filters: Filters, name: str, tags: Mapping[str, str] | None = None
    ) -> dict[str, int]:
        """Values under a name as JSON; of at most `MOST_GROUPS` different ones."""
        points = self._count_feedback(filters, _VALUE, name=name, tags=tags)
        return {one["dimensions"][_VALUE]: _total([one]) for one in points}

    def names(self, filters: Filters, name: str | None = None) -> dict[str, int]:
        """Feedback by its name, corrections left out: the first `MOST_GROUPS`, or only `name`."""
        points = self._count_feedback(filters, _NAME, name=name)
        return {one["dimensions"][_NAME]: _total([one]) for one in points}

    def averages(self, filters: Filters) -> dict[str, float]:
        """The mean of the numbers under each name; true and `yes` are 1, false and `no` are 0."""
        points = self._query(
            filters,
            "ASSESSMENTS",
            "assessment_value",
            [_AVERAGE],
            dimensions=[_NAME],
            conditions=_FEEDBACK,
        )
        return {one["dimensions"][_NAME]: one["values"]["AVG"] for one in points}

    def _count_feedback(
        self,
        filters: Filters,
        dimension: str,
        *,
        name: str | None = None,
        interval_s: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[Point]:
        named = [f"assessment.name = {quoted(name)}"] if name else []
        return self._query(
            filters,
            "ASSESSMENTS",
            "assessment_count",
            [_COUNT],
            dimensions=[dimension],
            conditions=[*_FEEDBACK, *named],
            interval_s=interval_s,
            tags=tags,
        )

    def _query(
        self,
        filters: Filters,
        view: str,
        metric: str,
        aggregations: list[dict[str, Any]],
        *,
        dimensions: Sequence[str] = (),
        conditions: Sequence[str] = (),
        interval_s: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[Point]:
        narrowed = [f"trace.{one}" for one in conditions_of(filters, tags or {})]
        body: dict[str, Any] = {
            "experiment_ids": [self._tracking.experiment_id()],
            "view_type": view,
            "metric_name": metric,
            "aggregations": aggregations,
            "dimensions": list(dimensions),
            "filters": [*conditions, *narrowed],
            "start_time_ms": filters.start_ms,
            "end_time_ms": filters.end_ms,
            "max_results": MOST_GROUPS,
        }
        if interval_s is not None:
            body["time_interval_seconds"] = interval_s
        answer = ask(self._tracking, "/traces/metrics", body, self._timeout_s)
        points: list[Point] = answer.get("data_points", [])
        return points


def conditions_of(filters: Filters, tags: Mapping[str, str]) -> list[str]:
    """What narrows the traces besides their time, as MLflow's filters spell it."""
    wanted = {
        "thumbprint.version": filters.version,
        "thumbprint.model": filters.model,
        "thumbprint.segment": filters.segment,
        **tags,
    }
    conditions = [f"tag.`{key}` = {quoted(value)}" for key, value in wanted.items() if value]
    if filters.user:
        conditions.append(f"metadata.`{TraceMetadataKey.TRACE_USER}` = {quoted(filters.user)}")
    return conditions


def quoted(value: str) -> str:
    """`value` as text in a filter. Raises `InvalidValue` when MLflow has no way to write it."""
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise InvalidValue(f"MLflow cannot search for text with both kinds of quotes: {value[:80]!r}")


def _begin(point: Point) -> int:
    return round(datetime.fromisoformat(point["dimensions"]["time_bucket"]).timestamp() * 1000)


def _total(points: Iterable[Point]) -> int:
    return sum(int(point["values"]["COUNT"]) for point in points)

"""Gathers a report's figures from MLflow's server: a few dozen requests, several at a time."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, ParamSpec, Self, TypeVar

from app.feedback import USER_FEEDBACK
from app.insights.figures import (
    ENDINGS,
    MOST_NEGATIVES,
    SHARES,
    SIGNALS,
    Figures,
    GroupFigures,
    Question,
    is_other,
)
from app.insights.report import Negative
from app.store.turn_figures import By
from app.tracing.aggregates import MOST_GROUPS, Aggregates
from app.tracing.links import Links
from app.tracing.negatives import NegativeTrace, latest_negatives
from app.tracing.tracking import TrackingServer

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# More at once would only queue up in a server with one process.
AT_ONCE = 4
# Seconds; the first answer is one of the quickest.
FIRST_TIMEOUT_S = 5.0
TIMEOUT_S = 30.0

# The endings whose traces have the status ERROR.
FAILED = ("failed", "interrupted")

TAGS: Mapping[By, str] = {"version": "thumbprint.version", "model": "thumbprint.model"}


def gather_from_mlflow(
    tracking: TrackingServer, links: Links, question: Question, show: Callable[[int, int], None]
) -> Figures:
    """Ask the server for everything. Raises `NotDelivered`.

    `show` is told how many answers have come, of how many.
    """
    filters, interval_s = question.filters, question.interval_s
    # Alone and not for long, so that a server that does not answer is waited for only once.
    over_time = Aggregates(tracking, FIRST_TIMEOUT_S).traces_over_time(filters, interval_s)
    ask = Aggregates(tracking, TIMEOUT_S)
    names = ask.names(filters)
    names_cut = len(names) >= MOST_GROUPS
    with _Requests() as requests:
        send = requests.send
        thumbs = send(ask.values_over_time, filters, USER_FEEDBACK, interval_s)
        durations = send(ask.durations, filters, SHARES)
        others = any(is_other(name, question.names) for name in names)
        averages = send(ask.averages, filters) if others else None
        found = send(latest_negatives, tracking, filters, MOST_NEGATIVES, TIMEOUT_S)
        values = {name: send(ask.values, filters, name) for name in question.names}
        # Names that people make up must not push out what the app itself notes.
        signals = [send(ask.names, filters, name) for name in SIGNALS] if names_cut else []
        # Few turns fail, and only those are looked at for their tag.
        endings = {
            name: send(
                ask.count_traces, filters, {"thumbprint.ending": name}, failed=name in FAILED
            )
            for name in ENDINGS
        }
        groups = {
            by: [
                (
                    name,
                    first_ms,
                    send(ask.count_traces, filters, {TAGS[by]: name}),
                    send(ask.values, filters, USER_FEEDBACK, {TAGS[by]: name}),
                )
                for name, first_ms in known
            ]
            for by, known in (question.groups or {}).items()
        }
        requests.wait(show)
    counted = {name: one.result() for name, one in values.items()}
    return Figures(
        over_time=over_time,
        thumbs=thumbs.result(),
        endings={name: one.result() for name, one in endings.items()},
        durations=durations.result(),
        names={**names, **{name: n for one in signals for name, n in one.result().items()}},
        values=counted,
        averages=averages.result() if averages else {},
        groups=None
        if question.groups is None
        else {
            by: [
                GroupFigures(name, first_ms, traces.result(), values_.result())
                for name, first_ms, traces, values_ in found_groups
            ]
            for by, found_groups in groups.items()
        },
        negatives=[_as_negative(one, links) for one in found.result()],
        cut=[name for name, one in counted.items() if len(one) >= MOST_GROUPS],
        names_cut=names_cut,
    )


class _Requests:
    """Requests under way; leaving the block early drops those that were not sent yet."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="insights")
        self._sent: list[Future[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def send(
        self,
        request: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        future = self._pool.submit(request, *args, **kwargs)
        self._sent.append(future)
        return future

    def wait(self, show: Callable[[int, int], None]) -> None:
        """Return when every answer is there; raise what the first that failed raised."""
        for done, future in enumerate(as_completed(self._sent), start=1):
            future.result()
            show(done, len(self._sent))


def _as_negative(trace: NegativeTrace, links: Links) -> Negative:
    return Negative(
        trace_id=trace.trace_id,
        link=links.trace(trace.trace_id),
        at_ms=trace.at_ms,
        question=trace.question,
        answer=trace.answer,
        comment=trace.comment,
        reasons=trace.reasons,
        correction=trace.correction,
        version=trace.tags.get("thumbprint.version"),
        model=trace.tags.get("thumbprint.model"),
        user=trace.user,
        segment=trace.tags.get("thumbprint.segment"),
    )

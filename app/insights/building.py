"""Builds the report: asks MLflow's server, or else the app database, and says which it was."""

import logging
from collections.abc import Callable

from app.clock import Clock, now_ms
from app.errors import Unavailable
from app.insights.assembly import Vocabulary, assemble
from app.insights.figures import Figures, OwnRecord, Question
from app.insights.from_database import gather_from_database, read_own_record
from app.insights.from_mlflow import gather_from_mlflow
from app.insights.report import Report, Source
from app.store.database import Database
from app.store.filters import Filters
from app.tracing.failures import NotDelivered
from app.tracing.links import Links
from app.tracing.tracking import TrackingServer

log = logging.getLogger(__name__)

# Round lengths of time, in seconds: 5 and 15 minutes, 1 and 6 hours, 1, 7 and 30 days. The
# shortest that cuts the window into at most MOST_STRETCHES is taken.
INTERVALS_S = (300, 900, 3600, 21_600, 86_400, 604_800, 2_592_000)
MOST_STRETCHES = 62

# The latest versions and models to come into use that are compared.
MOST_GROUPS = 12


class Insights:
    """Makes reports."""

    def __init__(
        self,
        database: Database,
        tracking: TrackingServer,
        links: Links,
        vocabulary: Vocabulary,
        clock: Clock = now_ms,
    ) -> None:
        self._database = database
        self._tracking = tracking
        self._links = links
        self._vocabulary = vocabulary
        self._clock = clock

    def report(
        self, filters: Filters, show: Callable[[int, int], None] = lambda _done, _total: None
    ) -> Report:
        """The report on the turns that `filters` leave.

        `show` is told how many of MLflow's answers have come, of how many. Raises `Unavailable`
        when neither MLflow nor the app database can be read.
        """
        made_at_ms = self._clock()
        problems: list[str] = []
        notices: list[str] = []
        own = self._read_own_record(filters, made_at_ms, problems)
        question = self._question(filters, own, notices)
        try:
            source: Source = "mlflow"
            figures = gather_from_mlflow(self._tracking, self._links, question, show)
        except NotDelivered as error:
            log.warning("the report is made without MLflow: %s", error)
            problems.append(_explain(error))
            source = "database"
            figures = self._gather_from_database(question)
        return assemble(
            question,
            figures,
            own,
            self._vocabulary,
            source=source,
            made_at_ms=made_at_ms,
            problems=problems,
            notices=notices,
        )

    def _read_own_record(self, filters: Filters, now: int, problems: list[str]) -> OwnRecord | None:
        try:
            return read_own_record(self._database, filters, now)
        except Unavailable:
            problems.append(
                "The app database cannot be read, so versions, models, the time to first token "
                "and what MLflow is owed are missing."
            )
            return None

    def _question(self, filters: Filters, own: OwnRecord | None, notices: list[str]) -> Question:
        groups = dict(own.groups) if own else None
        for by, known in (groups or {}).items():
            if len(known) > MOST_GROUPS:
                notices.append(f"Only the latest {MOST_GROUPS} of {len(known)} {by}s are compared.")
                groups = {**(groups or {}), by: known[-MOST_GROUPS:]}
        return Question(filters, interval_of(filters), self._vocabulary.names, groups)

    def _gather_from_database(self, question: Question) -> Figures:
        try:
            return gather_from_database(self._database, question)
        except Unavailable as error:
            raise Unavailable(
                "Neither MLflow nor the app database can be read right now."
            ) from error


def interval_of(filters: Filters) -> int:
    """The length in seconds of the stretches a window is cut into."""
    window_s = (filters.end_ms - filters.start_ms) / 1000
    fitting = (one for one in INTERVALS_S if window_s / one <= MOST_STRETCHES)
    return next(fitting, INTERVALS_S[-1])


def _explain(error: NotDelivered) -> str:
    what = "cannot be reached" if error.unreachable else "did not answer what was asked"
    return f"MLflow {what}. These figures are the app database's own record."

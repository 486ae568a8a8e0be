"""`/metrics` in Prometheus's text format (https://prometheus.io/docs/instrumenting/exposition_formats/).

Counters and histograms are of this server, all its workers together, and begin at zero with it, as
Prometheus expects.
What is counted in the app database when asked for is a gauge: it is true across restarts, and it
goes down when people delete conversations or change their minds.
"""

from collections.abc import Iterable

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from app import outbox
from app.clock import now_ms
from app.errors import Unavailable
from app.settings import Settings
from app.store import feedback, turns
from app.store.database import Database
from app.turns.running import EndedTurn
from app.web.feedback_labels import FeedbackLabels
from app.web.occupancy import Occupancy, is_shared

ENDINGS = ("complete", "stopped", "failed", "interrupted")

_FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_DURATION_S = (0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300)
_PIECES_PER_S = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 500)


def make_blueprint(registry: CollectorRegistry, occupancy: Occupancy) -> Blueprint:
    """The route that a Prometheus scrapes."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        occupancy.note()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), content_type=content_type)

    return blueprint


class TurnMetrics:
    """What turns took; `observe` is called at the end of each."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._ended = Counter(
            "thumbprint_turns_ended",
            "Turns that this server ended, by ending.",
            ["ending"],
            registry=registry,
        )
        for ending in ENDINGS:
            self._ended.labels(ending)  # a series that begins at zero can be seen to rise
        self._first_token = Histogram(
            "thumbprint_first_token_seconds",
            "From a message's arrival to the first text of its answer.",
            buckets=_FIRST_TOKEN_S,
            registry=registry,
        )
        self._duration = Histogram(
            "thumbprint_turn_duration_seconds",
            "From a message's arrival to the end of its turn, once all is safe.",
            buckets=_DURATION_S,
            registry=registry,
        )
        self._pieces = Counter(
            "thumbprint_pieces",
            "Pieces of text, mostly a token each, that models sent in turns that have ended.",
            registry=registry,
        )
        self._speed = Histogram(
            "thumbprint_pieces_per_second",
            "Pieces a second while an answer streamed, one value a turn.",
            buckets=_PIECES_PER_S,
            registry=registry,
        )

    def observe(self, ended: EndedTurn) -> None:
        """Count one turn."""
        self._ended.labels(ended.ending).inc()
        self._pieces.inc(ended.pieces)
        for histogram, value in (
            (self._first_token, ended.first_piece_s),
            (self._duration, ended.duration_s),
            (self._speed, ended.pieces_per_s),
        ):
            if value is not None:
                histogram.observe(value)


class CurrentState(Collector):
    """What holds at the moment of asking: what runs here, and what is in the app database."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._labels = FeedbackLabels(settings)
        self._database = database

    def collect(self) -> Iterable[Metric]:
        """The figures; without the database, those that do not need it."""
        settings = self._settings
        info = InfoMetricFamily("thumbprint", "What runs here.")
        runs = {
            "version": settings.app_version,
            "environment": settings.app_environment,
            "model": settings.answering_model,
        }
        info.add_metric([], runs)
        yield info
        try:
            counted = self._database.read(self._count)
        except Unavailable:
            counted = []
        yield _gauge("database_up", "Whether the app database answers.", bool(counted))
        yield from counted

    def _count(self, connection: Connection) -> list[Metric]:
        kept = GaugeMetricFamily(
            "thumbprint_turns", "Turns in the app database, by ending.", labels=["ending"]
        )
        endings = turns.count_endings(connection)
        for ending in (*ENDINGS, "running"):
            kept.add_metric([ending], endings.get(ending, 0))
        given = GaugeMetricFamily(
            "thumbprint_feedback",
            "Feedback that stands in the app database, by name and value; a person's reasons "
            "count once each.",
            labels=["name", "value"],
        )
        rows = feedback.count_feedback(connection, self._labels.names)
        for labels, count in self._labels.count(rows).items():
            given.add_metric(labels, count)
        owed = outbox.status(connection, now_ms())
        return [
            kept,
            given,
            _gauge("outbox_waiting", "Deliveries that MLflow is still owed.", owed.waiting),
            _gauge("outbox_oldest_age_seconds", "Age of the oldest of them.", owed.oldest_age_s),
            _gauge("outbox_dead_letters", "Deliveries that MLflow refused.", owed.dead),
        ]


def make_registry() -> CollectorRegistry:
    """What a scrape collects: of this process its memory, CPU, open files and start time.

    Where several workers share their figures, those of all of them too.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    if is_shared():
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"thumbprint_{name}", meaning, value=value)

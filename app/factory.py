"""Builds the app: every part is made here, once, and handed to whoever works with it."""

from flask import Flask
from flask_openapi.models.info import Info
from flask_openapi.openapi import OpenAPI
from prometheus_client import CollectorRegistry

from app.cli import COMMANDS
from app.datasets import DatasetDesk
from app.feedback import FeedbackDesk
from app.insights.assembly import Vocabulary
from app.insights.building import Insights
from app.llm import connect
from app.llm.agent import Model
from app.settings import Settings, load_settings
from app.store.database import Database
from app.tracing.datasets import EvaluationDatasets
from app.tracing.links import Links
from app.tracing.review_queues import ReviewQueue
from app.tracing.spans import Recorder
from app.tracing.traced_turns import TracedTurns
from app.tracing.tracking import TrackingServer
from app.turn_log import MemoryTurnLog, TurnLog
from app.turns.ending import TurnEnder
from app.turns.engine import TurnEngine
from app.turns.rules import TurnRules
from app.turns.watch import TurnWatch
from app.web import (
    chat,
    conversations,
    errors,
    feedback,
    feedback_list,
    forgetting,
    health,
    hosts,
    identity,
    insights,
    insights_page,
    metrics,
    operator,
    pages,
    socket,
)
from app.web.feedback_bodies import LONGEST_CORRECTION
from app.web.limits import RateLimiter
from app.web.occupancy import Occupancy, is_shared
from app.web.open_sockets import OpenSockets
from app.web.seats import Seats
from app.web.services import Services, install


def build_app(settings: Settings | None = None, model: Model | None = None) -> Flask:
    """Build the app; see `app.create_app`."""
    settings = settings or load_settings()
    app = OpenAPI(
        "app",
        info=Info(title="Thumbprint", version=settings.app_version),
        doc_prefix="",
        doc_ui=False,
        validation_error_model=errors.Failure,
        validation_error_callback=errors.explain_validation,
        static_folder=None,
    )
    # JSON may spell one character as twelve bytes.
    longest = max(settings.chat_max_message_chars, LONGEST_CORRECTION)
    app.config["MAX_CONTENT_LENGTH"] = longest * 12 + 64 * 1024
    registry = metrics.make_registry()
    services = _build_services(settings, model or connect(settings), registry)
    install(app, services)
    errors.init_app(app)
    hosts.init_app(app, settings)
    identity.init_app(app, settings)
    socket.init_app(app)
    pages.init_app(app, settings)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(
        operator.area(
            settings,
            metrics.make_blueprint(registry, services.occupancy),
            insights.blueprint,
            insights_page.make_blueprint(
                settings,
                services.insights.report,
                ReviewQueue(services.tracking),
                services.datasets,
                Links(settings.mlflow_link, services.tracking),
            ),
        )
    )
    app.add_url_rule("/openapi.json", "openapi", lambda: app.api_doc)
    for command in COMMANDS:
        app.cli.add_command(command)
    for blueprint in (
        chat.blueprint,
        feedback.make_blueprint(settings),
        feedback_list.blueprint,
        conversations.blueprint,
        forgetting.blueprint,
    ):
        app.register_api(blueprint)
    return app


def _build_services(settings: Settings, model: Model, registry: CollectorRegistry) -> Services:
    # Where workers share their figures, the registry finds them in files.
    own_registry = None if is_shared() else registry
    database = Database(settings.database)
    database.migrate()
    tracking = TrackingServer(settings.tracking_uri, settings.mlflow_experiment_name)
    links = Links(settings.mlflow_link, tracking)
    recorder = Recorder({"thumbprint.environment": settings.app_environment})
    ender = TurnEnder(
        database,
        tracking,
        recorder,
        implicit_signals=settings.implicit_signals,
        observe=metrics.TurnMetrics(own_registry).observe,
    )
    engine = TurnEngine(
        database=database,
        model=model,
        recorder=recorder,
        ender=ender,
        turn_log=_choose_turn_log(settings),
        rules=TurnRules(
            system_prompt=settings.chat_system_prompt,
            history_turns=settings.chat_history_turns,
            timeout_s=settings.chat_turn_timeout_s,
            most_answer_chars=settings.chat_max_answer_chars,
            implicit_signals=settings.implicit_signals,
            app_version=settings.app_version,
            model=settings.answering_model,
        ),
    )
    sockets = OpenSockets()
    registry.register(metrics.CurrentState(settings, database))
    return Services(
        settings=settings,
        database=database,
        model=model,
        engine=engine,
        watch=TurnWatch(database, engine, ender),
        feedback=FeedbackDesk(database),
        tracking=tracking,
        links=links,
        datasets=DatasetDesk(EvaluationDatasets(tracking), TracedTurns(tracking), links),
        insights=Insights(
            database,
            tracking,
            links,
            Vocabulary(settings.feedback_dimensions, settings.reasons),
        ),
        limiter=RateLimiter(
            settings.rate_limit_messages,
            settings.rate_limit_messages_per_address,
            settings.rate_limit_feedback,
            settings.redis_url,
        ),
        sockets=sockets,
        occupancy=Occupancy(own_registry, engine, sockets),
        seats=Seats(
            settings.max_sockets,
            settings.max_sockets_per_address,
            settings.max_sockets_per_user,
        ),
    )


def _choose_turn_log(settings: Settings) -> TurnLog:
    if settings.redis_url is None:
        return MemoryTurnLog()
    # An optional dependency, and a cost that a single process need not bear.
    from app.turn_log.shared import SharedTurnLog

    return SharedTurnLog(settings.redis_url)

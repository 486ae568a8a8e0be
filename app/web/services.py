"""What the routes of one app work with, and how they get at it."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from app.datasets import DatasetDesk
from app.feedback import FeedbackDesk
from app.insights.building import Insights
from app.llm.agent import Model
from app.settings import Settings
from app.store.database import Database
from app.tracing.links import Links
from app.tracing.tracking import TrackingServer
from app.turns.engine import TurnEngine
from app.turns.watch import TurnWatch
from app.web.limits import RateLimiter
from app.web.occupancy import Occupancy
from app.web.open_sockets import OpenSockets
from app.web.seats import Seats

_KEY = "thumbprint"


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running app."""

    settings: Settings
    database: Database
    model: Model
    engine: TurnEngine
    watch: TurnWatch
    feedback: FeedbackDesk
    tracking: TrackingServer
    links: Links
    datasets: DatasetDesk
    insights: Insights
    limiter: RateLimiter
    sockets: OpenSockets
    occupancy: Occupancy
    seats: Seats


def install(app: Flask, services: Services) -> None:
    """Make the services available to the app's routes."""
    app.extensions[_KEY] = services


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast(Services, current_app.extensions[_KEY])

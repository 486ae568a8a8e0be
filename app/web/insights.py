"""The report over HTTP, for operators: `GET /insights.json`."""

from flask import Blueprint, Response, jsonify, request

from app.clock import now_ms
from app.errors import InvalidValue
from app.insights.as_json import as_json
from app.store.filters import Filters
from app.web.services import services

blueprint = Blueprint("insights", __name__)


@blueprint.get("/insights.json")
def insights_json() -> Response:
    """The report on the turns that the query leaves."""
    return jsonify(as_json(services().insights.report(filters_asked_for())))


def filters_asked_for() -> Filters:
    """The filters of the request's query. Raises `InvalidValue`."""
    hours = request.args.get("hours", "24")
    try:
        hours_as_number = float(hours)
    except ValueError:
        raise InvalidValue(f"hours: expected a number, got {hours[:80]!r}") from None
    return Filters.last(
        hours_as_number,
        now_ms(),
        version=request.args.get("version"),
        model=request.args.get("model"),
        user=request.args.get("user"),
        segment=request.args.get("segment"),
    )

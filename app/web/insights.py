"""The report over HTTP, for operators: `GET /insights.json`."""

from collections.abc import Mapping

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
    return jsonify(as_json(services().insights.report(filters_of(request.args))))


def filters_of(query: Mapping[str, str]) -> Filters:
    """The filters that a query names. Raises `InvalidValue`."""
    hours = query.get("hours", "24")
    try:
        hours_as_number = float(hours)
    except ValueError:
        raise InvalidValue(f"hours: expected a number, got {hours[:80]!r}") from None
    return Filters.last(
        hours_as_number,
        now_ms(),
        version=query.get("version"),
        model=query.get("model"),
        user=query.get("user"),
        segment=query.get("segment"),
    )

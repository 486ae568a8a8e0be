"""All that a person has said, over HTTP: on which answer, and how far it has come."""

import re
from typing import Annotated, Any

from flask import Response, jsonify
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, StringConstraints

from app.clock import iso
from app.store.feedback import EXCERPT_CHARS, FeedbackRow, Place
from app.web.errors import STATUSES
from app.web.feedback import as_json
from app.web.identity import current_user
from app.web.queries import refuse_duplicates
from app.web.services import services

blueprint = APIBlueprint("feedback_list", __name__, abp_responses=STATUSES)
blueprint.before_request(refuse_duplicates)

_PLACE = re.compile(r"(\d{1,15})\.([0-9a-f]{32})")


class PageQuery(BaseModel):
    """Which page: the first, or the one after the `next` of an earlier answer."""

    before: Annotated[str, StringConstraints(pattern=f"^{_PLACE.pattern}$")] | None = None


@blueprint.get("/feedback/mine", summary="All that you have said, the newest change first")
def show_all(query: PageQuery) -> Response:
    """Answer with a page of it, which always ends with a whole turn.

    So it has up to 50 entries, or all of a single turn that has more. What the app itself observed
    of you is left out.
    """
    before: Place | None = None
    if query.before and (found := _PLACE.fullmatch(query.before)):
        before = int(found[1]), found[2]
    rows = services().feedback.show_all(current_user(), before)
    goes_on = bool(rows) and rows[0].next_turn is not None
    return jsonify(
        feedback=[_entry(row) for row in rows],
        next=f"{rows[0].next_at}.{rows[0].next_turn}" if goes_on else None,
    )


def _entry(row: FeedbackRow) -> dict[str, Any]:
    return as_json(row) | {
        "updated_at": iso(row.updated_at),
        "trace_id": row.trace_id,
        "client_request_id": row.client_request_id,
        "conversation_id": row.conversation_id,
        "question": _excerpt(row.question),
        "answer": _excerpt(row.answer),
    }


def _excerpt(beginning: str) -> str:
    if len(beginning) <= EXCERPT_CHARS:
        return beginning
    return beginning[: EXCERPT_CHARS - 1].rstrip() + "…"

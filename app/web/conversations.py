"""A person's own conversations over HTTP: list, read, rename, delete."""

from collections import defaultdict
from typing import Annotated, Any, TypeVar

from flask import Response, jsonify
from flask_openapi.blueprint import APIBlueprint
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from app.clock import iso
from app.errors import NotFound
from app.store import conversations as store
from app.store.conversations import Conversation, ConversationRow
from app.store.feedback import FeedbackRow
from app.store.turns import TITLE_CHARS, TurnRow
from app.web.errors import STATUSES
from app.web.feedback import as_json
from app.web.feedback_bodies import check_text
from app.web.identity import current_user
from app.web.services import services

blueprint = APIBlueprint("conversations", __name__, abp_responses=STATUSES)

Found = TypeVar("Found")


class ConversationPath(BaseModel):
    """Which conversation."""

    conversation_id: Annotated[
        str, StringConstraints(max_length=64), AfterValidator(lambda text: text.replace("\0", ""))
    ]


class Renaming(BaseModel):
    """The new title."""

    model_config = ConfigDict(strict=True, str_strip_whitespace=True)
    title: Annotated[
        str, StringConstraints(min_length=1, max_length=TITLE_CHARS), AfterValidator(check_text)
    ]


@blueprint.get("/conversations", summary="Your conversations, newest first")
def list_all() -> Response:
    """Answer with id, title and times of each."""
    user_id = current_user()
    rows = services().database.read(lambda c: store.list_conversations(c, user_id))
    return jsonify(conversations=[_summary(row) for row in rows])


@blueprint.get("/conversations/<conversation_id>", summary="One conversation with its turns")
def show(path: ConversationPath) -> Response:
    """Answer with every turn, how it ended, and what you said of it."""
    user_id = current_user()
    found = services().database.read(
        lambda c: store.load_conversation(c, user_id, path.conversation_id)
    )
    return jsonify(_whole(_known(found)))


@blueprint.patch("/conversations/<conversation_id>", summary="Rename a conversation")
def rename(path: ConversationPath, body: Renaming) -> Response:
    """Give it a new title."""
    user_id, title = current_user(), body.title
    row = services().database.write(
        lambda c: store.rename_conversation(c, user_id, path.conversation_id, title)
    )
    return jsonify(_summary(_known(row)))


@blueprint.delete("/conversations/<conversation_id>", summary="Delete a conversation here")
def delete(path: ConversationPath) -> Response:
    """Delete it from the app database; its traces stay in MLflow, and the answer counts them."""
    user_id = current_user()
    traces = services().database.write(
        lambda c: store.delete_conversation(c, user_id, path.conversation_id)
    )
    return jsonify(status="success", kept_in_mlflow=_known(traces))


def _known(found: Found | None) -> Found:
    if found is None:
        raise NotFound("No conversation of yours has this ID.", code="unknown_conversation")
    return found


def _summary(row: ConversationRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "title": row.title,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def _whole(conversation: Conversation) -> dict[str, Any]:
    said: dict[str, list[FeedbackRow]] = defaultdict(list)
    for row in conversation.feedback:
        said[row.turn_id].append(row)
    turns = [_turn(turn, said[turn.id]) for turn in conversation.turns]
    return _summary(conversation.row) | {"turns": turns}


def _turn(row: TurnRow, said: list[FeedbackRow]) -> dict[str, Any]:
    error = None
    if row.error_code:
        error = {
            "code": row.error_code,
            "message": row.error_message,
            "retryable": row.error_retryable,
        }
    return {
        "client_request_id": row.client_request_id,
        "replaces": row.replaces,
        "question": row.question,
        "answer": row.answer,
        "html": row.html,
        "ending": row.ending,
        "error": error,
        # A running turn's trace is not safe yet, so nobody may judge it by its ID.
        "trace_id": row.trace_id if row.trace_state else None,
        "trace_state": row.trace_state,
        "finish_reason": row.finish_reason,
        "created_at": iso(row.created_at),
        "feedback": [as_json(given) for given in said],
    }

"""What a new turn is part of: its conversation, what it replaces, and what the model is told."""

from dataclasses import dataclass

from sqlalchemy import Connection

from app.errors import Conflict, NotFound
from app.llm.agent import Message
from app.protocol import Ask
from app.store import turns as store
from app.store.history import history_of
from app.store.turns import TurnRow


@dataclass(frozen=True, slots=True)
class Context:
    """What the database knows before a turn starts; `existing` when it has started already."""

    existing: TurnRow | None = None
    conversation_id: str | None = None
    replaced: TurnRow | None = None
    history: tuple[TurnRow, ...] = ()

    def messages(self, system_prompt: str, question: str) -> list[Message]:
        """The conversation as the model gets it, the question last."""
        messages = [Message(role="system", content=system_prompt)]
        for turn in self.history:
            messages.append(Message(role="user", content=turn.question))
            messages.append(Message(role="assistant", content=turn.answer))
        messages.append(Message(role="user", content=question))
        return messages


def find_context(
    connection: Connection, user_id: str, client_request_id: str, ask: Ask, history_turns: int
) -> Context:
    """Look up what a message belongs to.

    Raises `NotFound` when its conversation or the turn it replaces is not the user's, `Conflict`
    when the turn it replaces is still running.
    """
    if existing := store.find_turn(connection, user_id, client_request_id):
        return Context(existing)
    conversation_id = ask.conversation_id
    replaced = None
    if ask.replaces:
        replaced = store.find_turn(connection, user_id, ask.replaces)
        if replaced is None or conversation_id not in (None, replaced.conversation_id):
            raise NotFound("No turn of yours here has the ID to replace.", code="unknown_turn")
        if replaced.ending == "running":
            raise Conflict("That turn is still running; stop it first.", code="turn_running")
        conversation_id = replaced.conversation_id
    if conversation_id is None:
        return Context()
    if not store.owns_conversation(connection, user_id, conversation_id):
        raise NotFound("No conversation of yours has this ID.", code="unknown_conversation")
    history = history_of(connection, conversation_id, ask.replaces, history_turns)
    return Context(None, conversation_id, replaced, tuple(history))

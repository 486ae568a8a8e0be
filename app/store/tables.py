"""The tables of the app database, as SQLAlchemy Core sees them.

Times are milliseconds since the Unix epoch, UTC. `migrations/` holds the steps that lead here.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", String(250), nullable=False),
    Column("title", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("conversations_of_user", "user_id", "updated_at"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", String(32), primary_key=True),
    Column(
        "conversation_id",
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("user_id", String(250), nullable=False),
    Column("client_request_id", String(50), nullable=False),
    Column("replaces", String(50)),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False, default=""),
    Column("html", Text),
    Column("ending", String(16), nullable=False),
    Column("finish_reason", String(16)),
    Column("error_code", String(50)),
    Column("error_message", Text),
    Column("error_retryable", Boolean),
    Column("trace_id", String(40), nullable=False, unique=True),
    Column("trace_state", String(16)),
    Column("created_at", BigInteger, nullable=False),
    Column("first_token_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("heartbeat_at", BigInteger, nullable=False),
    # What answered, and `new` in a person's first conversation, else `returning`.
    Column("app_version", String(100)),
    Column("model", String(250)),
    Column("segment", String(16)),
    UniqueConstraint("user_id", "client_request_id", name="one_turn_per_client_request_id"),
    Index("running_turns", "ending"),
    # All that times are made of, so that no text has to be read past.
    Index("turns_in_time", "created_at", "first_token_at", "ended_at"),
    Index("turns_by_version", "app_version", "created_at"),
    Index("turns_by_model", "model", "created_at"),
)

feedback = Table(
    "feedback",
    metadata,
    # MLflow's assessment ID, derived from trace, person and name.
    Column("id", String(50), primary_key=True),
    Column("turn_id", ForeignKey("turns.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("user_id", String(250), nullable=False),
    Column("name", String(250), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("source_type", String(8), nullable=False),
    Column("value", JSON, nullable=False),
    Column("rationale", Text),
    Column("metadata", JSON, nullable=False),
    Column("withdrawn", Boolean, nullable=False, default=False),
    # Counts the changes; MLflow holds the current value once recorded_revision has caught up.
    Column("revision", Integer, nullable=False),
    Column("recorded_revision", Integer, nullable=False, default=0),
    Column("refused_reason", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("feedback_of_user", "user_id", "updated_at", "id"),
)

feedback_keys = Table(
    "feedback_keys",
    metadata,
    Column("turn_id", ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    # The idempotency keys of the latest changes to the turn's feedback, oldest first.
    Column("keys", JSON, nullable=False),
)

departed_traces = Table(
    "departed_traces",
    metadata,
    # Traces whose turns are deleted here, so that "forget me" still knows them.
    Column("trace_id", String(40), primary_key=True),
    # Whose turn it was; unset once that person is forgotten and MLflow must not have it any more.
    Column("user_id", String(250), index=True),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("trace_id", String(40), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("available_at", BigInteger, nullable=False),
    Column("lease", String(32)),
    Column("dead_reason", Text),
    Column("last_error", Text),
    Column("created_at", BigInteger, nullable=False),
    Index("outbox_due", "dead_reason", "available_at"),
)

"""First tables: conversations, turns, feedback and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_id", sa.String(250), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_index("conversations_of_user", "conversations", ["user_id", "updated_at"])
    op.create_table(
        "turns",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column(
            "conversation_id",
            sa.String(32),
            sa.ForeignKey("conversations.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("user_id", sa.String(250), nullable=False),
        sa.Column("client_request_id", sa.String(50), nullable=False),
        sa.Column("replaces", sa.String(50)),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("html", sa.Text),
        sa.Column("ending", sa.String(16), nullable=False),
        sa.Column("finish_reason", sa.String(16)),
        sa.Column("error_code", sa.String(50)),
        sa.Column("error_message", sa.Text),
        sa.Column("error_retryable", sa.Boolean),
        sa.Column("trace_id", sa.String(40), nullable=False, unique=True),
        sa.Column("trace_state", sa.String(16)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("first_token_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("heartbeat_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("user_id", "client_request_id", name="one_turn_per_client_request_id"),
    )
    op.create_index("running_turns", "turns", ["ending", "heartbeat_at"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(50), primary_key=True),
        sa.Column(
            "turn_id",
            sa.String(32),
            sa.ForeignKey("turns.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("user_id", sa.String(250), nullable=False, index=True),
        sa.Column("name", sa.String(250), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source_type", sa.String(8), nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("rationale", sa.Text),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("recorded_revision", sa.Integer, nullable=False),
        sa.Column("refused_reason", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("trace_id", sa.String(40), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("available_at", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("dead_reason", sa.Text),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("outbox_due", "outbox", ["dead_reason", "available_at"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("outbox", "feedback", "turns", "conversations"):
        op.drop_table(table)

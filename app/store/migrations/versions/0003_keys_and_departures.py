"""Idempotency keys, the traces of deleted turns, and a person's feedback in order of time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the two tables and the index."""
    op.create_table(
        "feedback_keys",
        sa.Column(
            "turn_id",
            sa.String(32),
            sa.ForeignKey("turns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("keys", sa.JSON, nullable=False),
    )
    op.create_table(
        "departed_traces",
        sa.Column("trace_id", sa.String(40), primary_key=True),
        sa.Column("user_id", sa.String(250), index=True),
    )
    op.create_index("feedback_of_user", "feedback", ["user_id", "updated_at", "id"])
    op.drop_index("ix_feedback_user_id", "feedback")


def downgrade() -> None:
    """Take them away again."""
    op.create_index("ix_feedback_user_id", "feedback", ["user_id"])
    op.drop_index("feedback_of_user", "feedback")
    op.drop_table("departed_traces")
    op.drop_table("feedback_keys")

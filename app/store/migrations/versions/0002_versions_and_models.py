"""What answered a turn and whose it is: app version, model and segment, for the report."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and what finds turns by them. Earlier turns have none of them."""
    op.add_column("turns", sa.Column("app_version", sa.String(100)))
    op.add_column("turns", sa.Column("model", sa.String(250)))
    op.add_column("turns", sa.Column("segment", sa.String(16)))
    op.create_index("turns_in_time", "turns", ["created_at"])
    op.create_index("turns_by_version", "turns", ["app_version", "created_at"])
    op.create_index("turns_by_model", "turns", ["model", "created_at"])


def downgrade() -> None:
    """Take them away again."""
    for index in ("turns_by_model", "turns_by_version", "turns_in_time"):
        op.drop_index(index, "turns")
    with op.batch_alter_table("turns") as table:
        for column in ("segment", "model", "app_version"):
            table.drop_column(column)

"""What belongs to one signal is found at once.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None

CORRELATED = "correlation_id IS NOT NULL"


def upgrade() -> None:
    op.create_index(
        "ix_trail_correlation_id",
        "trail",
        ["correlation_id", "position"],
        sqlite_where=sa.text(CORRELATED),
        postgresql_where=sa.text(CORRELATED),
    )


def downgrade() -> None:
    op.drop_index("ix_trail_correlation_id", "trail")

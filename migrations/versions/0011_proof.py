"""The Merkle tree over the log, and its signed checkpoints.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from byjy_events.columns import BigInt, Nanoseconds

revision = "0011"
down_revision: str | None = "0010"
branch_labels = None
depends_on = None

TABLES = ("merkle_nodes", "tree_checkpoints")

REFUSE_CHANGE = """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END
    $body$"""


def upgrade() -> None:
    op.create_table(
        "merkle_nodes",
        sa.Column("level", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", BigInt, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("level BETWEEN 1 AND 7", name="ck_merkle_nodes_level"),
        sa.CheckConstraint("number >= 0", name="ck_merkle_nodes_number"),
        sa.CheckConstraint("length(hash) = 32", name="ck_merkle_nodes_hash"),
        sa.PrimaryKeyConstraint("level", "number", name="pk_merkle_nodes"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tree_checkpoints",
        sa.Column("size", BigInt, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.CheckConstraint("size >= 1", name="ck_tree_checkpoints_size"),
        sa.CheckConstraint("length(root) = 32", name="ck_tree_checkpoints_root"),
        sa.PrimaryKeyConstraint("size", name="pk_tree_checkpoints"),
        sqlite_strict=True,
    )
    postgresql = context.get_context().dialect.name == "postgresql"
    if postgresql:
        op.execute(REFUSE_CHANGE)
    for table in TABLES:
        for statement in postgresql_triggers(table) if postgresql else sqlite_triggers(table):
            op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    if context.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change")


# INSERT OR REPLACE deletes without firing a trigger, unless the connection asks for it. A subtree may come again.
REPLACED = {
    "merkle_nodes": "SELECT 1 FROM merkle_nodes"
    " WHERE level = NEW.level AND number = NEW.number AND hash IS NOT NEW.hash",
    "tree_checkpoints": "SELECT 1 FROM tree_checkpoints WHERE size >= NEW.size",
}


def sqlite_triggers(table: str) -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_append_only BEFORE INSERT ON {table} WHEN EXISTS ({REPLACED[table]}) {refuse}",
    ]


def postgresql_triggers(table: str) -> list[str]:
    created = [
        f"CREATE TRIGGER {table}_no_{what} BEFORE {what.upper()} ON {table}"
        f" FOR EACH {'STATEMENT' if what == 'truncate' else 'ROW'} EXECUTE FUNCTION refuse_change()"
        for what in ("update", "delete", "truncate")
    ]
    always = [
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_{what}" for what in ("update", "delete", "truncate")
    ]
    return [*created, *always]

"""What the executions of strategies traded.

No trade carries the id of an execution yet: the group is of another version then, and ``byjy rebuild`` gives trades
and totals what the log says of them.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import BigInt, Flag, Money, Nanoseconds, Uuid, word

revision = "0009"
down_revision: str | None = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A column that may be null and has no constraint is the one change that SQLite makes to a table as it is.
    op.add_column("trades", sa.Column("strategy_execution_id", Uuid))
    index("orders", "created_at", "id")
    index("trades", "trading_pair_id", "account", "is_test", "position")
    create_totals()
    create_fees()


def downgrade() -> None:
    op.drop_table("strategy_execution_fees")
    op.drop_table("strategy_execution_totals")
    op.drop_index("ix_trades_strategy_execution_id", "trades")
    op.drop_index("ix_orders_strategy_execution_id", "orders")
    op.drop_column("trades", "strategy_execution_id")


def create_totals() -> None:
    op.create_table(
        "strategy_execution_totals",
        sa.Column("strategy_execution_id", Uuid, nullable=False),
        sa.Column("trading_pair_id", Uuid, nullable=False),
        sa.Column("account", word(255), nullable=False),
        sa.Column("is_test", Flag, nullable=False, server_default=sa.false()),
        number("orders"),
        number("fills"),
        amount("volume", nullable=True),
        amount("quantity"),
        sa.Column("avg_price", Money),
        amount("realized_pnl", nullable=True),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.Column("last_position", BigInt, nullable=False),
        sa.PrimaryKeyConstraint(
            "strategy_execution_id", "trading_pair_id", "account", "is_test", name="pk_strategy_execution_totals"
        ),
        sa.ForeignKeyConstraint(
            ["trading_pair_id"],
            ["trading_pairs.id"],
            name="fk_strategy_execution_totals_trading_pair_id_trading_pairs",
            ondelete="CASCADE",
        ),
        money_is_plain("strategy_execution_totals", "volume", "quantity", "avg_price", "realized_pnl"),
        sa.CheckConstraint("is_test IN (0, 1)", name="ck_strategy_execution_totals_flags").ddl_if(dialect="sqlite"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def create_fees() -> None:
    op.create_table(
        "strategy_execution_fees",
        sa.Column("strategy_execution_id", Uuid, nullable=False),
        sa.Column("asset", word(255), nullable=False),
        amount("amount"),
        sa.PrimaryKeyConstraint("strategy_execution_id", "asset", name="pk_strategy_execution_fees"),
        money_is_plain("strategy_execution_fees", "amount"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def index(table: str, *columns: str) -> None:
    carried = sa.text("strategy_execution_id IS NOT NULL")
    op.create_index(
        f"ix_{table}_strategy_execution_id",
        table,
        ["strategy_execution_id", *columns],
        sqlite_where=carried,
        postgresql_where=carried,
    )


def money_is_plain(table: str, *columns: str) -> Any:
    each = (f"{column} NOT GLOB '*[^-0-9.]*'" for column in columns)
    return sa.CheckConstraint(" AND ".join(each), name=f"ck_{table}_money").ddl_if(dialect="sqlite")


def amount(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Money, nullable=nullable, server_default="0")


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, BigInt, nullable=False, server_default="0")

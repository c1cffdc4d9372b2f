"""The log, the trading tables of the read side, and the checkpoints of its projections.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from byjy_events.columns import BigInt, Flag, Money, Nanoseconds, Uuid, word

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

# Advisory locks belong to one database, so the number need only differ from those of other programs in it.
APPEND_LOCK_KEY = int.from_bytes(b"byjy-log")

OPEN = "status NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED')"

# recursive_triggers, which makes INSERT OR REPLACE fire the DELETE trigger, is a setting of each connection.
# The check of the position holds for connections without it too.
SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events is append-only'); END
    """,
    """
    CREATE TRIGGER events_no_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events is append-only'); END
    """,
    """
    CREATE TRIGGER events_append_only BEFORE INSERT ON events
    WHEN NEW.position <> (SELECT coalesce(max(position), 0) + 1 FROM events)
    BEGIN SELECT RAISE(ABORT, 'events is append-only: not the next position'); END
    """,
)

# TRUNCATE fires no row trigger. ENABLE ALWAYS: session_replication_role = replica would pass the others by.
POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        RAISE EXCEPTION 'events is append-only' USING ERRCODE = 'restrict_violation';
    END
    $body$
    """,
    """
    CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    FOR EACH ROW EXECUTE FUNCTION events_refuse_change()
    """,
    """
    CREATE TRIGGER events_no_delete BEFORE DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_refuse_change()
    """,
    """
    CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change()
    """,
    "ALTER TABLE events ENABLE ALWAYS TRIGGER events_no_update",
    "ALTER TABLE events ENABLE ALWAYS TRIGGER events_no_delete",
    "ALTER TABLE events ENABLE ALWAYS TRIGGER events_no_truncate",
    "REVOKE ALL ON events FROM PUBLIC",
)


def upgrade() -> None:
    create_events()
    create_trading_pairs()
    create_orders()
    create_order_details()
    create_trades()
    create_positions()
    create_anomalies()
    create_projection_checkpoints()
    if context.get_context().dialect.name == "sqlite":
        execute_all(SQLITE_TRIGGERS)
    else:
        execute_all(POSTGRESQL_TRIGGERS)
        create_append_function()


def downgrade() -> None:
    if context.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION append_events")
    for table in (
        "projection_checkpoints",
        "anomalies",
        "position_fees",
        "positions",
        "trades",
        "order_fees",
        "order_aliases",
        "orders",
        "trading_pairs",
        "events",
    ):
        op.drop_table(table)
    if context.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION events_refuse_change()")


def execute_all(statements: Iterable[str]) -> None:
    for statement in statements:
        op.execute(verbatim(statement))


def verbatim(statement: str) -> sa.TextClause:
    """SQL without parameters: a colon in it is a colon."""
    return sa.text(statement.strip().replace(":", "\\:"))


def create_append_function() -> None:
    schema, source = quoted_schema(), Path(__file__).parents[1] / "sql" / "0001_append_events.sql"
    op.execute(verbatim(source.read_text(encoding="utf-8").format(schema=schema, lock_key=APPEND_LOCK_KEY)))
    op.execute("REVOKE ALL ON FUNCTION append_events FROM PUBLIC")


def quoted_schema() -> str:
    """Where the tables are made: the first schema of the search path that exists."""
    migration = context.get_context()
    name = "public" if migration.as_sql else op.get_bind().scalar(sa.text("SELECT current_schema()"))
    return migration.dialect.identifier_preparer.quote(name)


def one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{table}_{column}")


def money_is_plain(table: str, *columns: str) -> Any:
    each = (f"{column} NOT GLOB '*[^-0-9.]*'" for column in columns)
    return sa.CheckConstraint(" AND ".join(each), name=f"ck_{table}_money").ddl_if(dialect="sqlite")


def flags_are_bits(table: str, *columns: str) -> Any:
    condition = " AND ".join(f"{column} IN (0, 1)" for column in columns)
    return sa.CheckConstraint(condition, name=f"ck_{table}_flags").ddl_if(dialect="sqlite")


def amount(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Money, nullable=nullable, server_default="0")


def flag(name: str, default: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Flag, nullable=False, server_default=sa.true() if default else sa.false())


def refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}_{to}", ondelete="CASCADE")


def create_events() -> None:
    op.create_table(
        "events",
        sa.Column("position", BigInt, autoincrement=False, nullable=False),
        sa.Column("event_id", Uuid, nullable=False),
        sa.Column("stream_category", word(64), nullable=False),
        sa.Column("stream_id", Uuid, nullable=False),
        sa.Column("stream_version", BigInt, nullable=False),
        sa.Column("type", word(128), nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("occurred_at", Nanoseconds),
        sa.Column("received_at", Nanoseconds, nullable=False),
        sa.Column("recorded_at", Nanoseconds, nullable=False),
        sa.Column("actor", word(255), nullable=False),
        sa.Column("correlation_id", Uuid),
        sa.Column("causation_id", Uuid),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_events"),
        sa.UniqueConstraint("event_id", name="uq_events_event_id"),
        sa.UniqueConstraint("stream_id", "stream_category", "stream_version", name="uq_events_stream"),
        sa.CheckConstraint("position >= 1", name="ck_events_position"),
        sa.CheckConstraint("stream_version >= 1", name="ck_events_stream_version"),
        sa.CheckConstraint("length(leaf_hash) = 32", name="ck_events_leaf_hash"),
        sqlite_strict=True,
    )


def create_trading_pairs() -> None:
    op.create_table(
        "trading_pairs",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("symbol", word(255), nullable=False),
        sa.Column("base_asset", word(255), nullable=False),
        sa.Column("quote_asset", word(255), nullable=False),
        sa.Column("exchange", word(255), nullable=False),
        sa.Column("status", word(32), nullable=False),
        amount("min_quantity"),
        sa.Column("max_quantity", Money),
        amount("step_size"),
        amount("min_price"),
        sa.Column("max_price", Money),
        amount("tick_size"),
        flag("is_active", default=True),
        flag("external"),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trading_pairs"),
        sa.UniqueConstraint("exchange", "symbol", name="uq_trading_pairs_exchange_symbol"),
        one_of("trading_pairs", "status", "TRADING", "INACTIVE", "MAINTENANCE"),
        money_is_plain(
            "trading_pairs", "min_quantity", "max_quantity", "step_size", "min_price", "max_price", "tick_size"
        ),
        flags_are_bits("trading_pairs", "is_active", "external"),
        sqlite_strict=True,
    )
    op.create_index("ix_trading_pairs_symbol", "trading_pairs", ["symbol"])
    op.create_index("ix_trading_pairs_exchange", "trading_pairs", ["exchange"])


def create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("exchange_order_id", word(255)),
        sa.Column("client_order_id", word(255)),
        sa.Column("trading_pair_id", Uuid, nullable=False),
        sa.Column("account", word(255), nullable=False),
        sa.Column("side", word(32)),
        sa.Column("type", word(32)),
        sa.Column("status", word(32), nullable=False),
        sa.Column("quantity", Money),
        sa.Column("price", Money),
        sa.Column("stop_price", Money),
        amount("filled_quantity"),
        amount("filled_notional", nullable=True),
        sa.Column("avg_price", Money),
        amount("commission", nullable=True),
        sa.Column("commission_asset", word(255)),
        sa.Column("exchange", word(255), nullable=False),
        sa.Column("time_in_force", word(32), server_default="GTC"),
        flag("is_test"),
        flag("external"),
        flag("pending_cancel"),
        flag("pending_replace"),
        flag("done_for_day"),
        sa.Column("reject_reason", sa.Text),
        sa.Column("strategy_id", Uuid),
        sa.Column("strategy_execution_id", Uuid),
        sa.Column("submitted_at", Nanoseconds),
        sa.Column("accepted_at", Nanoseconds),
        sa.Column("cancel_requested_at", Nanoseconds),
        sa.Column("amend_requested_at", Nanoseconds),
        sa.Column("executed_at", Nanoseconds),
        sa.Column("canceled_at", Nanoseconds),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.Column("last_position", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        refers("orders", "trading_pair_id", "trading_pairs"),
        one_of("orders", "side", "BUY", "SELL"),
        sa.CheckConstraint(
            "type IN ('LIMIT', 'MARKET', 'STOP_LOSS', 'STOP_LOSS_LIMIT', 'TAKE_PROFIT', 'TAKE_PROFIT_LIMIT', "
            "'LIMIT_MAKER')",
            name="ck_orders_type",
        ),
        sa.CheckConstraint(
            "status IN ('PENDING_NEW', 'NEW', 'PARTIALLY_FILLED', 'FILLED', 'PENDING_CANCEL', 'PENDING_REPLACE', "
            "'CANCELED', 'REJECTED', 'EXPIRED', 'DONE_FOR_DAY')",
            name="ck_orders_status",
        ),
        one_of("orders", "time_in_force", "GTC", "IOC", "FOK"),
        money_is_plain(
            "orders", "quantity", "price", "stop_price", "filled_quantity", "filled_notional", "avg_price", "commission"
        ),
        flags_are_bits("orders", "is_test", "external", "pending_cancel", "pending_replace", "done_for_day"),
        sqlite_strict=True,
    )
    op.create_index("ix_orders_trading_pair_id", "orders", ["trading_pair_id", "created_at", "id"])
    op.create_index("ix_orders_status", "orders", ["status", "created_at", "id"])
    op.create_index("ix_orders_created_at", "orders", ["created_at", "id"])
    op.create_index("ix_orders_exchange_order_id", "orders", ["exchange_order_id"])
    op.create_index("ix_orders_client_order_id", "orders", ["client_order_id"])
    create_open_index("ix_orders_open_trading_pair_id", ["trading_pair_id", "id"])
    create_open_index("ix_orders_open_account", ["account", "id"])


def create_open_index(name: str, columns: list[str]) -> None:
    op.create_index(name, "orders", columns, sqlite_where=sa.text(OPEN), postgresql_where=sa.text(OPEN))


def create_order_details() -> None:
    op.create_table(
        "order_aliases",
        sa.Column("exchange", word(255), nullable=False),
        sa.Column("account", word(255), nullable=False),
        sa.Column("trading_pair_id", Uuid, nullable=False),
        sa.Column("kind", word(32), nullable=False),
        sa.Column("external_id", word(255), nullable=False),
        sa.Column("order_id", Uuid, nullable=False),
        sa.Column("claimed_at", BigInt, nullable=False),
        sa.PrimaryKeyConstraint(
            "exchange", "account", "trading_pair_id", "kind", "external_id", name="pk_order_aliases"
        ),
        refers("order_aliases", "trading_pair_id", "trading_pairs"),
        refers("order_aliases", "order_id", "orders"),
        one_of("order_aliases", "kind", "EXCHANGE", "CLIENT"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_order_aliases_order_id", "order_aliases", ["order_id"])
    op.create_table(
        "order_fees",
        sa.Column("order_id", Uuid, nullable=False),
        sa.Column("asset", word(255), nullable=False),
        amount("amount"),
        sa.PrimaryKeyConstraint("order_id", "asset", name="pk_order_fees"),
        refers("order_fees", "order_id", "orders"),
        money_is_plain("order_fees", "amount"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def create_trades() -> None:
    op.create_table(
        "trades",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("order_id", Uuid, nullable=False),
        sa.Column("trading_pair_id", Uuid, nullable=False),
        sa.Column("account", word(255), nullable=False),
        flag("is_test"),
        sa.Column("execution_id", word(255), nullable=False),
        sa.Column("exchange_order_id", word(255)),
        sa.Column("side", word(32), nullable=False),
        sa.Column("quantity", Money, nullable=False),
        sa.Column("price", Money, nullable=False),
        amount("fee"),
        sa.Column("fee_asset", word(255)),
        sa.Column("liquidity", word(32)),
        sa.Column("executed_at", Nanoseconds, nullable=False),
        sa.Column("position", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trades"),
        refers("trades", "order_id", "orders"),
        refers("trades", "trading_pair_id", "trading_pairs"),
        one_of("trades", "side", "BUY", "SELL"),
        one_of("trades", "liquidity", "MAKER", "TAKER"),
        money_is_plain("trades", "quantity", "price", "fee"),
        flags_are_bits("trades", "is_test"),
        sqlite_strict=True,
    )
    op.create_index("ix_trades_order_id", "trades", ["order_id", "position"])
    op.create_index("ix_trades_trading_pair_id", "trades", ["trading_pair_id", "executed_at", "position"])
    op.create_index("ix_trades_executed_at", "trades", ["executed_at", "position"])


def create_positions() -> None:
    op.create_table(
        "positions",
        sa.Column("trading_pair_id", Uuid, nullable=False),
        sa.Column("account", word(255), nullable=False),
        flag("is_test"),
        amount("quantity"),
        sa.Column("avg_price", Money),
        amount("realized_pnl", nullable=True),
        sa.Column("fills", BigInt, nullable=False, server_default="0"),
        sa.Column("opened_at", Nanoseconds),
        sa.Column("closed_at", Nanoseconds),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.Column("last_position", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("trading_pair_id", "account", "is_test", name="pk_positions"),
        refers("positions", "trading_pair_id", "trading_pairs"),
        money_is_plain("positions", "quantity", "avg_price", "realized_pnl"),
        flags_are_bits("positions", "is_test"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_positions_account", "positions", ["account", "is_test", "trading_pair_id"])
    op.create_table(
        "position_fees",
        sa.Column("trading_pair_id", Uuid, nullable=False),
        sa.Column("account", word(255), nullable=False),
        flag("is_test"),
        sa.Column("asset", word(255), nullable=False),
        amount("amount"),
        sa.PrimaryKeyConstraint("trading_pair_id", "account", "is_test", "asset", name="pk_position_fees"),
        refers("position_fees", "trading_pair_id", "trading_pairs"),
        money_is_plain("position_fees", "amount"),
        flags_are_bits("position_fees", "is_test"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def create_anomalies() -> None:
    op.create_table(
        "anomalies",
        sa.Column("position", BigInt, autoincrement=False, nullable=False),
        sa.Column("kind", word(32), nullable=False),
        sa.Column("order_id", Uuid),
        sa.Column("trading_pair_id", Uuid),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("recorded_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("position", "kind", name="pk_anomalies"),
        sa.CheckConstraint(
            "kind IN ('UNKNOWN_ORDER', 'UNKNOWN_PAIR', 'UNKNOWN_TRADE', 'LATE_FILL', 'OVERFILL', 'ALIAS_CONFLICT', "
            "'FACT_CONFLICTED', 'MESSAGE_UNUSABLE', 'NUMBER_OUT_OF_RANGE', 'NOT_FOLDED', 'PLACED_AGAIN')",
            name="ck_anomalies_kind",
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_anomalies_kind", "anomalies", ["kind", "position"])
    op.create_index("ix_anomalies_order_id", "anomalies", ["order_id", "position", "kind"])


def create_projection_checkpoints() -> None:
    op.create_table(
        "projection_checkpoints",
        sa.Column("group_name", word(128), nullable=False),
        sa.Column("position", BigInt, nullable=False),
        sa.Column("generation", BigInt, nullable=False, server_default="0"),
        sa.Column("version", word(255), nullable=False),
        sa.Column("status", word(16), nullable=False),
        sa.Column("passed_over", BigInt, nullable=False, server_default="0"),
        sa.Column("error_position", BigInt),
        sa.Column("error_event_type", word(128)),
        sa.Column("error", sa.Text),
        sa.Column("stopped_at", Nanoseconds),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("group_name", name="pk_projection_checkpoints"),
        one_of("projection_checkpoints", "status", "RUNNING", "STOPPED", "REBUILDING"),
        sqlite_strict=True,
    )

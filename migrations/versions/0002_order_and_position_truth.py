"""Revised trades, closed holdings, requests that are not answered.

The rows of the read side are copied as they are; their groups are of another version then, and ``byjy rebuild`` makes
them what this version of the program makes of the log.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from byjy_events.columns import BigInt, Flag, Money, Nanoseconds, Uuid, word

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

OPEN = "status NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED')"
IN_DOUBT = (
    "(status = 'PENDING_NEW'"
    " OR cancel_requested_at IS NOT NULL AND status NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED')"
    " OR amend_requested_at IS NOT NULL AND status NOT IN ('CANCELED', 'REJECTED', 'EXPIRED'))"
)

KINDS = (
    "UNKNOWN_ORDER", "UNKNOWN_PAIR", "UNKNOWN_TRADE", "LATE_FILL", "OVERFILL", "ALIAS_CONFLICT", "FACT_CONFLICTED",
    "MESSAGE_UNUSABLE", "NUMBER_OUT_OF_RANGE",
)  # fmt: skip
OLD_KINDS = (*KINDS, "NOT_FOLDED", "PLACED_AGAIN")
NEW_KINDS = (*KINDS[:3], "REVISED_AGAIN", *KINDS[3:], "PLACED_AGAIN", "STATUS_CONFLICT", "LINK_CONFLICT")


def upgrade() -> None:
    if on_sqlite():
        remake(new=True)
    else:
        change_on_postgresql()
    create_position_cycles()
    create_cycle_index()


def downgrade() -> None:
    op.drop_table("position_cycles")
    if on_sqlite():
        remake(new=False)
    else:
        change_back_on_postgresql()


def on_sqlite() -> bool:
    return context.get_context().dialect.name == "sqlite"


# --- SQLite: no constraint can be added to a table, so the tables are made anew --------------------


def remake(*, new: bool) -> None:
    """Foreign keys are off while migrations run, so that dropping a table takes no rows of others along."""
    for name, parts, indexes, kwargs in (
        ("orders", orders, order_indexes, {}),
        ("trades", trades, trade_indexes, {}),
        ("positions", positions, position_indexes, {"sqlite_with_rowid": False}),
        ("anomalies", anomalies, anomaly_indexes, {}),
    ):
        op.create_table(f"remade_{name}", *parts(new), sqlite_strict=True, **kwargs)
        kept = ", ".join(part.name for part in parts(False) if isinstance(part, sa.Column))
        condition = f" WHERE {known_kinds(new)}" if name == "anomalies" else ""
        op.execute(f"INSERT INTO remade_{name} ({kept}) SELECT {kept} FROM {name}{condition}")  # noqa: S608
        op.drop_table(name)
        op.rename_table(f"remade_{name}", name)
        for index, columns, where in indexes(new):
            partial: dict[str, Any] = {} if where is None else {"sqlite_where": sa.text(where)}
            op.create_index(index, name, columns, **partial)


def known_kinds(new: bool) -> str:
    return f"kind IN ({listed(NEW_KINDS if new else OLD_KINDS)})"


def orders(new: bool) -> list[Any]:
    parts = [
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
        one_of(
            "orders", "type", "LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
            "LIMIT_MAKER",
        ),
        one_of(
            "orders", "status", "PENDING_NEW", "NEW", "PARTIALLY_FILLED", "FILLED", "PENDING_CANCEL", "PENDING_REPLACE",
            "CANCELED", "REJECTED", "EXPIRED", "DONE_FOR_DAY",
        ),
        one_of("orders", "time_in_force", "GTC", "IOC", "FOK"),
        money_is_plain(
            "orders", "quantity", "price", "stop_price", "filled_quantity", "filled_notional", "avg_price",
            "commission", *(("traded_quantity", "traded_notional") if new else ()),
        ),
        flags_are_bits("orders", "is_test", "external", "pending_cancel", "pending_replace", "done_for_day"),
    ]  # fmt: skip
    return parts + (order_columns() if new else [])


def order_columns() -> list[sa.Column[Any]]:
    return [
        number("cancels_unanswered"),
        number("amends_unanswered"),
        sa.Column("pending_amends", sa.Text),
        amount("traded_quantity"),
        amount("traded_notional", nullable=True),
        sa.Column("restated_at", Nanoseconds),
    ]


def order_indexes(new: bool) -> list[tuple[str, list[str], str | None]]:
    indexes: list[tuple[str, list[str], str | None]] = [
        ("ix_orders_trading_pair_id", ["trading_pair_id", "created_at", "id"], None),
        ("ix_orders_status", ["status", "created_at", "id"], None),
        ("ix_orders_created_at", ["created_at", "id"], None),
        ("ix_orders_exchange_order_id", ["exchange_order_id"], None),
        ("ix_orders_client_order_id", ["client_order_id"], None),
        ("ix_orders_open_trading_pair_id", ["trading_pair_id", "id"], OPEN),
        ("ix_orders_open_account", ["account", "id"], OPEN),
    ]
    return indexes + ([("ix_orders_in_doubt", ["account", "id"], IN_DOUBT)] if new else [])


def trades(new: bool) -> list[Any]:
    parts = [
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
    ]
    return parts + ([*trade_columns(), *trade_checks()] if new else [])


def trade_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("status", word(32), nullable=False, server_default="EXECUTED"),
        sa.Column("revised_position", BigInt),
        sa.Column("fee_in", word(32)),
    ]


def trade_checks() -> list[sa.CheckConstraint]:
    return [
        one_of("trades", "status", "EXECUTED", "CORRECTED", "BUSTED"),
        one_of("trades", "fee_in", "BASE", "QUOTE"),
    ]


def trade_indexes(new: bool) -> list[tuple[str, list[str], str | None]]:
    indexes: list[tuple[str, list[str], str | None]] = [
        ("ix_trades_order_id", ["order_id", "position"], None),
        ("ix_trades_trading_pair_id", ["trading_pair_id", "executed_at", "position"], None),
        ("ix_trades_executed_at", ["executed_at", "position"], None),
    ]
    by_position = ("ix_trades_position", ["trading_pair_id", "account", "is_test", "position"], None)
    return indexes + ([by_position] if new else [])


def positions(new: bool) -> list[Any]:
    parts = [
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
    ]
    money = ("quantity", "avg_price", "realized_pnl")
    more = ("peak_quantity", "cycle_realized_pnl")
    return [
        *parts,
        *(position_columns() if new else []),
        sa.PrimaryKeyConstraint("trading_pair_id", "account", "is_test", name="pk_positions"),
        refers("positions", "trading_pair_id", "trading_pairs"),
        money_is_plain("positions", *money, *(more if new else ())),
        flags_are_bits("positions", "is_test"),
    ]


def position_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("opened_position", BigInt),
        amount("peak_quantity"),
        amount("cycle_realized_pnl", nullable=True),
    ]


def position_indexes(new: bool) -> list[tuple[str, list[str], str | None]]:
    return [("ix_positions_account", ["account", "is_test", "trading_pair_id"], None)]


def anomalies(new: bool) -> list[Any]:
    return [
        sa.Column("position", BigInt, autoincrement=False, nullable=False),
        sa.Column("kind", word(32), nullable=False),
        sa.Column("order_id", Uuid),
        sa.Column("trading_pair_id", Uuid),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("recorded_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("position", "kind", name="pk_anomalies"),
        one_of("anomalies", "kind", *(NEW_KINDS if new else OLD_KINDS)),
    ]


def anomaly_indexes(new: bool) -> list[tuple[str, list[str], str | None]]:
    return [
        ("ix_anomalies_kind", ["kind", "position"], None),
        ("ix_anomalies_order_id", ["order_id", "position", "kind"], None),
    ]


# --- PostgreSQL ------------------------------------------------------------------------------------


def change_on_postgresql() -> None:
    for table, columns in added().items():
        for column in columns:
            op.add_column(table, column)
    op.create_check_constraint("ck_trades_status", "trades", "status IN ('EXECUTED', 'CORRECTED', 'BUSTED')")
    op.create_check_constraint("ck_trades_fee_in", "trades", "fee_in IN ('BASE', 'QUOTE')")
    change_kinds(new=True)
    op.create_index("ix_orders_in_doubt", "orders", ["account", "id"], postgresql_where=sa.text(IN_DOUBT))
    op.create_index("ix_trades_position", "trades", ["trading_pair_id", "account", "is_test", "position"])


def change_back_on_postgresql() -> None:
    op.drop_index("ix_trades_position", "trades")
    op.drop_index("ix_orders_in_doubt", "orders")
    change_kinds(new=False)
    op.drop_constraint("ck_trades_fee_in", "trades")
    op.drop_constraint("ck_trades_status", "trades")
    for table, columns in added().items():
        for column in columns:
            op.drop_column(table, column.name)


def added() -> dict[str, Sequence[sa.Column[Any]]]:
    return {"orders": order_columns(), "trades": trade_columns(), "positions": position_columns()}


def change_kinds(*, new: bool) -> None:
    op.drop_constraint("ck_anomalies_kind", "anomalies")
    op.execute(f"DELETE FROM anomalies WHERE NOT {known_kinds(new)}")  # noqa: S608
    op.create_check_constraint("ck_anomalies_kind", "anomalies", known_kinds(new))


# --- both ------------------------------------------------------------------------------------------


def create_position_cycles() -> None:
    op.create_table(
        "position_cycles",
        sa.Column("trading_pair_id", Uuid, nullable=False),
        sa.Column("account", word(255), nullable=False),
        flag("is_test"),
        sa.Column("closed_position", BigInt, autoincrement=False, nullable=False),
        sa.Column("opened_position", BigInt, nullable=False),
        sa.Column("side", word(32), nullable=False),
        amount("peak_quantity"),
        sa.Column("avg_price", Money),
        sa.Column("realized_pnl", Money),
        sa.Column("total_realized_pnl", Money),
        sa.Column("fills", BigInt, nullable=False),
        flag("reversed"),
        sa.Column("opened_at", Nanoseconds, nullable=False),
        sa.Column("closed_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("trading_pair_id", "account", "is_test", "closed_position", name="pk_position_cycles"),
        refers("position_cycles", "trading_pair_id", "trading_pairs"),
        one_of("position_cycles", "side", "LONG", "SHORT"),
        money_is_plain("position_cycles", "peak_quantity", "avg_price", "realized_pnl", "total_realized_pnl"),
        flags_are_bits("position_cycles", "is_test", "reversed"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def create_cycle_index() -> None:
    op.create_index("ix_position_cycles_closed_position", "position_cycles", ["closed_position"])


def listed(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({listed(values)})", name=f"ck_{table}_{column}")


def money_is_plain(table: str, *columns: str) -> Any:
    each = (f"{column} NOT GLOB '*[^-0-9.]*'" for column in columns)
    return sa.CheckConstraint(" AND ".join(each), name=f"ck_{table}_money").ddl_if(dialect="sqlite")


def flags_are_bits(table: str, *columns: str) -> Any:
    condition = " AND ".join(f"{column} IN (0, 1)" for column in columns)
    return sa.CheckConstraint(condition, name=f"ck_{table}_flags").ddl_if(dialect="sqlite")


def amount(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Money, nullable=nullable, server_default="0")


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, BigInt, nullable=False, server_default="0")


def flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, Flag, nullable=False, server_default=sa.false())


def refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}_{to}", ondelete="CASCADE")

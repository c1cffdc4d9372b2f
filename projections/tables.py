"""The tables of the read side, as SQLAlchemy sees them. Only projectors write them; the log rebuilds them.

Instants are integer nanoseconds UTC. Money is exact: NUMERIC(38, 18) on PostgreSQL, canonical TEXT on
SQLite, where no arithmetic or comparison may be done on it in SQL. What a venue tells (prices, fees,
filled quantities, its ids) carries no bound, sign or uniqueness: a CHECK holds only what a fold
guarantees for every input, or a strange message would stop the projector.

Indexes end in the key that breaks ties, so that each serves a filter and its keyset pages in one go.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from byjy_events.columns import NAMING, BigInt, Flag, Money, Nanoseconds, Uuid, one_of, word
from byjy_events.vocabulary.orders import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from byjy_events.vocabulary.pairs import PairStatus
from projections.choices import AliasKind, AnomalyKind, Choice, FeeIn, PositionSide, TradeStatus

metadata = sa.MetaData(naming_convention=NAMING)


def _external_id(name: str, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, word(255), nullable=nullable)


def _amount(name: str) -> sa.Column[Any]:
    """Money that is always there, and starts at nothing."""
    return sa.Column(name, Money, nullable=False, server_default="0")


def _flag(name: str, default: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Flag, nullable=False, server_default=sa.true() if default else sa.false())


def _pair(primary_key: bool = False) -> sa.Column[Any]:
    reference = sa.ForeignKey("trading_pairs.id", ondelete="CASCADE")
    return sa.Column("trading_pair_id", Uuid, reference, nullable=False, primary_key=primary_key)


def _order(primary_key: bool = False) -> sa.Column[Any]:
    reference = sa.ForeignKey("orders.id", ondelete="CASCADE")
    return sa.Column("order_id", Uuid, reference, nullable=False, primary_key=primary_key)


def _money_is_plain(*columns: str) -> Any:
    """On SQLite money is TEXT. One GLOB for each column: a stricter pattern doubled what a row costs to check."""
    each = (f"{column} NOT GLOB '*[^-0-9.]*'" for column in columns)
    return sa.CheckConstraint(" AND ".join(each), name="money").ddl_if(dialect="sqlite")


def _flags_are_bits(*columns: str) -> Any:
    """On SQLite a flag is INTEGER."""
    return sa.CheckConstraint(" AND ".join(f"{column} IN (0, 1)" for column in columns), name="flags").ddl_if(
        dialect="sqlite"
    )


def _index_of_executions(name: str, *columns: str) -> sa.Index:
    """Of the rows that belong to the execution of a strategy, execution by execution."""
    carried = sa.text("strategy_execution_id IS NOT NULL")
    return sa.Index(name, "strategy_execution_id", *columns, sqlite_where=carried, postgresql_where=carried)


trading_pairs = sa.Table(
    "trading_pairs",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("symbol", word(255), nullable=False),
    sa.Column("base_asset", word(255), nullable=False),
    sa.Column("quote_asset", word(255), nullable=False),
    sa.Column("exchange", word(255), nullable=False),
    sa.Column("status", Choice(PairStatus), nullable=False),
    _amount("min_quantity"),
    sa.Column("max_quantity", Money),
    _amount("step_size"),
    _amount("min_price"),
    sa.Column("max_price", Money),
    _amount("tick_size"),
    _flag("is_active", default=True),
    _flag("external"),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    # The id is derived from these two, so the fold cannot make them collide.
    sa.UniqueConstraint("exchange", "symbol", name="uq_trading_pairs_exchange_symbol"),
    one_of("status", PairStatus),
    _money_is_plain("min_quantity", "max_quantity", "step_size", "min_price", "max_price", "tick_size"),
    _flags_are_bits("is_active", "external"),
    sa.Index("ix_trading_pairs_symbol", "symbol"),
    sa.Index("ix_trading_pairs_exchange", "exchange"),
    sqlite_strict=True,
)
"""What can be traded. ``external``: known only because an order event named it; filters are not known."""

OPEN = "status NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED')"
"""The condition of the partial indexes; a query has to spell it exactly so, or the planner passes them over.

NOT IN is meant: with IN, SQLite would rather look up each status in ``ix_orders_status`` and sort.
"""

IN_DOUBT = (
    "(status = 'PENDING_NEW'"
    " OR cancel_requested_at IS NOT NULL AND status NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED')"
    " OR amend_requested_at IS NOT NULL AND status NOT IN ('CANCELED', 'REJECTED', 'EXPIRED'))"
)
"""Orders that the venue owes an answer; ``projections.doubt`` says which. Spelled exactly so, as ``OPEN`` is.

A FILLED order is among them while an amendment is unanswered, which may have raised its quantity and opened it again.
It is one OR, not ``OPEN AND``: else SQLite could as well take ``ix_orders_open_account``, with every open order in it.
"""

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    _external_id("exchange_order_id"),
    _external_id("client_order_id"),
    _pair(),
    sa.Column("account", word(255), nullable=False),
    sa.Column("side", Choice(Side)),
    sa.Column("type", Choice(OrderType)),
    sa.Column("status", Choice(OrderStatus), nullable=False),
    sa.Column("quantity", Money),
    sa.Column("price", Money),
    sa.Column("stop_price", Money),
    _amount("filled_quantity"),
    sa.Column("filled_notional", Money, server_default="0"),
    sa.Column("avg_price", Money),
    sa.Column("commission", Money, server_default="0"),
    _external_id("commission_asset"),
    sa.Column("exchange", word(255), nullable=False),
    sa.Column("time_in_force", Choice(TimeInForce), server_default="GTC"),
    _flag("is_test"),
    _flag("external"),
    _flag("pending_cancel"),
    _flag("pending_replace"),
    _flag("done_for_day"),
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
    sa.Column("cancels_unanswered", BigInt, nullable=False, server_default="0"),
    sa.Column("amends_unanswered", BigInt, nullable=False, server_default="0"),
    sa.Column("pending_amends", sa.Text),
    _amount("traded_quantity"),
    sa.Column("traded_notional", Money, server_default="0"),
    sa.Column("restated_at", Nanoseconds),
    one_of("side", Side),
    one_of("type", OrderType),
    one_of("status", OrderStatus),
    one_of("time_in_force", TimeInForce),
    _money_is_plain(
        "quantity",
        "price",
        "stop_price",
        "filled_quantity",
        "filled_notional",
        "avg_price",
        "commission",
        "traded_quantity",
        "traded_notional",
    ),
    _flags_are_bits("is_test", "external", "pending_cancel", "pending_replace", "done_for_day"),
    sa.Index("ix_orders_trading_pair_id", "trading_pair_id", "created_at", "id"),
    sa.Index("ix_orders_status", "status", "created_at", "id"),
    sa.Index("ix_orders_created_at", "created_at", "id"),
    sa.Index("ix_orders_exchange_order_id", "exchange_order_id"),
    sa.Index("ix_orders_client_order_id", "client_order_id"),
    sa.Index(
        "ix_orders_open_trading_pair_id",
        "trading_pair_id",
        "id",
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    ),
    sa.Index("ix_orders_open_account", "account", "id", sqlite_where=sa.text(OPEN), postgresql_where=sa.text(OPEN)),
    sa.Index("ix_orders_in_doubt", "account", "id", sqlite_where=sa.text(IN_DOUBT), postgresql_where=sa.text(IN_DOUBT)),
    _index_of_executions("ix_orders_strategy_execution_id", "created_at", "id"),
    sqlite_strict=True,
)
"""Every order, one row each. ``external``: the engine did not place it; what the venue left out is null.

``commission`` is the sum of the fees in ``commission_asset``; both are null once fees came in several
assets, with the detail in ``order_fees``. ``created_at`` and ``updated_at`` are the best clock of the first
and of the last event folded in, ``executed_at`` that of the last fill. ``cancel_requested_at`` and
``amend_requested_at`` tell since when the venue owes an answer, to so many requests; they are emptied with the last
answer. A cancellation leaves them: the order is not open any more. ``pending_amends`` lists, as JSON, the client order
ids (FIX 11) of the amendments that the venue said are pending; while there are any, ``pending_replace`` is set.
``traded_quantity`` and ``traded_notional`` are the sums of the order's trades alone; ``filled_quantity`` and
``filled_notional`` are others only where a snapshot of the venue, the last one at ``restated_at``, told so.
"""

order_aliases = sa.Table(
    "order_aliases",
    metadata,
    sa.Column("exchange", word(255), primary_key=True),
    sa.Column("account", word(255), primary_key=True),
    _pair(primary_key=True),
    sa.Column("kind", Choice(AliasKind), primary_key=True),
    sa.Column("external_id", word(255), primary_key=True),
    _order(),
    sa.Column("claimed_at", BigInt, nullable=False),
    one_of("kind", AliasKind),
    sa.Index("ix_order_aliases_order_id", "order_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Which order an external id means. The first claim wins; ``claimed_at`` is its log position."""

order_fees = sa.Table(
    "order_fees",
    metadata,
    _order(primary_key=True),
    sa.Column("asset", word(255), primary_key=True),
    _amount("amount"),
    _money_is_plain("amount"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""What an order cost in fees, one row for each asset they were paid in; negative: a rebate.

An asset whose fees come to nothing has no row.
"""

trades = sa.Table(
    "trades",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    _order(),
    _pair(),
    sa.Column("account", word(255), nullable=False),
    _flag("is_test"),
    _external_id("execution_id", nullable=False),
    _external_id("exchange_order_id"),
    sa.Column("side", Choice(Side), nullable=False),
    sa.Column("quantity", Money, nullable=False),
    sa.Column("price", Money, nullable=False),
    _amount("fee"),
    _external_id("fee_asset"),
    sa.Column("liquidity", Choice(Liquidity)),
    sa.Column("executed_at", Nanoseconds, nullable=False),
    sa.Column("position", BigInt, nullable=False),
    sa.Column("status", Choice(TradeStatus), nullable=False, server_default="EXECUTED"),
    sa.Column("revised_position", BigInt),
    sa.Column("fee_in", Choice(FeeIn)),
    sa.Column("strategy_execution_id", Uuid),
    one_of("side", Side),
    one_of("liquidity", Liquidity),
    one_of("status", TradeStatus),
    one_of("fee_in", FeeIn),
    _money_is_plain("quantity", "price", "fee"),
    _flags_are_bits("is_test"),
    sa.Index("ix_trades_order_id", "order_id", "position"),
    sa.Index("ix_trades_trading_pair_id", "trading_pair_id", "executed_at", "position"),
    sa.Index("ix_trades_executed_at", "executed_at", "position"),
    sa.Index("ix_trades_position", "trading_pair_id", "account", "is_test", "position"),
    _index_of_executions("ix_trades_strategy_execution_id", "trading_pair_id", "account", "is_test", "position"),
    sqlite_strict=True,
)
"""The executions of orders. ``id`` is the event id of the fill, ``position`` its place in the log.

``execution_id``, ``quantity``, ``price`` and the fee are as the venue corrected them last, ``revised_position`` is the
place of the last correction or of the bust. No sum counts a BUSTED one. ``strategy_execution_id`` is that of the order
when the fill was folded, or when it was linked; null: none was known.
"""

positions = sa.Table(
    "positions",
    metadata,
    _pair(primary_key=True),
    sa.Column("account", word(255), primary_key=True),
    sa.Column("is_test", Flag, primary_key=True, server_default=sa.false()),
    _amount("quantity"),
    sa.Column("avg_price", Money),
    sa.Column("realized_pnl", Money, server_default="0"),
    sa.Column("fills", BigInt, nullable=False, server_default="0"),
    sa.Column("opened_at", Nanoseconds),
    sa.Column("closed_at", Nanoseconds),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    sa.Column("last_position", BigInt, nullable=False),
    sa.Column("opened_position", BigInt),
    _amount("peak_quantity"),
    sa.Column("cycle_realized_pnl", Money, server_default="0"),
    _money_is_plain("quantity", "avg_price", "realized_pnl", "peak_quantity", "cycle_realized_pnl"),
    _flags_are_bits("is_test"),
    sa.Index("ix_positions_account", "account", "is_test", "trading_pair_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Netted holdings at average cost. ``quantity`` is signed; ``avg_price`` is null when flat.

``realized_pnl`` sums over the row's whole life, in the quote asset, after fees in the quote and base
assets; null once it left the range of money. ``cycle_realized_pnl``, ``fills``, ``opened_at``, ``closed_at``,
``opened_position`` (the place in the log of the fill that opened it) and ``peak_quantity`` (the most that was held,
unsigned) tell of the holding that is open, or of the last one when flat; see ``position_cycles`` for those before.
"""

position_cycles = sa.Table(
    "position_cycles",
    metadata,
    _pair(primary_key=True),
    sa.Column("account", word(255), primary_key=True),
    sa.Column("is_test", Flag, primary_key=True, server_default=sa.false()),
    sa.Column("closed_position", BigInt, primary_key=True, autoincrement=False),
    sa.Column("opened_position", BigInt, nullable=False),
    sa.Column("side", Choice(PositionSide), nullable=False),
    _amount("peak_quantity"),
    sa.Column("avg_price", Money),
    sa.Column("realized_pnl", Money),
    sa.Column("total_realized_pnl", Money),
    sa.Column("fills", BigInt, nullable=False),
    _flag("reversed"),
    sa.Column("opened_at", Nanoseconds, nullable=False),
    sa.Column("closed_at", Nanoseconds, nullable=False),
    one_of("side", PositionSide),
    _money_is_plain("peak_quantity", "avg_price", "realized_pnl", "total_realized_pnl"),
    _flags_are_bits("is_test", "reversed"),
    sa.Index("ix_position_cycles_closed_position", "closed_position"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Holdings that were closed, from the fill at ``opened_position`` to the one at ``closed_position``.

``avg_price`` is the average cost of what was held when it closed, ``realized_pnl`` what this holding made alone,
``total_realized_pnl`` what the position had made over its whole life by then. ``reversed``: the closing fill went
through zero and opened the next holding.
"""

position_fees = sa.Table(
    "position_fees",
    metadata,
    _pair(primary_key=True),
    sa.Column("account", word(255), primary_key=True),
    sa.Column("is_test", Flag, primary_key=True, server_default=sa.false()),
    sa.Column("asset", word(255), primary_key=True),
    _amount("amount"),
    _money_is_plain("amount"),
    _flags_are_bits("is_test"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""What a position cost in fees, one row for each asset they were paid in; negative: a rebate.

Fees in the quote and base asset are part of ``realized_pnl`` already, those in a third asset are not. An asset whose
fees come to nothing has no row.
"""

strategy_execution_totals = sa.Table(
    "strategy_execution_totals",
    metadata,
    sa.Column("strategy_execution_id", Uuid, primary_key=True),
    _pair(primary_key=True),
    sa.Column("account", word(255), primary_key=True),
    sa.Column("is_test", Flag, primary_key=True, server_default=sa.false()),
    sa.Column("orders", BigInt, nullable=False, server_default="0"),
    sa.Column("fills", BigInt, nullable=False, server_default="0"),
    sa.Column("volume", Money, server_default="0"),
    _amount("quantity"),
    sa.Column("avg_price", Money),
    sa.Column("realized_pnl", Money, server_default="0"),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    sa.Column("last_position", BigInt, nullable=False),
    _money_is_plain("volume", "quantity", "avg_price", "realized_pnl"),
    _flags_are_bits("is_test"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""What the orders of a strategy's execution came to, one row for each pair, account and kind of money.

``strategy_execution_id`` is no foreign key: executions are in another group, which advances by itself. ``volume`` is
the sum of quantity times price, in the quote asset. ``quantity`` is what this execution still holds, signed, at
``avg_price``; these and ``realized_pnl`` are what ``positions`` would have if nobody else traded. ``volume`` and
``realized_pnl`` are null once they left the range of money.
"""

strategy_execution_fees = sa.Table(
    "strategy_execution_fees",
    metadata,
    sa.Column("strategy_execution_id", Uuid, primary_key=True),
    sa.Column("asset", word(255), primary_key=True),
    _amount("amount"),
    _money_is_plain("amount"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""What an execution of a strategy cost in fees, one row for each asset they were paid in; negative: a rebate.

Fees in the quote and base assets are part of ``realized_pnl`` already. An asset whose fees come to nothing has no row.
"""

anomalies = sa.Table(
    "anomalies",
    metadata,
    sa.Column("position", BigInt, primary_key=True, autoincrement=False),
    sa.Column("kind", Choice(AnomalyKind), primary_key=True),
    # Neither id is a foreign key: the point of an anomaly may be that there is no such row.
    sa.Column("order_id", Uuid),
    sa.Column("trading_pair_id", Uuid),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("recorded_at", Nanoseconds, nullable=False),
    one_of("kind", AnomalyKind),
    sa.Index("ix_anomalies_kind", "kind", "position"),
    sa.Index("ix_anomalies_order_id", "order_id", "position", "kind"),
    sqlite_strict=True,
)
"""What was odd, one row for each kind of oddity of an event. ``position`` is the event's place in the log."""

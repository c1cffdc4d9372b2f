"""Rows changed behind the projectors' back, one at a time and in any table of the trading group."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from byjy_events.database import is_sqlite, parse_url, sqlite_path
from projections import TRADING
from projections.checkpoints import projection_checkpoints
from tests.rows import writable_engine

STRANGER = UUID("019a0000-0000-7000-8000-00000000dead")

FLIPS: dict[str, dict[str, Any]] = {
    "trading_pairs": {"tick_size": Decimal("0.02")},
    "orders": {"filled_quantity": Decimal("123456.789")},
    "order_aliases": {"claimed_at": 99_999},
    "order_fees": {"amount": Decimal("0.013")},
    "trades": {"executed_at": 1},
    "positions": {"realized_pnl": Decimal("0.000000000000000001")},
    "position_cycles": {"peak_quantity": Decimal("0.017")},
    "position_fees": {"amount": Decimal("0.021")},
    "strategy_execution_totals": {"volume": Decimal("0.1")},
    "strategy_execution_fees": {"amount": Decimal("0.023")},
    "anomalies": {"message": "all is well"},
}
"""For each table a column other than it was."""

STRANGERS: dict[str, dict[str, Any]] = {
    "trading_pairs": {"id": STRANGER, "symbol": "NOSUCH"},
    "orders": {"id": STRANGER},
    "order_aliases": {"external_id": "nobody's"},
    "order_fees": {"asset": "XXX"},
    "trades": {"id": STRANGER},
    "positions": {"account": "nobody's"},
    "position_cycles": {"account": "nobody's"},
    "position_fees": {"account": "nobody's"},
    "strategy_execution_totals": {"account": "nobody's"},
    "strategy_execution_fees": {"asset": "XXX"},
    "anomalies": {"position": 99_999},
}
"""For each table what makes a copy of a row another row."""

TABLES = [table.name for table in TRADING.tables]
KINDS = ("DIFFERENT", "MISSING", "SURPLUS")


async def tamper(url: str, table_name: str, kind: str) -> None:
    """Change, remove or add one row, and nothing that refers to it."""
    (table,) = [table for table in TRADING.tables if table.name == table_name]
    if is_sqlite(parse_url(url)):
        # Foreign keys are off unless asked for. The pool must not keep what a failure leaves behind.
        engine = sa.create_engine(f"sqlite:///{sqlite_path(parse_url(url))}", poolclass=sa.NullPool)
        with engine.begin() as connection:
            _tamper(connection, table, kind)
        return
    asynchronous = writable_engine(url)
    try:
        async with asynchronous.begin() as session:
            await session.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await session.run_sync(_tamper, table, kind)
    finally:
        await asynchronous.dispose()


def _tamper(connection: sa.Connection, table: sa.Table, kind: str) -> None:
    row = connection.execute(sa.select(table).order_by(*table.primary_key.columns).limit(1)).one()._asdict()
    this = sa.and_(*(column == row[column.name] for column in table.primary_key.columns))
    if kind == "DIFFERENT":
        connection.execute(table.update().where(this).values(FLIPS[table.name]))
    elif kind == "MISSING":
        connection.execute(table.delete().where(this))
    else:
        connection.execute(table.insert().values(row | STRANGERS[table.name]))


async def wipe(url: str) -> None:
    """Remove every row of every table of the group; the checkpoint stays."""
    engine = writable_engine(url)
    async with engine.begin() as connection:
        # As a projector's step begins; else the two could wait for each other's rows.
        await connection.execute(sa.select(projection_checkpoints).with_for_update())
        for table in reversed(TRADING.tables):
            await connection.execute(table.delete())
    await engine.dispose()

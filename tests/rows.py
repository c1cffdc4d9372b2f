"""One row for every table, whatever its columns, for tests that care about the table and not about the row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

import projections.checkpoints
import projections.configuration.table
import projections.ownership
import projections.trail
from byjy_events.columns import Flag, Money, Uuid
from byjy_events.database import open_engine, parse_url
from byjy_events.heartbeat_table import strategy_execution_heartbeats
from byjy_events.log_table import system_logs
from byjy_events.proof.tables import merkle_nodes, tree_checkpoints
from byjy_events.schema import events
from byjy_events.sealing.key_store import key_store
from projections.choices import Choice
from projections.tables import metadata

assert projections.checkpoints.projection_checkpoints.metadata is metadata
assert projections.configuration.table.configurations.metadata is metadata
assert projections.ownership.OWNERSHIP.tables[0].metadata is metadata
assert projections.trail.trail.metadata is metadata

ID = UUID("019a0000-0000-7000-8000-000000000001")


def every_table() -> list[sa.Table]:
    """Parents before children."""
    return [
        events,
        merkle_nodes,
        tree_checkpoints,
        system_logs,
        key_store,
        strategy_execution_heartbeats,
        *metadata.sorted_tables,
    ]


def writable_engine(url: str) -> AsyncEngine:
    return open_engine(parse_url(url), writable=True)


async def insert_a_row_everywhere(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for table in every_table():
            await connection.execute(sa.insert(table).values(a_row_of(table)))


async def counts(engine: AsyncEngine) -> dict[str, int]:
    """The number of rows of every table."""
    async with engine.connect() as connection:
        return {
            table.name: await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in every_table()
        }


def a_row_of(table: sa.Table) -> dict[str, Any]:
    row = {column.name: _value(column.type) for column in table.columns}
    if table is events:
        row["leaf_hash"] = bytes(32)
    if table is merkle_nodes:
        row["hash"] = bytes(32)
    if table is tree_checkpoints:
        row["root"] = bytes(32)
    if table is system_logs:
        row["level"] = "INFO"
    if table is key_store or table.name == "api_keys":
        row["erased_at"] = None
    if table.name == "strategies":
        row["parameters"] = "{}"
    if table.name == "strategy_executions":
        row["finished_at"] = None
    if table.name == "configurations":
        row["sealed_value"] = None
    if "status" in row and not isinstance(table.c.status.type, Choice):
        row["status"] = "RUNNING"
    return row


def _value(of: sa.types.TypeEngine[Any]) -> Any:
    if isinstance(of, Choice):
        return next(iter(of.values))
    for kind, value in ((Uuid, ID), (Money, Decimal("1.5")), (Flag, False), (sa.Integer, 1), (sa.LargeBinary, b"x")):
        if isinstance(of, kind):
            return value
    return "x"

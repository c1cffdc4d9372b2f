"""What the tables hold, and what they ought to hold: the log folded afresh, in memory, in one piece."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct

from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from projections import TRADING, Group, GroupStatus, Key, group_statuses
from projections.memory import folded_in_memory

Tables = dict[str, dict[Key, Struct]]
"""By the table's name and the row's key."""


def folded(events: Sequence[Recorded], group: Group = TRADING) -> Tables:
    """The rows that these events make, from nothing."""
    return {one.table.name: rows for one, rows in folded_in_memory(group, events).tables.items()}


async def stored(log: EventLog, group: Group = TRADING) -> Tables:
    """The rows that the database has, read by other means than the runner's."""
    tables: Tables = {}
    async with log.engine.connect() as connection:
        for projection in group.projections:
            names = [column.name for column in projection.table.columns]
            found = await connection.execute(sa.select(projection.table))
            rows = [projection.row_type(**dict(zip(names, values, strict=True))) for values in found]
            tables[projection.table.name] = {projection.key_of(row): row for row in rows}
    return tables


async def events_of(log: EventLog, upto: int | None = None) -> list[Recorded]:
    """The log's events up to a position."""
    return [recorded async for recorded in log.read(upto=upto)]


async def checkpoint(log: EventLog, group: Group = TRADING) -> GroupStatus:
    """Where a group stands."""
    (status,) = [status for status in await group_statuses(log) if status.group_name == group.name]
    return status


async def assert_rows_are_the_log(log: EventLog, group: Group = TRADING) -> int:
    """Every row of every table equals a fresh fold of the log up to the stored checkpoint, which is returned."""
    position = (await checkpoint(log, group)).position
    found, expected = await stored(log, group), folded(await events_of(log, position), group)
    for table, rows in expected.items():
        assert found[table] == rows, table
    return position

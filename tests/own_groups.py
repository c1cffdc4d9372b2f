"""A user's own projection, with its own table: what it counts is simple, and it can be told to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.columns import BigInt, Uuid, word
from byjy_events.database import open_engine, parse_url
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderPlaced
from projections import Group, Key, Projection, on

metadata = sa.MetaData()

placings = sa.Table(
    "placings",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("position", BigInt, nullable=False),
    sa.Column("note", word(8), nullable=False),
    sa.CheckConstraint("note <> 'bad'", name="note"),
    sqlite_strict=True,
)


class PlacingRow(Struct, frozen=True, kw_only=True):
    """A row of ``placings``."""

    id: UUID
    position: int
    note: str


Noted = Callable[[Recorded], Any]
"""What is written into ``note`` for an event, or raised."""


class Placings(Projection[PlacingRow]):
    """One row for every order placed."""

    name = "placings"
    table = placings
    row_type = PlacingRow

    def __init__(self, noted: Noted = lambda recorded: "fine") -> None:
        self.noted = noted

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    @on(OrderPlaced)
    def placed(self, row: PlacingRow | None, event: OrderPlaced, recorded: Recorded, key: UUID) -> PlacingRow:
        return PlacingRow(id=key, position=recorded.position, note=self.noted(recorded))


def placings_group(noted: Noted = lambda recorded: "fine") -> Group:
    """The group of ``placings`` alone."""
    return Group("placings", [Placings(noted)])


def raising_at(position: int, error: Exception) -> Noted:
    """Notes that raise at one event."""
    return telling_at(position, error)


def telling_at(position: int, told: Any) -> Noted:
    """Notes that are something else at one event."""

    def noted(recorded: Recorded) -> Any:
        if recorded.position != position:
            return "fine"
        if isinstance(told, Exception):
            raise told
        return told

    return noted


async def create_tables(url: str, made: sa.MetaData = metadata) -> None:
    """What a user does with a migration of his own."""
    engine: AsyncEngine = open_engine(parse_url(url), writable=True)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(made.create_all)
    finally:
        await engine.dispose()

"""How much of the log is under a checkpoint, in the database and outside: a part of ``byjy status``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.proof import CheckpointPlace
from byjy_events.proof.tree import Tree
from byjy_events.schema import events


class SealedReport(Struct):
    """The newest checkpoint in one place. What it says is not verified here.

    Attributes:
        place: the database, a file or a folder.
        size: of the checkpoint; 0: there is none.
        lag_events: events in the log that it does not cover.
        lag_seconds: for how long the oldest of them has been in the log.
        problem: why somebody should look; None: nobody need.
    """

    place: str
    size: int
    lag_events: int
    lag_seconds: float
    problem: str | None = None


class Exported(NamedTuple):
    """What lies in one place: the size of the newest checkpoint, 0 if there is none, or why it cannot be read."""

    place: str
    size: int
    problem: str | None = None


async def exported(places: Sequence[CheckpointPlace]) -> list[Exported]:
    """What lies outside. It is looked at before the log is: a log that is sealed meanwhile was not rolled back."""
    return [await _exported(place) for place in places]


async def sealed(connection: AsyncConnection, head: int, outside: Sequence[Exported]) -> list[SealedReport]:
    """The database first, unless nobody ever sealed it and no places are known."""
    stored = await Tree(connection).checkpoint()
    if stored is None and not outside:
        return []
    return [
        await _report(connection, one, head)
        for one in (Exported("database", 0 if stored is None else stored.size), *outside)
    ]


async def _exported(place: CheckpointPlace) -> Exported:
    try:
        newest = await place.newest()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the rest of the report with it
        return Exported(place.name, 0, f"cannot be read: {error}")
    return Exported(place.name, 0 if newest is None else newest.size)


async def _report(connection: AsyncConnection, found: Exported, head: int) -> SealedReport:
    place, size, problem = found
    if problem is not None:
        return SealedReport(place, 0, head, 0.0, problem)
    if size > head:
        problem = f"the log ends at {head}, and a checkpoint in {place} is of size {size}: it was rolled back"
        return SealedReport(place, size, 0, 0.0, problem)
    waiting = await connection.scalar(sa.select(events.c.recorded_at).where(events.c.position == size + 1))
    lag_seconds = 0.0 if waiting is None else max(0, time.time_ns() - waiting) / 1e9
    return SealedReport(place, size, head - size, lag_seconds)

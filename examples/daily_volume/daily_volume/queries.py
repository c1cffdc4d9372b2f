"""Typed queries of one's own: rows in the order of a key, as immutable Structs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from daily_volume.volume import DailyVolumeRow, daily_volume


async def volumes(
    connection: AsyncConnection, *, first_day: int | None = None, last_day: int | None = None
) -> list[DailyVolumeRow]:
    """The volumes of these days, by day, exchange and symbol. Days count from 1970-01-01; None: no limit."""
    return rows(await connection.execute(by_day(first_day, last_day)))


def by_day(first_day: int | None = None, last_day: int | None = None) -> sa.Select[Any]:
    """The statement of :func:`volumes`, to be asked of the past as well."""
    c = daily_volume.c
    statement = sa.select(daily_volume).order_by(c.day, c.exchange, c.symbol)
    if first_day is not None:
        statement = statement.where(c.day >= first_day)
    if last_day is not None:
        statement = statement.where(c.day <= last_day)
    return statement


def rows(found: Iterable[sa.Row[Any]]) -> list[DailyVolumeRow]:
    """What such a statement gave, typed."""
    return [DailyVolumeRow(**values._mapping) for values in found]

"""Looking at a database's schema, and changing it by hand, from tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from byjy_events import migrating
from byjy_events.database import open_engine, parse_url

T = TypeVar("T")
ROOT = Path(__file__).parents[1]


async def ensure(url: str) -> None:
    """What opening a log does to the schema."""
    engine = open_engine(parse_url(url))
    try:
        await migrating.ensure_schema(engine)
    finally:
        await engine.dispose()


async def revision(url: str) -> str | None:
    engine = open_engine(parse_url(url))
    try:
        return await migrating.current_revision(engine)
    finally:
        await engine.dispose()


async def tables(url: str) -> set[str]:
    return set(await inside(url, lambda connection: sa.inspect(connection).get_table_names()))


async def inside(url: str, work: Callable[[sa.Connection], T]) -> T:
    """Do what a migration would do."""
    return await asyncio.to_thread(migrating.exclusively, parse_url(url), work)


async def execute(url: str, *statements: str) -> None:
    await inside(url, lambda connection: [connection.exec_driver_sql(statement) for statement in statements])

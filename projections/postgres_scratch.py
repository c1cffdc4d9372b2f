"""Scratch tables on PostgreSQL: a connection that is kept out of the pool."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.postgres.backend import translated
from projections.folding import Changes
from projections.postgres_store import shape_of, write_changes
from projections.projection import Key, Projection
from projections.store import fitting

T = TypeVar("T")

RIGHT = 0x62796A79
"""The advisory lock of whoever rebuilds; any number that nobody else uses."""


class PostgresScratch:
    """See :class:`projections.scratch.Scratch`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._in_snapshot = False
        self.live_schema = "public"

    async def run(self, function: Callable[[sa.Connection], T]) -> T:
        async with self._one_at_a_time:
            return await self._run(function)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        await self.run(lambda connection: connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ"))
        self._in_snapshot = True
        try:
            yield
        finally:
            self._in_snapshot = False
            await asyncio.shield(self.run(lambda connection: connection.exec_driver_sql("COMMIT")))

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        def transaction(connection: sa.Connection) -> T:
            connection.exec_driver_sql("BEGIN")
            try:
                result = function(connection)
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            return result

        return await asyncio.shield(asyncio.ensure_future(self.run(transaction)))

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        shape = shape_of(projection)
        with fitting():
            wanted = shape.key_columns(keys)
        async with self._driver() as driver:
            rows = map(shape.row, await driver.fetch(shape.select, *wanted))
        return {projection.key_of(row): row for row in rows}

    async def store(self, changes: Sequence[Changes]) -> None:
        async with self._driver() as driver:
            if self._in_snapshot:
                for each in changes:
                    await write_changes(driver, each)
            else:
                async with driver.transaction():
                    for each in changes:
                        await write_changes(driver, each)

    async def alone(self) -> bool:
        return bool(await self.run(lambda one: one.scalar(sa.select(sa.func.pg_try_advisory_lock(RIGHT)))))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # a broken connection may fail in any way
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                driver.terminate()
            with contextlib.suppress(Exception):
                await connection.invalidate()
            with contextlib.suppress(Exception):
                await asyncio.shield(connection.close())
        await asyncio.shield(self._engine.dispose())

    async def _run(self, function: Callable[[sa.Connection], T]) -> T:
        with translated():
            connection = await self._connected()
            try:
                return await connection.run_sync(function)
            except sa.exc.DBAPIError as error:
                raise (getattr(error.orig, "__cause__", None) or error) from error

    @contextlib.asynccontextmanager
    async def _driver(self) -> AsyncIterator[Any]:
        async with self._one_at_a_time:
            with translated():
                raw = await (await self._connected()).get_raw_connection()
                yield raw.driver_connection

    async def _connected(self) -> AsyncConnection:
        if self._connection is None:
            connection = await self._engine.connect()
            try:
                self._connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
                found = await self._connection.scalar(sa.select(sa.func.current_schema()))
            except BaseException:
                self._connection = None
                await asyncio.shield(connection.close())
                raise
            self.live_schema = found or "public"
        return self._connection

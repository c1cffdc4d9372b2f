"""Scratch tables on PostgreSQL: a connection that is kept out of the pool."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.backend import NotStored
from projections.folding import Changes
from projections.postgres_store import found, loaded, usable, write_changes
from projections.projection import Key, Projection
from projections.revision import Ask
from projections.scratch import awaited, to_its_end

T = TypeVar("T")

RIGHT = 0x62796A79
"""The advisory lock of whoever rebuilds; any number that nobody else uses."""

GOODBYE_SECONDS = 5.0
"""How long the server may take to end what is under way, and the session."""


class PostgresScratch:
    """See :class:`projections.scratch.Scratch`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._in_snapshot = False
        self._closed = False
        self.live_schema = "public"

    async def run(self, function: Callable[[sa.Connection], T]) -> T:
        return await to_its_end(self._run(function))

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        await self.run(lambda connection: connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ"))
        self._in_snapshot = True
        yield
        self._in_snapshot = False
        await self.run(lambda connection: connection.exec_driver_sql("COMMIT"))

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        def transaction(connection: sa.Connection) -> T:
            connection.exec_driver_sql("BEGIN")
            try:
                result = function(connection)
            except BaseException:
                with contextlib.suppress(Exception):  # of a connection that is lost
                    connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
            return result

        return await self.run(transaction)

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        return await to_its_end(self._loaded(projection, keys))

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        return await to_its_end(self._found(projection, ask))

    async def store(self, changes: Sequence[Changes]) -> None:
        await to_its_end(self._store(changes))

    async def require_space(self) -> None:
        """The disk is the server's: nothing is known of it."""

    async def alone(self) -> bool:
        return bool(await self.run(lambda one: one.scalar(sa.select(sa.func.pg_try_advisory_lock(RIGHT)))))

    async def close(self) -> None:
        self._closed = True  # what still waits for its turn must not open another connection
        await awaited(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        with contextlib.suppress(Exception):  # a broken connection may fail in any way, and a server may hang
            async with asyncio.timeout(GOODBYE_SECONDS), self._one_at_a_time:
                if self._connection is not None:
                    driver: Any = (await self._connection.get_raw_connection()).driver_connection
                    # Until the server has ended the session, it has the right to rebuild.
                    await driver.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.invalidate()
            with contextlib.suppress(Exception):
                await connection.close()
        await self._engine.dispose()

    async def _run(self, function: Callable[[sa.Connection], T]) -> T:
        async with self._one_at_a_time:
            with usable():
                connection = await self._connected()
                try:
                    return await connection.run_sync(function)
                except sa.exc.DBAPIError as error:
                    raise (getattr(error.orig, "__cause__", None) or error) from error

    async def _loaded(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        async with self._driver() as driver:
            return await loaded(driver, projection, keys)

    async def _found(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        async with self._driver() as driver:
            return await found(driver, projection, ask)

    async def _store(self, changes: Sequence[Changes]) -> None:
        async with self._driver() as driver:
            if self._in_snapshot:
                for each in changes:
                    await write_changes(driver, each)
            else:
                async with driver.transaction():
                    for each in changes:
                        await write_changes(driver, each)

    @contextlib.asynccontextmanager
    async def _driver(self) -> AsyncIterator[Any]:
        async with self._one_at_a_time:
            with usable():
                raw = await (await self._connected()).get_raw_connection()
                yield raw.driver_connection

    async def _connected(self) -> AsyncConnection:
        if self._closed:
            raise NotStored("the scratch tables were thrown away")
        if self._connection is None:
            connection = await self._engine.connect()
            try:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                found = await connection.scalar(sa.select(sa.func.current_schema()))
                if self._closed:  # which nobody would close any more
                    raise NotStored("the scratch tables were thrown away")
            except BaseException:
                await asyncio.shield(connection.close())
                raise
            self._connection = connection
            self.live_schema = found or "public"
        if self._connection.invalidated:
            raise NotStored("the connection was lost, and the scratch tables with it")
        return self._connection

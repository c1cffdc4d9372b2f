"""Short reads on a connection that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.errors import LogClosed


class Reader:
    """Runs one statement at a time and fetches all of it in one thread hop, so that no snapshot outlives it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: AsyncConnection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._ended = False

    async def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
        """All rows of a statement.

        Raises:
            LogClosed: the log was closed.
        """
        async with self._one_at_a_time:
            if self._ended:
                raise LogClosed
            if self._connection is None:
                self._connection = await self._engine.connect()
            driver = (await self._connection.get_raw_connection()).driver_connection
            assert driver is not None
            return cast("list[Sequence[Any]]", await driver.execute_fetchall(statement, parameters))

    async def close(self) -> None:
        """Give the connection back. Safe to call twice; the next statement opens another."""
        async with self._one_at_a_time:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def end(self) -> None:
        """Close for good, because the log closes."""
        self._ended = True
        await self.close()

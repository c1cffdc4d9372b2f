"""Short reads on a connection that is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.errors import LogClosed


class Reader:
    """Runs one statement at a time and fetches all of it in one thread hop, so that no snapshot outlives it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._opening: asyncio.Future[AsyncConnection] | None = None
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
            connection = await self._connected()
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            return cast("list[Sequence[Any]]", await driver.execute_fetchall(statement, parameters))

    @property
    def busy(self) -> bool:
        """Whether a statement runs, so that another one would wait."""
        return self._one_at_a_time.locked()

    async def close(self) -> None:
        """Give the connection back. Safe to call twice; the next statement opens another."""
        async with self._one_at_a_time:
            opening, self._opening = self._opening, None
            if opening is not None:  # in a task of its own: a caller that is cancelled must not leave it half closed
                await asyncio.shield(asyncio.ensure_future(_closed(opening)))

    async def _connected(self) -> AsyncConnection:
        """The connection. Its thread opens it whether or not the caller is cancelled: then the next one finds it."""
        if self._opening is None or _failed(self._opening):
            self._opening = asyncio.ensure_future(self._opened())
        return await asyncio.shield(self._opening)

    async def _opened(self) -> AsyncConnection:
        return await self._engine.connect()

    async def end(self) -> None:
        """Close for good, because the log closes."""
        self._ended = True
        await self.close()


def _failed(opening: asyncio.Future[AsyncConnection]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)


async def _closed(opening: asyncio.Future[AsyncConnection]) -> None:
    with contextlib.suppress(Exception):  # one that could not be opened needs no closing
        await (await opening).close()

"""Both ends of a copy: what is read of them, and whose fault it is when that fails."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

import asyncpg
import sqlalchemy as sa

from byjy_events.backend import NotStorable, NotStored, Unclear
from byjy_events.chunk import Chunk, positions
from byjy_events.copying.destination import Destination, destination_of
from byjy_events.copying.errors import CopyFailed, LogDamaged
from byjy_events.copying.tables import Part, Piece, pieces
from byjy_events.errors import CorruptLog, LogUnavailable
from byjy_events.log import EventLog
from byjy_events.proof.tree import Tree
from byjy_events.schema import events

_TROUBLE = (
    LogUnavailable, NotStored, Unclear, OSError, sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError,
)  # fmt: skip


class Ends:
    """The source and the target of one copy.

    Attributes:
        position: where the target's log ends, as far as this copy knows for certain.
    """

    def __init__(self, source: EventLog, target: EventLog) -> None:
        self.source = source
        self.target = target
        self.destination: Destination = destination_of(target.backend)
        self.position = 0

    async def head(self, log: EventLog) -> int:
        """The last position of an end."""
        with self.at(log):
            return await log.head()

    async def leaf(self, log: EventLog, position: int) -> bytes | None:
        """The stored leaf hash at a position; None: there is no event."""
        found = await self.rows(log, sa.select(events.c.leaf_hash).where(events.c.position == position))
        return found[0][0] if found else None

    async def root(self, log: EventLog, size: int) -> bytes:
        """Of an end's tree over so many events."""
        with self.at(log):
            async with log.engine.connect() as connection:
                return await Tree(connection).root(size)

    async def rows(self, log: EventLog, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
        """What a query gives at an end."""
        with self.at(log):
            async with log.engine.connect() as connection:
                return list(await connection.execute(statement))

    def pieces(self, part: Part) -> AsyncGenerator[Piece, None]:
        """Go through a table at both ends once."""
        return pieces(partial(self.rows, self.source), partial(self.rows, self.target), part)

    @contextlib.contextmanager
    def at(self, log: EventLog, chunk: Chunk | None = None) -> Iterator[None]:
        """What an end raises, with its name.

        Raises:
            LogDamaged, CopyFailed: in place of what the database raised.
        """
        try:
            yield
        except CorruptLog as error:
            raise LogDamaged(log.url, error.position, error.reason) from error
        except NotStorable as error:
            where = f"events {positions(chunk)[0]} to {positions(chunk)[-1]}: " if chunk else ""
            raise CopyFailed(log.url, self.position, f"{where}refused: {_cause(error)}") from error
        except _TROUBLE as error:
            raise CopyFailed(log.url, self.position, _cause(error)) from error


def _cause(error: Exception) -> str:
    """The first line: those after it may show the row."""
    if isinstance(error.__cause__, asyncpg.InternalClientError):
        return "the connection was lost"  # of which the driver speaks in terms of its own states
    said = error.cause if isinstance(error, LogUnavailable) else str(getattr(error, "orig", None) or error)
    return said.partition("\n")[0] or type(error).__name__

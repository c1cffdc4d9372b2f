"""How a copy is written on one database, beside the append path, since positions and clocks are given already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from byjy_events.backend import Backend
from byjy_events.chunk import Chunk

Row = Sequence[Any]
"""The values of all columns of a table in their order, as SQLAlchemy reads them."""


class HeadMoved(Exception):
    """The log ends elsewhere than where the events were to go; nothing was stored."""

    def __init__(self, head: int) -> None:
        self.head = head
        super().__init__(head)


class Destination(Protocol):
    """Each call is one durable transaction.

    Raises:
        NotStorable, NotStored, Unclear: see :mod:`byjy_events.backend`.
    """

    async def refused(self, tables: Sequence[str]) -> tuple[str, str] | None:
        """A role and the first of these tables that it may not write; None: it may."""
        ...

    async def add_events(self, after: int, chunk: Chunk) -> None:
        """Store events behind a position, under the lock of the appends.

        Raises:
            HeadMoved: the log does not end there.
        """

    async def add(self, table: sa.Table, rows: Sequence[Row]) -> None:
        """Store rows of another table. None of them is there."""

    async def change_keys(self, rows: Sequence[Row]) -> None:
        """Wrap data keys as these rows of the key store have them, or erase them; those that are erased stay so.

        On SQLite what is replaced is overwritten in the file and its WAL.
        """

    async def settle(self) -> None:
        """All is copied: let the database look at what it holds now, so that it plans queries well."""


def destination_of(backend: Backend) -> Destination:
    """The destination for an opened database."""
    from byjy_events.sqlite.backend import SqliteBackend

    if isinstance(backend, SqliteBackend):
        from byjy_events.sqlite.copying import SqliteDestination

        return SqliteDestination(backend)
    from byjy_events.postgres.backend import PostgresBackend
    from byjy_events.postgres.copying import PostgresDestination

    assert isinstance(backend, PostgresBackend)
    return PostgresDestination(backend)

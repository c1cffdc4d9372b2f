"""Writing the tree: stored subtrees, and checkpoints by compare-and-set, so that no two sealers sign side by side."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol

from byjy_events.backend import Backend, NotStored, Unclear
from byjy_events.errors import LogUnavailable
from byjy_events.postgres.backend import PostgresBackend, translated
from byjy_events.proof.tree import Node, StoredCheckpoint
from byjy_events.sqlite.backend import SqliteBackend


class TreeWriter(Protocol):
    """How the tree is written on one database: each call is one transaction, and repeating it is safe.

    Raises:
        LogUnavailable: nothing was written, or it is open whether it was.
    """

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        """Store subtrees; those that are there stay. A power failure may take the last ones along."""

    async def add_checkpoint(self, checkpoint: StoredCheckpoint, *, after: int) -> bool:
        """Store a checkpoint durably behind the newest one, whose size is ``after``; 0: there is none.

        False: the newest one is another, and nothing was stored.
        """
        ...


def writer_of(backend: Backend) -> TreeWriter:
    """The writer for an opened database."""
    if isinstance(backend, SqliteBackend):
        return _SqliteTreeWriter(backend)
    assert isinstance(backend, PostgresBackend)
    return _PostgresTreeWriter(backend)


class _SqliteTreeWriter:
    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        statement = "INSERT INTO merkle_nodes (level, number, hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        await self._transact(lambda connection: connection.executemany(statement, nodes).rowcount > 0, durable=False)

    async def add_checkpoint(self, checkpoint: StoredCheckpoint, *, after: int) -> bool:
        def add(connection: sqlite3.Connection) -> bool:
            added = connection.execute(
                "INSERT INTO tree_checkpoints (size, root, note, created_at) SELECT ?, ?, ?, ?"
                " WHERE (SELECT coalesce(max(size), 0) FROM tree_checkpoints) = ?",
                (*checkpoint, after),
            )
            return added.rowcount == 1

        return await self._transact(add, durable=True)

    async def _transact(self, function: Callable[[sqlite3.Connection], bool], *, durable: bool) -> bool:
        try:
            return await self._backend.transact(function, durable=durable)
        except (NotStored, Unclear) as error:
            raise LogUnavailable(str(error)) from error


class _PostgresTreeWriter:
    def __init__(self, backend: PostgresBackend) -> None:
        self._backend = backend

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        statement = "INSERT INTO merkle_nodes (level, number, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
        try:
            with translated():
                async with self._backend.connection() as connection, connection.transaction():
                    await connection.executemany(statement, nodes)
        except (NotStored, Unclear) as error:
            raise LogUnavailable(str(error)) from error

    async def add_checkpoint(self, checkpoint: StoredCheckpoint, *, after: int) -> bool:
        # Two who insert the same size conflict; two of different sizes take turns by the lock.
        statement = (
            "INSERT INTO tree_checkpoints (size, root, note, created_at) SELECT $1, $2, $3, $4"
            " WHERE (SELECT coalesce(max(size), 0) FROM tree_checkpoints) = $5 ON CONFLICT DO NOTHING"
        )
        turn = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'byjytree')})"
        try:
            with translated():
                # Whatever the server's default: a snapshot taken before the turn would not see who came first.
                by_statement = {"isolation": "read_committed"}
                async with self._backend.connection() as connection, connection.transaction(**by_statement):
                    await connection.execute(turn)
                    said: str = await connection.execute(statement, *checkpoint, after)
        except (NotStored, Unclear) as error:
            raise LogUnavailable(str(error)) from error
        return said.endswith(" 1")

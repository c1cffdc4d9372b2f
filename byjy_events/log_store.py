"""What the sink and the pruning ask of a database."""

from __future__ import annotations

from typing import Protocol

from byjy_events.backend import Backend
from byjy_events.log_entry import Batch


class LogStore(Protocol):
    """The writing side of ``system_logs``. Nothing here waits for the disk."""

    async def write(self, batch: Batch) -> None:
        """Store a batch, as a whole, unless it is stored already.

        Raises:
            NotStorable, NotStored, Unclear: see :mod:`byjy_events.backend`.
        """

    async def prune(self, before: int | None, upto: bytes | None, limit: int) -> int:
        """Delete the oldest entries, at most ``limit``, in a transaction of their own, and return how many.

        Args:
            before: logged before this instant.
            upto: with an id up to this one; where both are given, either will do.
        """

    async def close(self) -> None:
        """Give connections back. Safe to call twice; the next call opens another."""


def store_of(backend: Backend) -> LogStore:
    """The store of an open log."""
    from byjy_events.sqlite.backend import SqliteBackend

    if isinstance(backend, SqliteBackend):
        from byjy_events.sqlite.log_store import SqliteLogStore

        return SqliteLogStore(backend)
    from byjy_events.postgres.backend import PostgresBackend
    from byjy_events.postgres.log_store import PostgresLogStore

    assert isinstance(backend, PostgresBackend)
    return PostgresLogStore(backend)

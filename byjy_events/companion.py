"""Companions: whoever takes part in the transaction of every append, so that both become visible together.

The backend calls them after the events of a batch were inserted and before the commit, each within a savepoint. The
log comes first: what a companion raises undoes its own part only, and a transaction that fails because of a companion
is tried again without any.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from byjy_events.recorded import Recorded


class Companion(Protocol):
    """What a companion is told on every database. It is told in the thread in which it is asked."""

    def committed(self) -> None:
        """The transaction that it took part in last is durable."""

    def undone(self) -> None:
        """The transaction did not take place, or its outcome is unclear: what was read and written may be gone.

        Also called when it had not been asked yet.
        """


class SqliteCompanion(Companion, Protocol):
    """A companion on SQLite: everything happens in the lane's thread, so nothing of it needs a lock."""

    def accompany(self, connection: sqlite3.Connection, events: Sequence[Recorded]) -> None:
        """Add to the transaction in which these events, at least one, were stored. No BEGIN, COMMIT or ROLLBACK."""


class PostgresCompanion(Companion, Protocol):
    """A companion on PostgreSQL: everything happens in the log's event loop."""

    async def accompany(self, connection: Any, events: Sequence[Recorded]) -> None:
        """Add to the transaction, on the asyncpg connection. All other appends wait meanwhile, those of other
        processes too.
        """


C = TypeVar("C", bound=Companion)


class Company(Generic[C]):
    """The companions of one log. They may come and go at any time: a batch goes with those it began with.

    Attributes:
        members: in the order in which they came.
    """

    def __init__(self) -> None:
        self.members: tuple[C, ...] = ()  # replaced, never changed: another thread may be going through it

    def attach(self, companion: C) -> None:
        """From the next batch on it is asked."""
        if companion not in self.members:
            self.members = (*self.members, companion)

    def detach(self, companion: C) -> None:
        """It is asked no more, once the batch under way is through. Safe to call twice."""
        self.members = tuple(one for one in self.members if one is not companion)


@contextlib.contextmanager
def telling(companions: Sequence[Companion]) -> Iterator[None]:
    """Around a transaction, its commit included: they are told how it ended."""
    try:
        yield
    except BaseException:
        for companion in companions:
            companion.undone()
        raise
    for companion in companions:
        companion.committed()

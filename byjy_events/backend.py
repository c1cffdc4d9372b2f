"""What the log asks of a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.chunk import Chunk
from byjy_events.errors import ByjyError
from byjy_events.plan import Known, Part, Placed, Verdict
from byjy_events.query import Query
from byjy_events.recorded import Recorded


class NotStored(ByjyError):
    """The database refused the transaction; it is certain that nothing of it was stored."""


class NotStorable(NotStored):
    """The database refused the data itself: at least one event of the batch breaks a constraint."""


class Unclear(ByjyError):
    """The transaction failed in a way that leaves open whether it was committed."""


class Committed(msgspec.Struct):
    """A batch that is durable.

    Attributes:
        verdicts: what became of each append, in order.
        placed: the events that were stored, in order.
        first_position: the position of the first of them.
        recorded_at: the log's clock for all of them.
        events: the same as their readers will see them, when somebody needed them so already.
    """

    verdicts: list[Verdict]
    placed: list[Placed]
    first_position: int
    recorded_at: int
    events: list[Recorded] | None = None


Turn = Callable[[], AbstractContextManager[Sequence[Sequence[Part]]]]
"""What gives a batch when it is entered."""


class Backend(Protocol):
    """One database, opened."""

    engine: AsyncEngine
    announces: bool
    """Whether other processes hear of a commit only when they are told."""
    queues_turns: bool
    """Whether a turn may be asked for while another one runs, to begin right behind it."""
    least_batch: int
    """Events that are worth a transaction of their own while others wait: found by measuring."""

    async def start(self) -> None:
        """Open the write connection."""

    async def close(self) -> None:
        """Close everything; what was submitted before is finished first."""

    async def reopen(self) -> None:
        """Throw the write connection away and open another."""

    def commit(self, turn: Turn) -> asyncio.Future[Committed]:
        """Decide and store a batch in one durable transaction, behind those that were asked for before.

        Args:
            turn: entered when the database is ready, perhaps in another thread: it gives the batch, and ends with
                the commit or with what it raised.

        Raises:
            NotStored: nothing was stored.
            Unclear: it is open whether it was.
        """
        ...

    async def known(self, event_ids: Sequence[bytes]) -> dict[bytes, Known]:
        """Which of these ids are stored, asked under the append lock: no commit is under way meanwhile."""
        ...

    async def fetch(self, query: Query, limit: int) -> Chunk:
        """One chunk of the log."""
        ...

    async def head(self) -> int:
        """The position of the last event; 0: there is none."""
        ...

    async def announce(self, head: int) -> None:
        """Tell other processes that the log has grown."""

    async def watch(self, advanced: Callable[[int], None]) -> None:
        """Call ``advanced(head)`` whenever another process may have appended. Runs until cancelled."""

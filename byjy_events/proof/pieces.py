"""A log in pieces that an audit looks at one after the other, also one with holes and damage in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from itertools import islice

import sqlalchemy as sa

from byjy_events.chunk import Chunk
from byjy_events.errors import LogUnavailable
from byjy_events.log import EventLog
from byjy_events.postgres.backend import readable
from byjy_events.proof.damage import is_damage
from byjy_events.proof.finding import FindingKind, Findings
from byjy_events.query import Query
from byjy_events.schema import events

PIECE_EVENTS = 2_000
"""Events that are looked at in one go; the event loop waits for them some ten milliseconds."""

PIECES_AHEAD = 2
"""Pieces that are fetched at once: the database packs them without the interpreter's lock, on a core of its own."""


class Pieces:
    """The events of a log up to a head, so many positions at a time. While one piece is looked at, the next is fetched.

    Attributes:
        unreadable: the positions that the database could not read; each is a finding.
    """

    def __init__(self, log: EventLog, head: int, findings: Findings) -> None:
        self._log = log
        self._head = head
        self._findings = findings
        self.unreadable: set[int] = set()

    async def read(self) -> AsyncGenerator[Chunk, None]:
        """Pieces that are not empty, in order of position.

        Raises:
            LogUnavailable: the database failed, and not because of damage.
        """
        start = 0
        while start < self._head:
            async with contextlib.aclosing(self._read_from(start)) as pieces:
                async for start, piece in pieces:  # noqa: B007 - where the last piece began
                    if piece:
                        yield piece
                    else:
                        break
                else:
                    return
            start = await self._next_after(start + PIECE_EVENTS) - 1  # whatever is gone, or at an absurd position

    async def _read_from(self, first: int) -> AsyncGenerator[tuple[int, Chunk], None]:
        starts = iter(range(first, self._head, PIECE_EVENTS))
        fetching: deque[tuple[int, asyncio.Future[Chunk]]] = deque()

        def fetch(starts: Iterable[int]) -> None:
            for start in starts:
                upto = min(start + PIECE_EVENTS, self._head)
                fetching.append((start, asyncio.ensure_future(self._fetched(start, upto))))

        try:
            fetch(islice(starts, PIECES_AHEAD))
            while fetching:
                start, piece = fetching.popleft()
                found = await piece
                fetch(islice(starts, 1))
                await asyncio.sleep(0)  # a task begins when the loop turns
                yield start, found
        finally:
            for _, one in fetching:
                one.cancel()
            await asyncio.gather(*(one for _, one in fetching), return_exceptions=True)

    async def _next_after(self, position: int) -> int:
        if position >= self._head:
            return self._head + 1
        with readable():
            async with self._log.engine.connect() as connection:
                c = events.c
                statement = sa.select(c.position).where(c.position > position).order_by(c.position).limit(1)
                return int(await connection.scalar(statement) or self._head + 1)

    async def _fetched(self, after: int, upto: int) -> Chunk:
        """The events between two positions; of a damaged file those that can be read."""
        try:
            return await self._log.backend.fetch(Query(after=after, upto=upto), PIECE_EVENTS)
        except LogUnavailable as error:
            if not is_damage(error.__cause__):
                raise
            if upto - after == 1:
                self.unreadable.add(upto)
                self._findings.add(upto, upto, FindingKind.UNREADABLE, f"cannot be read: {error}")
                return []
        middle = (after + upto) // 2
        halves = [await self._fetched(after, middle), await self._fetched(middle, upto)]
        return [[*one, *other] for one, other in zip(*halves, strict=True)] if all(halves) else halves[0] or halves[1]

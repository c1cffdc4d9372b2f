"""Copying a log into another database.

The order of things: where the source's head is; whether what the target has is what the source has there, without which
nothing is written; then events, in transactions of a few thousand, each checked against its leaf hash before; then
subtrees, checkpoints, data keys and system logs, which are gone through until nothing differs any more; then the roots
of both trees. Data keys are durable before the events that need them, so whatever was appended up to the head finds its
keys in the source when they are copied.

A crash at any point leaves a target whose log is the beginning of the source's. The next copy sees where it ends and
goes on from there. A source that is appended to meanwhile is copied up to where its head was; the next copy does the
rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from byjy_events.chunk import Chunk, positions, refuse_altered, refuse_gap
from byjy_events.copying.destination import HeadMoved
from byjy_events.copying.ends import Ends
from byjy_events.copying.errors import TargetInUse, TargetIsAnother
from byjy_events.copying.overlap import refuse_piece, refuse_unfit
from byjy_events.copying.tables import Part, Piece, TableCopied, key_store_part, system_logs_part, tree_parts
from byjy_events.errors import CorruptLog
from byjy_events.log import EventLog
from byjy_events.query import Query

CHUNK_EVENTS = 2_000
"""Events that one transaction stores; an append to a live source waits for none of them."""

PASSES = 10
"""How often a table of the source that goes on changing is gone through."""

Progress = Callable[[int, int], None]
"""Called with the position that is copied and the one aimed at."""


class Copied(NamedTuple):
    """What a copy did.

    Attributes:
        before: events that the target had.
        size: events that it has now, which is the source's head when the copy began.
        root: of the tree over them, the same at both ends.
        tables: what was done beside the log.
    """

    before: int
    size: int
    root: bytes
    tables: tuple[TableCopied, ...]


async def copy_log(
    source: EventLog, target: EventLog, *, progress: Progress | None = None, replace_keys: bool = False
) -> Copied:
    """Make a target what the source is now: an empty database, or a copy that ends earlier.

    Positions, ids, clocks, payloads, hashes, subtrees, checkpoints and data keys are the same byte for byte
    afterwards. Tables of projections are left alone. The source may be written to meanwhile; the target may not.

    Args:
        source: nothing is written there, so it may be open to be read only.
        replace_keys: whether data keys that the two have wrapped otherwise become what they are in the source even if
            both end at the same event, so that nothing tells which of them is newer. What is erased stays so.

    Raises:
        SameDatabase, NotAllowed, TargetAhead, TargetIsAnother, WrappedOtherwise: nothing was written.
        LogDamaged: the source is; everything before the position is copied.
        TargetInUse, CopyFailed: what was copied stays, and the next copy goes on from there.
    """
    return await _Copy(Ends(source, target), progress).run(replace_keys=replace_keys)


class _Copy:
    """One copy under way."""

    def __init__(self, ends: Ends, progress: Progress | None) -> None:
        self._ends = ends
        self._progress = progress

    async def run(self, *, replace_keys: bool) -> Copied:
        ends = self._ends
        size = await ends.head(ends.source)
        before = ends.position = await ends.head(ends.target)
        await refuse_unfit(ends, size, replace_keys=replace_keys)
        await self._copy_events(size)
        beside = [*tree_parts(size), await self._upto_now(key_store_part()), await self._upto_now(system_logs_part())]
        tables = [await self._copied(part) for part in beside]
        with ends.at(ends.target):
            await ends.destination.settle()
        return Copied(before, size, await self._root(size), _by_name(tables))

    # --- events -------------------------------------------------------------------------------------

    async def _copy_events(self, size: int) -> None:
        ends = self._ends
        async with contextlib.aclosing(self._chunks(size)) as chunks:
            async for chunk in chunks:
                try:
                    with ends.at(ends.target, chunk):
                        await ends.destination.add_events(ends.position, chunk)
                except HeadMoved as error:
                    raise TargetInUse(ends.target.url, error.head, ends.position) from None
                ends.position = positions(chunk)[-1]
                if self._progress is not None:
                    self._progress(ends.position, size)

    async def _chunks(self, size: int) -> AsyncGenerator[Chunk, None]:
        """The source's events from where the target ends, checked; while one chunk is stored, the next is read."""
        after = self._ends.position
        reading = self._fetch(after, size)
        try:
            while after < size:
                with self._ends.at(self._ends.source):
                    chunk = await reading
                    if not chunk:
                        raise CorruptLog(after + 1, f"missing; the log goes on to {size}")
                    _refuse_damaged(after, chunk)
                after = positions(chunk)[-1]
                reading = self._fetch(after, size)
                await asyncio.sleep(0)  # a task begins when the loop turns
                yield chunk
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _fetch(self, after: int, size: int) -> asyncio.Future[Chunk]:
        backend = self._ends.source.backend
        return asyncio.ensure_future(backend.fetch(Query(after=after, upto=size), CHUNK_EVENTS))

    # --- what lies beside them ----------------------------------------------------------------------

    async def _upto_now(self, part: Part) -> Part:
        """The part, without what is added from now on: else a busy source would never be copied."""
        newest = sa.select(part.key).order_by(part.key.desc()).limit(1)
        rows = await self._ends.rows(self._ends.source, newest)
        return part._replace(wanted=part.wanted & (part.key <= rows[0][0])) if rows else part

    async def _copied(self, part: Part) -> TableCopied:
        """Go through a table until nothing differs, or until it is left to the next copy to follow the source."""
        done = TableCopied(str(part.table.name), 0, 0, 0)
        for _ in range(PASSES):
            rows = written = 0
            async for piece in self._ends.pieces(part):
                refuse_piece(self._ends, part, piece)
                await self._write(part, piece)
                rows += piece.same
                written += len(piece.missing) + len(piece.different)
                done = done.after(piece)
            if not written:
                return done._replace(rows=rows)
        return done._replace(rows=rows + written, settled=False)

    async def _write(self, part: Part, piece: Piece) -> None:
        ends = self._ends
        with ends.at(ends.target):
            if piece.missing:
                await ends.destination.add(part.table, piece.missing)
            if piece.different:
                await ends.destination.change_keys([own for own, _ in piece.different])
        await self._refuse_unlike(part, [*piece.missing, *(own for own, _ in piece.different)])

    async def _refuse_unlike(self, part: Part, written: Sequence[sa.Row[Any]]) -> None:
        """Read again what was written. The source may have other rows by now; the target has these."""
        there = {row[part.place]: tuple(row) for row in await self._ends.rows(self._ends.target, part.of(written))}
        for row in written:
            if there.get(row[part.place]) != tuple(row):
                found = f"{part.table.name} of {part.key.name} {row[part.place]} is not what was copied there"
                raise TargetIsAnother(self._ends.target.url, found)

    async def _root(self, size: int) -> bytes:
        """Of both trees.

        Raises:
            TargetIsAnother: they differ, so something was altered before the last position that the target had.
        """
        ends = self._ends
        roots = [await ends.root(log, size) for log in (ends.source, ends.target)]
        if roots[0] != roots[1]:
            raise TargetIsAnother(ends.target.url, f"another root over {size} events; byjy audit tells where")
        return roots[0]


def _refuse_damaged(after: int, chunk: Chunk) -> None:
    """Raise :class:`CorruptLog` unless these are the events that were appended behind a position."""
    refuse_gap(after, chunk)
    try:
        refuse_altered(chunk)
    except (TypeError, ValueError, AttributeError, struct.error) as error:  # a value of a kind that no event has
        for row in zip(*chunk, strict=True):
            try:
                refuse_altered([[value] for value in row])
            except (TypeError, ValueError, AttributeError, struct.error):
                raise CorruptLog(row[0], f"altered; {error}") from None


def _by_name(tables: Sequence[TableCopied]) -> tuple[TableCopied, ...]:
    """One for each table: subtrees are copied level by level."""
    found: dict[str, TableCopied] = {}
    for one in tables:
        before = found.get(one.name, TableCopied(one.name, 0, 0, 0))
        rows, added, changed = (a + b for a, b in zip(before[1:4], one[1:4], strict=True))
        found[one.name] = TableCopied(one.name, rows, added, changed, before.settled and one.settled)
    return tuple(found.values())

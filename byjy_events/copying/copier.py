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
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import asyncpg
import sqlalchemy as sa

from byjy_events.backend import NotStorable, NotStored, Unclear
from byjy_events.chunk import Chunk, positions, refuse_altered, refuse_gap
from byjy_events.copying.destination import Destination, HeadMoved, destination_of
from byjy_events.copying.errors import (
    CopyFailed,
    LogDamaged,
    NotAllowed,
    SameDatabase,
    TargetAhead,
    TargetInUse,
    TargetIsAnother,
)
from byjy_events.copying.identity import identity
from byjy_events.copying.tables import Part, Piece, TableCopied, key_store_part, pieces, system_logs_part, tree_parts
from byjy_events.errors import CorruptLog, LogUnavailable
from byjy_events.log import EventLog
from byjy_events.log_table import system_logs
from byjy_events.proof.tables import merkle_nodes, tree_checkpoints
from byjy_events.proof.tree import Tree
from byjy_events.query import Query
from byjy_events.schema import events
from byjy_events.sealing.key_store import key_store

CHUNK_EVENTS = 2_000
"""Events that one transaction stores; an append to a live source waits for none of them."""

PASSES = 10
"""How often a table is gone through before it is given up that somebody changes it at the target as well."""

Progress = Callable[[int, int], None]
"""Called with the position that is copied and the one aimed at."""

KEYS, LOGS = key_store_part(), system_logs_part()

_WHATEVER_SIZE = 2**63 - 1
_TROUBLE = (
    LogUnavailable, NotStored, Unclear, OSError, sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError,
)  # fmt: skip
_TABLES = (events, merkle_nodes, tree_checkpoints, key_store, system_logs)


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


async def copy_log(source: EventLog, target: EventLog, *, progress: Progress | None = None) -> Copied:
    """Make a target what the source is now: an empty database, or a copy that ends earlier.

    Positions, ids, clocks, payloads, hashes, subtrees, checkpoints and data keys are the same byte for byte
    afterwards. Tables of projections are left alone. The source may be written to meanwhile; the target may not.

    Args:
        source: nothing is written there, so it may be open to be read only.

    Raises:
        SameDatabase, NotAllowed, TargetAhead, TargetIsAnother: nothing was written.
        LogDamaged: the source is; everything before the position is copied.
        TargetInUse, CopyFailed: what was copied stays, and the next copy goes on from there.
    """
    return await _Copy(source, target, progress).run()


class _Copy:
    """One copy under way."""

    def __init__(self, source: EventLog, target: EventLog, progress: Progress | None) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._destination: Destination = destination_of(target.backend)
        self._position = 0

    async def run(self) -> Copied:
        await self._refuse_same()
        await self._refuse_role()
        size = await self._head(self._source)
        before = self._position = await self._head(self._target)
        await self._refuse_another(size)
        await self._copy_events(size)
        beside = [*tree_parts(size), await self._upto_now(KEYS), await self._upto_now(LOGS)]
        tables = [await self._copied(part) for part in beside]
        with self._at(self._target):
            await self._destination.settle()
        return Copied(before, size, await self._root(size), _by_name(tables))

    # --- before anything is written -----------------------------------------------------------------

    async def _refuse_same(self) -> None:
        with self._at(self._source):
            one = await identity(self._source)
        with self._at(self._target):
            if one == await identity(self._target):
                raise SameDatabase(self._target.url)

    async def _refuse_role(self) -> None:
        with self._at(self._target):
            refused = await self._destination.refused([table.name for table in _TABLES])
        if refused is not None:
            raise NotAllowed(self._target.url, *refused)

    async def _refuse_another(self, size: int) -> None:
        """Whatever the target has, the source has to have as well."""
        common = min(self._position, size)
        is_same = await self._leaf(self._source, common) == await self._leaf(self._target, common)
        if self._position > size:
            raise TargetAhead(self._target.url, self._position, size, is_continued=is_same)
        if not is_same:
            raise TargetIsAnother(self._target.url, f"another event at position {common}")
        if not self._position:
            await self._refuse_filled(size)
        for part in (*tree_parts(_WHATEVER_SIZE), KEYS):
            async for piece in self._pieces(part):
                self._refuse_piece(part, piece)

    async def _refuse_filled(self, size: int) -> None:
        """An empty log beside which something lies is no copy that was cut short: that has events first."""
        for table in _TABLES[1:] if size else ():
            (row,) = await self._rows(self._target, sa.select(sa.func.count()).select_from(table))
            if rows := row[0]:
                raise TargetIsAnother(self._target.url, f"no events, but {rows} rows in {table.name}")

    def _refuse_piece(self, part: Part, piece: Piece) -> None:
        name, key = part.table.name, part.key.name
        if piece.surplus and not part.shrinks:
            row = piece.surplus[0]
            raise TargetIsAnother(self._target.url, f"{name} of {key} {row[part.place]} is not in the source")
        for own, row in piece.different:
            if not part.changes or _is_stuck(own, row):
                raise TargetIsAnother(self._target.url, f"{name} of {key} {row[part.place]} differs")

    # --- the copy -----------------------------------------------------------------------------------

    async def _copy_events(self, size: int) -> None:
        async with contextlib.aclosing(self._chunks(size)) as chunks:
            async for chunk in chunks:
                try:
                    with self._at(self._target, chunk):
                        await self._destination.add_events(self._position, chunk)
                except HeadMoved as error:
                    raise TargetInUse(self._target.url, error.head, self._position) from None
                self._position = positions(chunk)[-1]
                if self._progress is not None:
                    self._progress(self._position, size)

    async def _chunks(self, size: int) -> AsyncGenerator[Chunk, None]:
        """The source's events from where the target ends, checked; while one chunk is stored, the next is read."""
        after = self._position
        reading = self._fetch(after, size)
        try:
            while after < size:
                with self._at(self._source):
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
        return asyncio.ensure_future(self._source.backend.fetch(Query(after=after, upto=size), CHUNK_EVENTS))

    async def _copied(self, part: Part) -> TableCopied:
        """Go through a table until nothing differs."""
        added = changed = 0
        for _ in range(PASSES):
            rows = written = 0
            async for piece in self._pieces(part):
                self._refuse_piece(part, piece)
                rows += piece.same
                added += len(piece.missing)
                changed += len(piece.different)
                written += len(piece.missing) + len(piece.different)
                await self._write(part, piece)
            if not written:
                return TableCopied(str(part.table.name), rows, added, changed)
        raise TargetIsAnother(self._target.url, f"{part.table.name} differs again and again")

    async def _write(self, part: Part, piece: Piece) -> None:
        with self._at(self._target):
            if piece.missing:
                await self._destination.add(part.table, piece.missing)
            if piece.different:
                await self._destination.change_keys([own for own, _ in piece.different])

    async def _root(self, size: int) -> bytes:
        """Of both trees.

        Raises:
            TargetIsAnother: they differ, so something was altered before the last position that the target had.
        """
        roots = [await self._root_at(log, size) for log in (self._source, self._target)]
        if roots[0] != roots[1]:
            raise TargetIsAnother(self._target.url, f"another root over {size} events; byjy audit tells where")
        return roots[0]

    # --- both ends ----------------------------------------------------------------------------------

    async def _upto_now(self, part: Part) -> Part:
        """The part, without what is added from now on: else a busy source would never be copied."""
        rows = await self._rows(self._source, sa.select(part.key).order_by(part.key.desc()).limit(1))
        return part._replace(wanted=part.wanted & (part.key <= rows[0][0])) if rows else part

    def _pieces(self, part: Part) -> AsyncGenerator[Piece, None]:
        return pieces(partial(self._rows, self._source), partial(self._rows, self._target), part)

    async def _rows(self, log: EventLog, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
        with self._at(log):
            async with log.engine.connect() as connection:
                return list(await connection.execute(statement))

    async def _root_at(self, log: EventLog, size: int) -> bytes:
        with self._at(log):
            async with log.engine.connect() as connection:
                return await Tree(connection).root(size)

    async def _head(self, log: EventLog) -> int:
        with self._at(log):
            return await log.head()

    async def _leaf(self, log: EventLog, position: int) -> bytes | None:
        found = await self._rows(log, sa.select(events.c.leaf_hash).where(events.c.position == position))
        return found[0][0] if found else None

    @contextlib.contextmanager
    def _at(self, log: EventLog, chunk: Chunk | None = None) -> Iterator[None]:
        """What an end raises, with its name."""
        try:
            yield
        except CorruptLog as error:
            raise LogDamaged(log.url, error.position, error.reason) from error
        except NotStorable as error:
            where = f"events {positions(chunk)[0]} to {positions(chunk)[-1]}: " if chunk else ""
            raise CopyFailed(log.url, self._position, f"{where}refused: {_cause(error)}") from error
        except _TROUBLE as error:
            raise CopyFailed(log.url, self._position, _cause(error)) from error


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


def _is_stuck(own: Sequence[Any], row: Sequence[Any]) -> bool:
    """Whether a row of the key store at the target cannot become what the source has."""
    key = key_store.columns.keys()
    fixed = [key.index(name) for name in ("subject_kind", "subject_id", "field", "created_at")]
    return row[key.index("erased_at")] is not None or any(own[place] != row[place] for place in fixed)


def _cause(error: Exception) -> str:
    """The first line: those after it may show the row."""
    said = error.cause if isinstance(error, LogUnavailable) else str(getattr(error, "orig", None) or error)
    return said.partition("\n")[0] or type(error).__name__


def _by_name(tables: Sequence[TableCopied]) -> tuple[TableCopied, ...]:
    """One for each table: subtrees are copied level by level."""
    found: dict[str, TableCopied] = {}
    for one in tables:
        before = found.get(one.name, TableCopied(one.name, 0, 0, 0))
        found[one.name] = TableCopied(one.name, *(a + b for a, b in zip(before[1:], one[1:], strict=True)))
    return tuple(found.values())

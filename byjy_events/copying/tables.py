"""The tables beside the log: what of them belongs to a copy, and taking two of them through side by side.

Both are read in the order of one unique column, piece by piece, and held against each other row by row. What the
target lacks is copied, so that going through once more without finding anything proves that they are equal.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from byjy_events.log_table import system_logs
from byjy_events.proof.tables import LEVEL_BITS, TOP_LEVEL, merkle_nodes, tree_checkpoints
from byjy_events.schema import events
from byjy_events.sealing.key_store import key_store

COPIED = (events, merkle_nodes, tree_checkpoints, key_store, system_logs)
"""All tables that a copy writes."""

PIECE_ROWS = 500
"""Rows that are held at once of either side."""

Fetch = Callable[[sa.Select[Any]], Awaitable[Sequence[sa.Row[Any]]]]
"""Answers a query at one end."""


class Part(NamedTuple):
    """Rows of one table that are copied.

    Attributes:
        key: a column that is unique among these rows, in whose order both databases agree.
        wanted: what is true of these rows alone.
        changes: whether rows of the source may change after they were copied.
        shrinks: whether rows of the source may go after they were copied.
    """

    table: sa.Table
    key: sa.Column[Any]
    wanted: sa.ColumnElement[bool]
    changes: bool = False
    shrinks: bool = False

    @property
    def place(self) -> int:
        """The index of the key in a row."""
        return self.table.columns.keys().index(self.key.name)

    def of(self, rows: Sequence[sa.Row[Any]]) -> sa.Select[Any]:
        """The query for the rows with the same keys as these."""
        return sa.select(self.table).where(self.wanted, self.key.in_([row[self.place] for row in rows]))


class Piece(NamedTuple):
    """What a piece of the source is at the target.

    Attributes:
        same: how many rows are equal.
        missing: rows that the target lacks.
        different: rows of both ends, source and target, that have the same key.
        surplus: rows that only the target has.
    """

    same: int
    missing: list[sa.Row[Any]]
    different: list[tuple[sa.Row[Any], sa.Row[Any]]]
    surplus: list[sa.Row[Any]]


class TableCopied(NamedTuple):
    """What was done to a table at the target.

    Attributes:
        name: of the table.
        rows: that both ends have now.
        added: of these, how many were not there before.
        changed: how many were there and said something else.
        settled: whether nothing had changed at the source any more when it was gone through for the last time.
    """

    name: str
    rows: int
    added: int
    changed: int
    settled: bool = True

    def after(self, piece: Piece) -> TableCopied:
        """The same, with a piece that was written."""
        return self._replace(added=self.added + len(piece.missing), changed=self.changed + len(piece.different))


def tree_parts(size: int) -> list[Part]:
    """Subtrees and checkpoints of a log of that size."""
    nodes, checkpoints = merkle_nodes.c, tree_checkpoints.c
    levels = [level for level in range(1, TOP_LEVEL + 1) if size >> LEVEL_BITS * level]
    return [
        *(
            Part(merkle_nodes, nodes.number, (nodes.level == level) & (nodes.number < size >> LEVEL_BITS * level))
            for level in levels
        ),
        Part(tree_checkpoints, checkpoints.size, checkpoints.size <= size),
    ]


def key_store_part() -> Part:
    """All data keys, erased ones as well."""
    return Part(key_store, key_store.c.id, sa.true(), changes=True)


def system_logs_part() -> Part:
    """All entries. Those that the source has pruned stay at the target."""
    return Part(system_logs, system_logs.c.id, sa.true(), shrinks=True)


async def pieces(source: Fetch, target: Fetch, part: Part) -> AsyncGenerator[Piece, None]:
    """Go through both ends once. No snapshot is held from one piece to the next."""
    last: Any = None
    while True:
        rows = await _rows(source, part, last, limit=PIECE_ROWS)
        whole = len(rows) < PIECE_ROWS
        end = None if whole else rows[-1][part.place]
        async for found in _held_against(rows, target, part, last, end):
            yield found
        if whole:
            return
        last = end


async def _held_against(
    rows: Sequence[sa.Row[Any]], target: Fetch, part: Part, after: Any, upto: Any
) -> AsyncGenerator[Piece, None]:
    """A piece of the source; of the target there may be many more rows between the same keys."""
    expected = {row[part.place]: row for row in rows}
    while True:
        there = await _rows(target, part, after, upto, limit=PIECE_ROWS)
        more = len(there) == PIECE_ROWS
        different, surplus, same = [], [], 0
        for row in there:
            own = expected.pop(row[part.place], None)
            if own is None:
                surplus.append(row)
            elif tuple(own) == tuple(row):
                same += 1
            else:
                different.append((own, row))
        yield Piece(same, [] if more else list(expected.values()), different, surplus)
        if not more:
            return
        after = there[-1][part.place]


async def _rows(fetch: Fetch, part: Part, after: Any, upto: Any = None, *, limit: int) -> Sequence[sa.Row[Any]]:
    statement = sa.select(part.table).where(part.wanted).order_by(part.key).limit(limit)
    if after is not None:
        statement = statement.where(part.key > after)
    if upto is not None:
        statement = statement.where(part.key <= upto)
    return await fetch(statement)

"""Reading the tree: hashes over any leaves, from the stored subtrees and at most a few hundred leaf hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.errors import CorruptLog
from byjy_events.proof.merkle import Span, Subtree, consistency_spans, full_root, inclusion_spans, joined, subtrees_of
from byjy_events.proof.tables import FAN_OUT, LEVEL_BITS, merkle_nodes, tree_checkpoints
from byjy_events.schema import events

BLOCKS_AT_ONCE = 16
"""Stored subtrees that are made in one go; the event loop waits for them some milliseconds."""


CHECKPOINTS_AT_ONCE = 1_000
"""Checkpoints that one read fetches unless told."""


class Node(NamedTuple):
    """A row of ``merkle_nodes``."""

    level: int
    number: int
    hash: bytes


class StoredCheckpoint(NamedTuple):
    """A row of ``tree_checkpoints``."""

    size: int
    root: bytes
    note: str
    created_at: int


class Tree:
    """The tree of one database, as one connection sees it. Sizes up to the head can be asked about.

    What is not stored yet is computed from the leaves below, which takes a scan of them; nothing is when a sealer runs.

    Raises:
        CorruptLog: an event is missing.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def root(self, size: int) -> bytes:
        """The root over the first ``size`` events."""
        return await self.hash_over(Span(0, size))

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that a leaf is in the tree of that size, from its sibling upwards."""
        return [await self.hash_over(span) for span in inclusion_spans(index, size)]

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of one size grew out of that of another."""
        return [await self.hash_over(span) for span in consistency_spans(old, new)]

    async def hash_over(self, span: Span) -> bytes:
        """The hash over a span that RFC 6962 gives one."""
        found: list[bytes] = []
        for kept, neighbours in groupby(subtrees_of(span), key=lambda subtree: subtree.level // LEVEL_BITS):
            found += await self._roots(kept, list(neighbours))
        return joined(found)

    async def nodes_missing(self, size: int, *, level: int = 1) -> tuple[int, int]:
        """Of a level that is kept: how many subtrees are stored from the first one on, and how many a size has."""
        found = await self._connection.scalar(
            sa.select(sa.func.max(merkle_nodes.c.number)).where(merkle_nodes.c.level == level)
        )
        return (0 if found is None else found + 1), size >> (LEVEL_BITS * level)

    async def made(self, level: int, first: int, count: int) -> list[Node]:
        """Subtrees of a level that is kept, from what lies below them."""
        below = await self._hashes(level - 1, first * FAN_OUT, count * FAN_OUT)
        return [
            Node(level, first + block, full_root(below[block * FAN_OUT : (block + 1) * FAN_OUT]))
            for block in range(count)
        ]

    async def checkpoint(self, *, covering: int | None = None) -> StoredCheckpoint | None:
        """The newest checkpoint, or the oldest one that a position lies under; None: there is none."""
        c = tree_checkpoints.c
        statement = sa.select(tree_checkpoints)
        if covering is None:
            statement = statement.order_by(c.size.desc())
        else:
            statement = statement.where(c.size >= covering).order_by(c.size)
        row = (await self._connection.execute(statement.limit(1))).first()
        return None if row is None else StoredCheckpoint(*row)

    async def _roots(self, kept: int, neighbours: Sequence[Subtree]) -> list[bytes]:
        """The roots of subtrees side by side that one kept level lies below, read at once."""
        spans = [
            Span(subtree.number << above, (subtree.number + 1) << above)
            for subtree in neighbours
            for above in [subtree.level - kept * LEVEL_BITS]
        ]
        first = spans[0].start
        hashes = await self._hashes(kept, first, spans[-1].end - first)
        return [full_root(hashes[span.start - first : span.end - first]) for span in spans]

    async def checkpoints(self, *, after: int = 0, limit: int = CHECKPOINTS_AT_ONCE) -> list[StoredCheckpoint]:
        """The checkpoints of larger sizes, the smallest first."""
        c = tree_checkpoints.c
        wanted = sa.select(tree_checkpoints).where(c.size > after).order_by(c.size).limit(limit)
        return [StoredCheckpoint(*row) for row in await self._connection.execute(wanted)]

    async def _hashes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Hashes of neighbours on a level that is kept; level 0 are the leaves."""
        if level == 0:
            return await self._leaves(first, count)
        c = merkle_nodes.c
        wanted = sa.select(c.number, c.hash).where(c.level == level, c.number >= first, c.number < first + count)
        found: dict[int, bytes] = dict(map(tuple, await self._connection.execute(wanted)))
        for start, missing in _runs([number for number in range(first, first + count) if number not in found]):
            for at in range(start, start + missing, BLOCKS_AT_ONCE):
                nodes = await self.made(level, at, min(BLOCKS_AT_ONCE, start + missing - at))
                found.update((node.number, node.hash) for node in nodes)
        return [found[number] for number in range(first, first + count)]

    async def _leaves(self, first: int, count: int) -> Sequence[bytes]:
        c = events.c
        wanted = sa.select(c.leaf_hash).where(c.position > first, c.position <= first + count).order_by(c.position)
        found: list[Any] = list((await self._connection.execute(wanted)).scalars())
        if len(found) != count:
            raise CorruptLog(await self._first_missing(first, count), "no such event")
        return found

    async def _first_missing(self, first: int, count: int) -> int:
        c = events.c
        there = sa.select(c.position).where(c.position > first, c.position <= first + count)
        found = set((await self._connection.execute(there)).scalars())
        return next(position for position in range(first + 1, first + count + 1) if position not in found)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Rising numbers as runs of neighbours: first one and length."""
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
            yield numbers[start], end - start
            start = end

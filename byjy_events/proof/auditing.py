"""The audit: is the log what was appended, all of it, and what the checkpoints signed for?

One pass over the log in order of position. Every event's leaf hash is computed anew, positions and stream versions are
counted, the clock is watched, and the tree is grown from nothing and compared with every stored subtree and with every
checkpoint, stored or exported, at its size. Nothing is taken from the tables of the tree.

What is found is blamed on one position only where that is certain. A change with hashes computed anew leaves no trace
in the event itself; then the finding names the span between the last checkpoint that fits and the first that does not,
or the block of the first stored subtree that does not fit, if that is smaller.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import struct
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from itertools import islice, pairwise
from operator import attrgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from byjy_events import collector
from byjy_events.chunk import Chunk
from byjy_events.errors import LogUnavailable
from byjy_events.leaf import content_hash, leaf_hash
from byjy_events.log import EventLog
from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of, unverified
from byjy_events.proof.errors import InvalidNote, NotSigned
from byjy_events.proof.finding import FINDINGS, Audit, Finding, FindingKind
from byjy_events.proof.frontier import Completed, Frontier
from byjy_events.proof.note import Verifier
from byjy_events.proof.tables import LEVEL_BITS, merkle_nodes, tree_checkpoints
from byjy_events.proof.tree import StoredCheckpoint
from byjy_events.query import Query
from byjy_events.schema import events

CHUNK_EVENTS = 2_000
"""Events that are looked at in one go; the event loop waits for them some ten milliseconds."""

CHUNKS_AHEAD = 2
"""Pieces that are fetched at once: the database packs them without the interpreter's lock, on a core of its own."""

Progress = Callable[[int, int], None]
"""Called with the position reached and the head."""


async def audit(
    log: EventLog, trusted: Sequence[Verifier], exported: Iterable[str] = (), *, progress: Progress | None = None
) -> Audit:
    """Audit a log. Nothing is changed; appends go on meanwhile, and what they add is not looked at.

    Args:
        trusted: the keys that sign for the log. Without any, checkpoints are compared as they are, by whomever they
            were signed, which finds accidents and no forgery; ``sealed`` is 0 then.
        exported: checkpoints, as notes, that left the database. Only these find that it was set back to an older copy,
            or rewritten with its checkpoints.

    Raises:
        LogUnavailable: the database failed.
    """
    head = await log.head()
    under_way = _Audit(log, head, trusted)
    await under_way.take_checkpoints(exported)
    await under_way.take_nodes()
    await under_way.read(progress)
    return under_way.result()


class _Claim(NamedTuple):
    """What somebody says that the root is at a size."""

    size: int
    root: bytes
    where: str
    trusted: bool


class _Audit:
    """One audit under way."""

    def __init__(self, log: EventLog, head: int, trusted: Sequence[Verifier]) -> None:
        self._log = log
        self._head = head
        self._trusted = trusted
        self._claims: list[_Claim] = []
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._wrong_nodes: list[Completed] = []
        self._frontier = Frontier(LEVEL_BITS)
        self._versions: dict[str, dict[bytes, int]] = {}
        self._clock = 0
        self._position = 0
        self._findings: list[Finding] = []
        self._unreadable: set[int] = set()
        self._mended: Frontier | None = None
        self._stored_size = 0
        self._is_rewritten = False
        self._whole = True
        self._good = 0
        self._sealed = 0
        self._compared = 0

    # --- what is claimed ----------------------------------------------------------------------------

    async def take_checkpoints(self, exported: Iterable[str]) -> None:
        """The checkpoints to compare with, by size."""
        async with self._log.engine.connect() as connection:
            c = tree_checkpoints.c
            rows = (await connection.execute(sa.select(tree_checkpoints).order_by(c.size))).all()
        for row in rows:
            self._take_stored(StoredCheckpoint(*row))
            self._stored_size = row.size
        for note in exported:
            self._take(note, "an exported checkpoint", _size_of(note))
        self._claims.sort(key=attrgetter("size"))
        largest = self._claims[-1] if self._claims else None
        if largest is not None and largest.size > self._head:
            message = f"the log ends at {self._head}, {largest.where} is over {largest.size} events"
            self._find(self._head + 1, largest.size, FindingKind.TRUNCATED, message)

    def _take_stored(self, stored: StoredCheckpoint) -> None:
        where = f"the stored checkpoint of {stored.size}"
        checkpoint = self._take(stored.note, where, stored.size)
        if checkpoint is not None and (checkpoint.size, checkpoint.root) != (stored.size, stored.root):
            message = f"{where}: its row says something else than its note"
            self._find(stored.size, stored.size, FindingKind.CHECKPOINT, message)

    def _take(self, note: str, where: str, position: int) -> Checkpoint | None:
        try:
            checkpoint = checkpoint_of(note, self._trusted) if self._trusted else unverified(note)
        except (InvalidNote, NotSigned) as error:
            self._find(position, position, FindingKind.CHECKPOINT, f"{where}: {error}")
            return None
        self._claims.append(_Claim(checkpoint.size, checkpoint.root, where, bool(self._trusted)))
        return checkpoint

    async def take_nodes(self) -> None:
        """The stored subtrees to compare with."""
        async with self._log.engine.connect() as connection:
            rows = await connection.execute(sa.select(merkle_nodes))
            self._nodes = {(level, number): found for level, number, found in rows}

    # --- the pass over the log ----------------------------------------------------------------------

    async def read(self, progress: Progress | None) -> None:
        """Look at every event up to the head."""
        claims = iter([*(claim for claim in self._claims if claim.size <= self._head), None])
        claim = next(claims)
        async with contextlib.aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                with collector.paused():
                    computed = self._look_at(chunk)
                    start, leaves = 0, chunk[14]
                    while claim is not None and self._whole and claim.size <= self._frontier.size + len(leaves) - start:
                        end = start + claim.size - self._frontier.size
                        self._grow(leaves[start:end], computed[start:end])
                        self._compare(claim)
                        start, claim = end, next(claims)
                    self._grow(leaves[start:], computed[start:])
                if progress is not None:
                    progress(self._position, self._head)
        if self._position < self._head:
            self._gap(self._head + 1)

    async def _chunks(self) -> AsyncGenerator[Chunk, None]:
        """The log in pieces of so many positions each; while one is looked at, the next ones are fetched."""
        start = 0
        while start < self._head:
            async with contextlib.aclosing(self._chunks_from(start)) as chunks:
                async for start, chunk in chunks:  # noqa: B007 - where the last piece began
                    if chunk:
                        yield chunk
                    else:
                        break
                else:
                    return
            start = await self._next_after(start + CHUNK_EVENTS) - 1  # whatever is gone, or at an absurd position

    async def _chunks_from(self, first: int) -> AsyncGenerator[tuple[int, Chunk], None]:
        starts = iter(range(first, self._head, CHUNK_EVENTS))
        fetching: deque[tuple[int, asyncio.Future[Chunk]]] = deque()

        def fetch(starts: Iterable[int]) -> None:
            for start in starts:
                upto = min(start + CHUNK_EVENTS, self._head)
                fetching.append((start, asyncio.ensure_future(self._read(start, upto))))

        try:
            fetch(islice(starts, CHUNKS_AHEAD))
            while fetching:
                start, chunk = fetching.popleft()
                found = await chunk
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
        async with self._log.engine.connect() as connection:
            c = events.c
            statement = sa.select(c.position).where(c.position > position).order_by(c.position).limit(1)
            return int(await connection.scalar(statement) or self._head + 1)

    async def _read(self, after: int, upto: int) -> Chunk:
        """The events between two positions; of a damaged file those that can be read."""
        try:
            return await self._log.backend.fetch(Query(after=after, upto=upto), CHUNK_EVENTS)
        except LogUnavailable as error:
            if not _is_damage(error):
                raise
            if upto - after == 1:
                self._unreadable.add(upto)
                self._find(upto, upto, FindingKind.UNREADABLE, f"cannot be read: {error}")
                return []
        middle = (after + upto) // 2
        halves = [await self._read(after, middle), await self._read(middle, upto)]
        return [[*one, *other] for one, other in zip(*halves, strict=True)] if all(halves) else halves[0] or halves[1]

    def _look_at(self, chunk: Chunk) -> Sequence[bytes | None]:
        """Each event by itself, and in its stream. Returns the leaf hashes that they ought to have."""
        positions, leaves = chunk[0], chunk[14]
        if positions[-1] != self._position + len(positions):
            for position in positions:
                if position != self._position + 1:
                    self._gap(position)
                self._position = position
        self._position = positions[-1]
        try:
            contents = map(content_hash, *chunk[1:4], *chunk[5:10], *chunk[11:14])
            computed: list[bytes | None] = list(map(leaf_hash, contents, positions, chunk[4], chunk[10]))
        except (TypeError, ValueError, AttributeError, struct.error):
            computed = list(map(_leaf_if_any, *chunk[:14]))
        if computed != list(leaves):
            for position, found, stored in zip(positions, computed, leaves, strict=True):
                if found != stored:
                    message = "its leaf hash is of something else"
                    self._find(position, position, FindingKind.ALTERED, message)
        if None not in computed:
            self._look_at_versions(positions, chunk[2], chunk[3], chunk[4])
            self._look_at_clock(positions, chunk[10])
        return computed

    def _look_at_versions(
        self, positions: Sequence[int], categories: Sequence[str], ids: Sequence[bytes], versions: Sequence[int]
    ) -> None:
        known = self._versions
        for position, category, stream_id, version in zip(positions, categories, ids, versions, strict=True):
            of_category = known.get(category)
            if of_category is None:
                of_category = known[category] = {}
            expected = of_category.get(stream_id, 0) + 1
            if version != expected:
                message = f"version {version} of its stream, and {expected} would be the next"
                self._find(position, position, FindingKind.VERSION, message)
            of_category[stream_id] = version

    def _look_at_clock(self, positions: Sequence[int], clocks: Sequence[int]) -> None:
        if clocks[0] < self._clock or any(later < earlier for earlier, later in pairwise(clocks)):
            before = self._clock
            for position, clock in zip(positions, clocks, strict=True):
                if clock < before:
                    self._find(position, position, FindingKind.CLOCK, "recorded before the event in front of it")
                before = clock
        self._clock = clocks[-1]

    def _gap(self, position: int) -> None:
        first = self._position + 1
        while first in self._unreadable:
            first += 1
        if first < position:
            self._find(first, position - 1, FindingKind.MISSING, f"missing; the next event is at {position}")
        self._whole = False  # what the tree would be without the hole, nobody knows

    # --- the tree -----------------------------------------------------------------------------------

    def _grow(self, leaves: Sequence[bytes], computed: Sequence[bytes | None]) -> None:
        """The tree over the hashes as they are stored, and, where some of them are wrong, over those that ought to be.

        Of an event whose content was altered the stored hash is right, of one whose hash was altered the computed one.
        """
        if not self._whole:
            return
        if self._mended is None and list(computed) != list(leaves):
            self._mended = self._frontier.copy()
        if self._mended is not None:
            self._mended.add(
                [stored if found is None else found for found, stored in zip(computed, leaves, strict=True)]
            )
        for completed in self._frontier.add(leaves):
            stored = self._nodes.pop((completed.level, completed.number), None)
            if stored is None and _positions(completed)[1] <= self._stored_size:
                first, last = _positions(completed)
                message = f"the stored subtree {completed.number} of level {completed.level} is missing"
                self._find(first, last, FindingKind.SUBTREE, message)
            elif stored is not None and stored != completed.hash:
                self._wrong_nodes.append(completed)

    def _compare(self, claim: _Claim) -> None:
        """Compare what somebody says the root is at this size."""
        self._compared += 1
        roots = [tree.root() for tree in (self._frontier, self._mended) if tree is not None]
        if claim.root not in roots:
            self._rewritten(claim)
            return
        self._good = claim.size
        if claim.trusted:
            self._sealed = claim.size
        if claim.root == roots[0]:  # the events are those that were signed for, so the subtrees are wrong
            self._find_wrong(self._wrong_nodes)
        self._wrong_nodes = []

    def _rewritten(self, claim: _Claim) -> None:
        if self._is_rewritten:  # all later ones differ too
            return
        self._is_rewritten = True
        blocks = sorted(_positions(node) for node in self._wrong_nodes if node.level == 1)
        first, last = blocks[0] if blocks else (self._good + 1, claim.size)
        message = f"not what was signed for: {claim.where} has another root over {claim.size} events"
        self._find(max(first, self._good + 1), min(last, claim.size), FindingKind.REWRITTEN, message)

    def _find_wrong(self, nodes: Iterable[Completed]) -> None:
        for node in nodes:
            first, last = _positions(node)
            message = f"the stored subtree {node.number} of level {node.level} is not over these events"
            self._find(first, last, FindingKind.SUBTREE, message)

    # --- what was found -----------------------------------------------------------------------------

    def _find(self, first: int, last: int, kind: FindingKind, message: str) -> None:
        self._findings.append(Finding(first, last, kind, message))

    def result(self) -> Audit:
        """What was found, in the order of the log."""
        if not self._is_rewritten:  # behind the last checkpoint nothing says which of the two is right
            self._find_wrong(self._wrong_nodes)
        beyond = [(level, number) for level, number in self._nodes if (number + 1) << LEVEL_BITS * level > self._head]
        for level, number in beyond if self._whole else ():
            first, last = _positions(Completed(level, number, b""))
            message = f"the stored subtree {number} of level {level} is over events that are not there"
            self._find(max(first, self._head + 1), last, FindingKind.TRUNCATED, message)
        found = sorted(self._findings, key=lambda finding: (finding.first, finding.last))
        return Audit(
            self._position, self._compared, self._sealed, tuple(found[:FINDINGS]), max(0, len(found) - FINDINGS)
        )


def _leaf(
    position: int, event_id: bytes, category: str, stream_id: bytes, version: int, type_name: str, schema_version: int,
    payload: bytes, occurred_at: int | None, received_at: int, recorded_at: int, actor: str,
    correlation_id: bytes | None, causation_id: bytes | None,
) -> bytes:  # fmt: skip
    """The leaf hash of an event, column by column."""
    content = content_hash(
        event_id, category, stream_id, type_name, schema_version, payload,
        occurred_at, received_at, actor, correlation_id, causation_id,
    )  # fmt: skip
    return leaf_hash(content, position, version, recorded_at)


def _leaf_if_any(*columns: Any) -> bytes | None:
    """The same for columns that may hold what no event has, e.g. a number for a text."""
    try:
        return _leaf(*columns)
    except (TypeError, ValueError, AttributeError, struct.error):
        return None


def _is_damage(error: LogUnavailable) -> bool:
    """Whether the file is damaged, rather than locked, full or away."""
    return type(error.__cause__) is sqlite3.DatabaseError


def _positions(node: Completed) -> tuple[int, int]:
    width = 1 << LEVEL_BITS * node.level
    return node.number * width + 1, (node.number + 1) * width


def _size_of(note: str) -> int:
    try:
        return unverified(note).size
    except InvalidNote:
        return 0

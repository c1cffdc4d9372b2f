"""The audit: is the log what was appended, all of it, and what the checkpoints signed for?

One pass over the log in order of position. Every event's leaf hash is computed anew, positions and stream versions are
counted, the clock is watched, and the tree is grown from nothing and compared with every stored subtree and with every
checkpoint, stored or exported, at its size. Nothing is taken from the tables of the tree.

What is found is blamed on one position only where that is certain. A change with hashes computed anew leaves no trace
in the event itself; then the finding names the span between the last checkpoint that fits and the first that does not,
or the block of the first stored subtree that does not fit, if that is smaller.

Appends and sealers go on meanwhile. So the checkpoints are read first, then the subtrees, then the head: whatever is
added between two of these steps cannot look like something that is gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import sqlalchemy as sa

from byjy_events import collector
from byjy_events.chunk import Chunk
from byjy_events.log import EventLog
from byjy_events.postgres.backend import readable
from byjy_events.proof.claims import Claim, Claims
from byjy_events.proof.damage import is_damage
from byjy_events.proof.event_check import EventCheck, Leaves
from byjy_events.proof.finding import Audit, FindingKind, Findings
from byjy_events.proof.note import Verifier
from byjy_events.proof.pieces import Pieces
from byjy_events.proof.tables import merkle_nodes
from byjy_events.proof.tree_check import TreeCheck
from byjy_events.schema import events

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
    findings = Findings()
    claims = Claims(trusted, findings)
    claims.take_exported(exported)
    with readable():
        async with log.engine.connect() as connection:
            await claims.take_stored(connection)
        nodes = await _stored_nodes(log, findings)
    head = await log.head()
    sorted_claims = claims.sorted()
    _refuse_beyond(head, sorted_claims, findings)
    pieces = Pieces(log, head, findings)
    under_way = _Pass(
        EventCheck(findings, pieces.unreadable), TreeCheck(nodes, claims.stored_size, findings), sorted_claims
    )
    async with contextlib.aclosing(pieces.read()) as read:
        async for piece in read:
            under_way.look_at(piece)
            if progress is not None:
                progress(under_way.position, head)
    under_way.ended(head)
    await _find_strays(log, findings)
    told, further = findings.told()
    return Audit(under_way.position, under_way.compared, under_way.good if trusted else 0, told, further)


class _Pass:
    """Events, the tree over them, and the claims, side by side.

    Attributes:
        good: the size of the largest claim that fitted.
    """

    def __init__(self, of_events: EventCheck, of_tree: TreeCheck, claims: Sequence[Claim]) -> None:
        self._events = of_events
        self._tree = of_tree
        self._claims: Iterator[Claim] = iter(claims)
        self._claim = next(self._claims, None)
        self.good = 0

    @property
    def position(self) -> int:
        return self._events.position

    @property
    def compared(self) -> int:
        return self._tree.compared

    def look_at(self, piece: Chunk) -> None:
        with collector.paused():
            stored, computed = self._events.look_at(piece)
            # What the tree would be behind a hole, nobody knows.
            follow = max(0, self._events.unbroken - self._tree.size)
            self._grow(Leaves(stored[:follow], computed[:follow]))

    def ended(self, head: int) -> None:
        self._events.ended_at(head)
        self._tree.ended(head, whole=self._events.unbroken == head)

    def _grow(self, leaves: Leaves) -> None:
        """By what lies in front of each claim, which is compared then, and by what is left."""
        start, reached = 0, self._tree.size + len(leaves.stored)
        while (claim := self._claim) is not None and claim.size <= reached:
            end = start + max(0, claim.size - self._tree.size)
            self._tree.grow(Leaves(leaves.stored[start:end], leaves.computed[start:end]))
            if self._tree.compare(claim):
                self.good = claim.size
            start, self._claim = end, next(self._claims, None)
        self._tree.grow(Leaves(leaves.stored[start:], leaves.computed[start:]))


async def _stored_nodes(log: EventLog, findings: Findings) -> dict[tuple[int, int], bytes]:
    async with log.engine.connect() as connection:
        try:
            rows = await connection.execute(sa.select(merkle_nodes))
            return {(level, number): found for level, number, found in rows}
        except sa.exc.DatabaseError as error:
            if not is_damage(error.orig):
                raise
            findings.add(0, 0, FindingKind.SUBTREE, f"the stored subtrees cannot be read: {error.orig}")
            return {}


def _refuse_beyond(head: int, claims: Sequence[Claim], findings: Findings) -> None:
    if claims and claims[-1].size > head:
        largest = claims[-1]
        message = f"the log ends at {head}, {largest.where} is over {largest.size} events"
        findings.add(head + 1, largest.size, FindingKind.TRUNCATED, message)


async def _find_strays(log: EventLog, findings: Findings) -> None:
    """Nobody who reads the log from its beginning on sees them."""
    c = events.c
    with readable():
        async with log.engine.connect() as connection:
            position = await connection.scalar(sa.select(sa.func.min(c.position)).where(c.position < 1))
    if position is not None:
        findings.add(0, 0, FindingKind.STRAY, f"an event is at {position}, and the first position is 1")

"""What checkpoints, stored and exported ones, claim that the log was: each verified, and in order of size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of, unverified
from byjy_events.proof.damage import is_damage
from byjy_events.proof.errors import InvalidNote, NotSigned
from byjy_events.proof.finding import FindingKind, Findings
from byjy_events.proof.note import Verifier
from byjy_events.proof.tables import tree_checkpoints
from byjy_events.proof.tree import StoredCheckpoint, Tree

_BELOW_ALL = -(2**63)


class Claim(NamedTuple):
    """What somebody says that the root is at a size."""

    size: int
    root: bytes
    stored: bool

    @property
    def where(self) -> str:
        """Which checkpoint says so."""
        return f"the stored checkpoint of {self.size}" if self.stored else "an exported checkpoint"


class Claims:
    """The claims of checkpoints that are verified; what is wrong with the others goes to the findings.

    Attributes:
        stored_size: of the largest stored one; 0: none is stored.
    """

    def __init__(self, trusted: Sequence[Verifier], findings: Findings) -> None:
        """
        Args:
            trusted: the keys that sign for the log. Without any, every checkpoint is taken for what it says.
        """
        self._trusted = tuple(trusted)
        self._findings = findings
        self._taken: list[Claim] = []
        self._reached = _BELOW_ALL
        self.stored_size = 0

    def sorted(self) -> list[Claim]:
        """Those that were taken, by size."""
        return sorted(self._taken, key=attrgetter("size"))

    def take_exported(self, notes: Iterable[str]) -> None:
        """Checkpoints that left the database."""
        for note in notes:
            self._take(note, _size_of(note), stored=False)

    async def take_stored(self, connection: AsyncConnection) -> None:
        """The checkpoints in the database; of a damaged one those that can be read."""
        tree = Tree(connection)
        try:
            while rows := await tree.checkpoints(after=self._reached):
                for row in rows:
                    self._take_row(row)
        except sa.exc.DatabaseError as error:
            _raise_unless_damaged(error)
            await self._take_one_by_one(connection)

    async def _take_one_by_one(self, connection: AsyncConnection) -> None:
        c = tree_checkpoints.c
        try:
            left = sa.select(c.size).where(c.size > self._reached).order_by(c.size)
            sizes = (await connection.execute(left)).scalars().all()
        except sa.exc.DatabaseError as error:
            _raise_unless_damaged(error)
            self._add(0, f"the stored checkpoints cannot be read: {error.orig}")
            return
        for size in sizes:
            try:
                row = (await connection.execute(sa.select(tree_checkpoints).where(c.size == size))).first()
            except sa.exc.DatabaseError as error:
                _raise_unless_damaged(error)
                self._add(size, f"the stored checkpoint of {size} cannot be read: {error.orig}")
            else:
                self._take_row(StoredCheckpoint(size, b"", "", 0) if row is None else StoredCheckpoint(*row))

    def _take_row(self, row: StoredCheckpoint) -> None:
        self._reached = self.stored_size = row.size
        checkpoint = self._take(row.note, row.size, stored=True)
        if checkpoint is not None and (checkpoint.size, checkpoint.root) != (row.size, row.root):
            self._add(row.size, f"the stored checkpoint of {row.size}: its row says something else than its note")

    def _take(self, note: str, size: int, *, stored: bool) -> Checkpoint | None:
        try:
            checkpoint = checkpoint_of(note, self._trusted) if self._trusted else unverified(note)
        except (InvalidNote, NotSigned) as error:
            self._add(size, f"{Claim(size, b'', stored).where}: {error}")
            return None
        self._taken.append(Claim(checkpoint.size, checkpoint.root, stored))
        return checkpoint

    def _add(self, size: int, message: str) -> None:
        self._findings.add(size, size, FindingKind.CHECKPOINT, message)


def _raise_unless_damaged(error: sa.exc.DatabaseError) -> None:
    if not is_damage(error.orig):
        raise error


def _size_of(note: str) -> int:
    try:
        return unverified(note).size
    except InvalidNote:
        return 0

"""Bytes changed in the file of a SQLite log, past everything that SQLite refuses."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import NamedTuple

from byjy_events import EventLog
from byjy_events.proof.auditing import audit
from byjy_events.proof.finding import Audit, FindingKind
from byjy_events.proof.tables import FAN_OUT
from tests.tamper.sealed import Sealed, sealed_log
from tests.tamper.tampering import Expected

HEADER_BYTES = 15
"""In front of a record's first column there are at least so many that say of which types the columns are."""

SIGNATURE_BYTES = 100
"""At the end of a checkpoint; not all bits of the last characters of Base64 mean something."""

EVENT = frozenset({FindingKind.ALTERED, FindingKind.UNREADABLE})


class Cell(NamedTuple):
    """Bytes that lie side by side in the file, and what an audit has to say if one of them is another."""

    start: int
    end: int
    expected: Expected


class SealedFile:
    """A sealed log in one file without a WAL, which is as it was before each tampering."""

    def __init__(self, sealed: Sealed, path: Path) -> None:
        self.sealed = sealed
        self._path = path
        self._good = path.read_bytes()
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            self._events = connection.execute("SELECT position, event_id, leaf_hash FROM events").fetchall()
            self._checkpoints = connection.execute("SELECT size, root, note FROM tree_checkpoints").fetchall()
            self._nodes = connection.execute("SELECT number, hash FROM merkle_nodes").fetchall()
        connection.close()

    @classmethod
    async def made(cls, path: Path) -> SealedFile:
        sealed = await sealed_log(f"sqlite:///{path}")
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return cls(sealed, path)

    async def flipped(self, chance: random.Random) -> tuple[Expected, Audit]:
        """One bit of an event, a checkpoint or a subtree, wherever it lies in the file: what is expected, and found."""
        cell = self._cell(chance)
        damaged = bytearray(self._good)
        damaged[chance.randrange(cell.start, cell.end)] ^= 1 << chance.randrange(8)
        return cell.expected, await self.audited(bytes(damaged))

    async def audited(self, content: bytes | None = None) -> Audit:
        """What an audit finds if this is what the file holds; else the log as it was."""
        for name in self._path.parent.glob(f"{self._path.name}-*"):
            name.unlink()
        self._path.write_bytes(self._good if content is None else content)
        async with EventLog.open(self.sealed.url, read_only=True) as log:
            return await audit(log, self.sealed.trusted, self.sealed.notes)

    def _cell(self, chance: random.Random) -> Cell:
        which = chance.random()
        if which < 0.1:
            size, root, note = chance.choice(self._checkpoints)
            signed = note.encode()[:-SIGNATURE_BYTES]
            told = signed if size == FAN_OUT else chance.choice((root, signed))  # a subtree has the same hash there
            start = self._good.index(told)
            return Cell(start, start + len(told), Expected(size, frozenset({FindingKind.CHECKPOINT}), until=size))
        if which < 0.2:
            number, node = chance.choice(self._nodes)
            start, first = self._good.index(node), number * FAN_OUT + 1
            kinds = frozenset({FindingKind.SUBTREE})
            return Cell(start, start + len(node), Expected(first, kinds, exact=False, until=first))
        position, event_id, leaf = chance.choice(self._events)
        end = self._good.index(leaf) + len(leaf)  # the last column, and nowhere else; ids are in indexes too
        start = self._good.rindex(event_id, 0, end) - HEADER_BYTES
        return Cell(start, end, Expected(position, EVENT, until=position))

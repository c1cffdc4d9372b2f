"""Proofs that an event is in the log: files of C2SP's format (c2sp.org/tlog-proof) that need nothing else.

::

    c2sp.org/tlog-proof@v1
    extra <the event, see event_text, in Base64>
    index <position − 1>
    <hashes from the leaf's sibling up to the root's child, in Base64, one a line>

    <the checkpoint>

The format does not vouch for ``extra``. Here it is vouched for all the same: the leaf hash is computed from it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from byjy_events.log import EventLog
from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of, unverified
from byjy_events.proof.errors import NotCovered, ProofBroken, UnknownEventId
from byjy_events.proof.event_text import ProvenEvent, proven, proven_of
from byjy_events.proof.merkle import HASH_BYTES, root_by_inclusion
from byjy_events.proof.note import Verifier
from byjy_events.proof.tree import Tree
from byjy_events.recorded import Recorded
from byjy_events.schema import events

FORMAT = "c2sp.org/tlog-proof@v1"


class Inclusion(NamedTuple):
    """What a proof shows.

    Attributes:
        event: what was appended, when, by whom and where.
        checkpoint: the signed state of the log that it is in.
    """

    event: ProvenEvent
    checkpoint: Checkpoint


async def inclusion_proof(log: EventLog, event_id: UUID) -> str:
    """The proof that an event is in the log, under the newest checkpoint.

    Raises:
        UnknownEventId: the log has no such event.
        NotCovered: no checkpoint covers it yet.
        CorruptLog: what the log says there is not what was appended.
    """
    recorded = await _found(log, event_id)
    async with log.engine.connect() as connection:
        tree = Tree(connection)
        stored = await tree.checkpoint()
        if stored is None or stored.size < recorded.position:
            raise NotCovered(recorded.position, 0 if stored is None else stored.size)
        path = await tree.inclusion(recorded.position - 1, stored.size)
    return inclusion_text(proven(recorded), path, stored.note)


def inclusion_text(event: ProvenEvent, path: Sequence[bytes], note: str) -> str:
    """A proof as it is written into a file."""
    lines = [FORMAT, f"extra {_base64(msgspec.json.encode(event))}", f"index {event.position - 1}"]
    return "\n".join([*lines, *map(_base64, path), "", note])


def checked_inclusion(text: str, trusted: Sequence[Verifier]) -> Inclusion:
    """Check a proof, with nothing but the keys that are trusted to sign for the log.

    Raises:
        ProofBroken: it does not prove that the event is in the log; the reason says what does not fit.
        InvalidNote, NotSigned: its checkpoint is none, or of nobody who is trusted.
    """
    event, index, path, note = _parsed(text)
    checkpoint = checkpoint_of(note, trusted)
    if event.position != index + 1:
        raise ProofBroken(f"the event says that it is at {event.position}, the proof is of {index + 1}")
    root = root_by_inclusion(event.leaf, index, checkpoint.size, path)
    if root is None:
        raise ProofBroken(
            f"{len(path)} hashes are not the way from event {event.position} to the root over {checkpoint.size}"
        )
    if root != checkpoint.root:
        raise ProofBroken(f"the event is not in the log that {checkpoint.origin} signed for at {checkpoint.size}")
    return Inclusion(event, checkpoint)


def is_inclusion(text: str) -> bool:
    """Whether a text begins as a proof of this kind does."""
    return text.startswith(f"{FORMAT}\n")


async def _found(log: EventLog, event_id: UUID) -> Recorded:
    async with log.engine.connect() as connection:
        position = await connection.scalar(sa.select(events.c.position).where(events.c.event_id == event_id))
    if position is None:
        raise UnknownEventId(event_id)
    async for recorded in log.read(after=position - 1, upto=position, checked=True):
        return recorded
    raise UnknownEventId(event_id)


def _parsed(text: str) -> tuple[ProvenEvent, int, list[bytes], str]:
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != FORMAT:
        raise ProofBroken(f"not a proof: it does not begin with {FORMAT}")
    if len(lines) < 3 or not lines[1].startswith("extra "):
        raise ProofBroken("the event is not in it: the second line has no extra data")
    index = lines[2].removeprefix("index ")
    if not lines[2].startswith("index ") or not _is_number(index):
        raise ProofBroken("the third line names no index")
    unverified(note)
    event = proven_of(_decoded(lines[1].removeprefix("extra "), "the event"))
    return event, int(index), [_hash(line, number) for number, line in enumerate(lines[3:], 4)], note


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and (text == "0" or text[0] != "0")


def _hash(line: str, number: int) -> bytes:
    decoded = _decoded(line, f"line {number}")
    if len(decoded) != HASH_BYTES:
        raise ProofBroken(f"line {number} is no hash")
    return decoded


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofBroken(f"{what} is not Base64") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

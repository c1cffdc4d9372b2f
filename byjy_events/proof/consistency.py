"""Proofs that a log grew and nothing that was in it changed: one checkpoint is the beginning of another.

A file of this kind is a JSON object: ``format``, ``old`` and ``new``, the two checkpoints as notes, and ``hashes``,
RFC 6962's consistency proof in Base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from byjy_events.log import EventLog
from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of, unverified
from byjy_events.proof.errors import NotCovered, ProofBroken
from byjy_events.proof.merkle import HASH_BYTES, roots_by_consistency
from byjy_events.proof.note import Verifier
from byjy_events.proof.tree import Tree

FORMAT = "byjy-events consistency proof 1"


class Consistency(NamedTuple):
    """What a proof shows: everything under ``old`` is unchanged under ``new``."""

    old: Checkpoint
    new: Checkpoint


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    old: str
    new: str
    hashes: list[str]


async def consistency_proof(log: EventLog, old: str, new: str) -> str:
    """The proof that the log grew from one checkpoint to another, both signed notes, the older one first.

    What the log's own tree gives is taken, whatever the checkpoints say: if it was altered, the proof does not hold.

    Raises:
        InvalidNote: one of them is no checkpoint.
        NotCovered: the log is shorter than they say.
        ProofBroken: the older one is the larger one.
    """
    sizes = unverified(old).size, unverified(new).size
    if not 0 < sizes[0] <= sizes[1]:
        raise ProofBroken(f"a log does not grow from {sizes[0]} to {sizes[1]} events")
    head = await log.head()
    if head < sizes[1]:
        raise NotCovered(sizes[1], head)
    async with log.engine.connect() as connection:
        hashes = await Tree(connection).consistency(*sizes)
    encoded = [base64.b64encode(one).decode() for one in hashes]
    return msgspec.json.format(
        msgspec.json.encode(_File(format=FORMAT, old=old, new=new, hashes=encoded)), indent=2
    ).decode()


def checked_consistency(text: str, trusted: Sequence[Verifier]) -> Consistency:
    """Check a proof, with nothing but the keys that are trusted to sign for the log.

    Raises:
        ProofBroken: it does not prove it; the reason says what does not fit.
        InvalidNote, NotSigned: a checkpoint is none, or of nobody who is trusted.
    """
    found = _parsed(text)
    old, new = checkpoint_of(found.old, trusted), checkpoint_of(found.new, trusted)
    if old.origin != new.origin:
        raise ProofBroken(f"the checkpoints are of two logs, {old.origin} and {new.origin}")
    roots = roots_by_consistency(old.size, new.size, old.root, [_hash(one) for one in found.hashes])
    if roots is None:
        raise ProofBroken(f"{len(found.hashes)} hashes are not the way from {old.size} to {new.size} events")
    if roots != (old.root, new.root):
        raise ProofBroken(f"the log at {new.size} did not grow out of the log at {old.size}: it was rewritten")
    return Consistency(old, new)


def _parsed(text: str) -> _File:
    try:
        found = msgspec.json.decode(text, type=_File)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProofBroken(f"not a proof: {error}") from None
    if found.format != FORMAT:
        raise ProofBroken(f"not a proof of this kind: {found.format!r}")
    return found


def _hash(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != HASH_BYTES:
        raise ProofBroken(f"{text[:64]!r} is no hash")
    return decoded

"""Checkpoints of C2SP (c2sp.org/tlog-checkpoint): what a log was at one size, signed.

::

    example.com/trading
    217003
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/trading Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+…

The origin is the name of the key that signs. The size is the position of the last event under the root.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import NamedTuple

from byjy_events.proof.errors import InvalidNote
from byjy_events.proof.merkle import HASH_BYTES
from byjy_events.proof.note import Signer, Verifier, opened, signed, taken_apart

_SIZE = re.compile("0|[1-9][0-9]{0,18}", re.ASCII)
_LARGEST = 2**63 - 1


class Checkpoint(NamedTuple):
    """What a log was, with the note that says so.

    Attributes:
        origin: the log's name.
        size: events under the root, which is the position of the last one.
        root: RFC 6962's root hash over their leaf hashes.
        note: the signed text, as it was made.
    """

    origin: str
    size: int
    root: bytes
    note: str


def signed_checkpoint(size: int, root: bytes, signers: Sequence[Signer]) -> Checkpoint:
    """A checkpoint under the name of the first of those who sign it."""
    origin = signers[0].verifier.name
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    return Checkpoint(origin, size, root, signed(text, signers))


def checkpoint_of(note: str, trusted: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint that a note is, of a trusted key.

    Raises:
        InvalidNote: it is no checkpoint, or that of a log which none of the keys that signed it is named after.
        NotSigned: no trusted key signed it, or it was altered.
    """
    _, signed_by = opened(note, trusted)
    checkpoint = unverified(note)
    if checkpoint.origin not in {verifier.name for verifier in signed_by}:
        raise InvalidNote(f"of the log {checkpoint.origin!r}, signed by {signed_by[0].label}", 1)
    return checkpoint


def unverified(note: str) -> Checkpoint:
    """The checkpoint that a note says it is, whoever signed it.

    Raises:
        InvalidNote: it says none.
    """
    text, _ = taken_apart(note)
    lines = text.split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise InvalidNote("a checkpoint has an origin, a size and a root, each on a line")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size) or int(size) > _LARGEST:
        raise InvalidNote(f"no size: {size[:32]!r}", 2)
    try:
        decoded = base64.b64decode(root, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != HASH_BYTES or base64.b64encode(decoded).decode() != root:
        raise InvalidNote(f"no root hash: {root[:64]!r}", 3)
    return Checkpoint(origin, int(size), decoded, note)

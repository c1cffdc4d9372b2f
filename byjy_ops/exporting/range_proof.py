"""Proof that exported events are the log's own: the way from their leaf hashes to the root of a signed checkpoint.

Events that follow one another without gaps are neighbours among the leaves of the tree. Hashes over what lies before
them, their own leaf hashes, and a consistency proof over what lies behind them give the root. So nobody without the
signing key can alter, add, move or leave out one of them, though the rest of the log is not in the export.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from byjy_events.proof.checkpoint import Checkpoint
from byjy_events.proof.errors import ProofBroken
from byjy_events.proof.merkle import HASH_BYTES, Span, joined, node_hash, roots_by_consistency, subtrees_of
from byjy_events.proof.tree import Tree


class RangeProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What has to be known of the log beside the events themselves; hashes are in Base64.

    Attributes:
        before: over the fewest full subtrees of RFC 6962 that the events before the first one make up, the largest
            first; none: the export begins at position 1.
        after: RFC 6962's consistency proof from a tree that ends with the last event to that of the checkpoint; none:
            it is the same.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]


class Neighbours:
    """The leaves of events that follow one another, of which no more than the edge of their tree is kept.

    Attributes:
        first, last: positions; last is the one before first while there are none.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = first - 1
        self._edge: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """The next one's leaf hash."""
        level, number = 0, self.last
        self.last += 1
        # What begins before the first event is joined in the end, when the hashes over it are known.
        while number & 1 and self._edge and self._edge[-1][0] == level:
            leaf = node_hash(self._edge.pop()[1], leaf)
            level, number = level + 1, number >> 1
        self._edge.append((level, leaf))

    def hold_against(self, checkpoint: Checkpoint, proof: RangeProof) -> None:
        """Whether anybody signed the checkpoint is not looked at.

        Raises:
            ProofBroken: they are not the events that it was made over, it ends before them, or the proof is none.
        """
        if checkpoint.size < self.last:
            raise ProofBroken(f"it covers {checkpoint.size} events, and the export goes on to {self.last}")
        root = joined([found for _, found in _merged([*self._before(proof), *self._edge])])
        after = [_hash(one) for one in proof.after]
        roots = roots_by_consistency(self.last, checkpoint.size, root, after)
        if roots is None:
            raise ProofBroken(f"{len(after)} hashes are not the way from {self.last} to {checkpoint.size} events")
        if roots != (root, checkpoint.root):
            raise ProofBroken(f"the events are not those that {checkpoint.origin} had when it had {checkpoint.size}")

    def _before(self, proof: RangeProof) -> list[tuple[int, bytes]]:
        subtrees = subtrees_of(Span(0, self.first - 1))
        if len(subtrees) != len(proof.before):
            raise ProofBroken(f"{len(proof.before)} hashes are not over the {self.first - 1} events before the first")
        return [(one.level, _hash(found)) for one, found in zip(subtrees, proof.before, strict=True)]


async def range_proof(tree: Tree, first: int, last: int, size: int) -> RangeProof:
    """The proof of the events from one position to another, under the tree of a size.

    Raises:
        CorruptLog: an event is missing.
    """
    spans = [Span(one.number << one.level, (one.number + 1) << one.level) for one in subtrees_of(Span(0, first - 1))]
    before = [await tree.hash_over(span) for span in spans]
    return RangeProof(_encoded(before), _encoded(await tree.consistency(last, size)))


def _merged(edge: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The fewest full subtrees, from neighbours that are full ones, from left to right."""
    found: list[tuple[int, bytes]] = []
    for level, own in edge:
        found.append((level, own))
        while len(found) > 1 and found[-2][0] == found[-1][0]:
            (_, left), (below, right) = found[-2:]
            found[-2:] = [(below + 1, node_hash(left, right))]
    return found


def _encoded(hashes: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(base64.b64encode(one).decode() for one in hashes)


def _hash(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != HASH_BYTES:
        raise ProofBroken(f"{text[:64]!r} is no hash")
    return decoded

"""The Merkle tree of RFC 6962 over leaf hashes: pure arithmetic of roots and proofs.

Leaves are counted from 0, so the event at position p is leaf p − 1; a tree of size n has the leaves 0 to n − 1. Ranges
of leaves are half open. Leaf hashes come in ready, with RFC 6962's prefix 0x00 inside, see :mod:`byjy_events.leaf`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""


class Subtree(NamedTuple):
    """A full subtree: ``2 ** level`` leaves from ``number * 2 ** level`` on."""

    level: int
    number: int


class Span(NamedTuple):
    """The leaves from ``start`` up to and without ``end``."""

    start: int
    end: int


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def level_above(hashes: Sequence[bytes]) -> list[bytes]:
    """The hashes one level up; their number has to be even."""
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)]


def full_root(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes whose number is a power of two."""
    level = hashes
    while len(level) > 1:
        level = level_above(level)
    return level[0]


def joined(hashes: Sequence[bytes]) -> bytes:
    """The hash over the full subtrees of a span, from left to right, as :func:`subtrees_of` lists them."""
    if not hashes:
        return EMPTY_ROOT
    *rest, root = hashes
    for one in reversed(rest):
        root = node_hash(one, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes that are all in memory."""
    found = []
    for level, number in subtrees_of(Span(0, len(leaves))):
        found.append(full_root(leaves[number << level : (number + 1) << level]))
    return joined(found)


def subtrees_of(span: Span) -> list[Subtree]:
    """The fewest full subtrees that make up a span whose start is a multiple of the largest one's size."""
    found = []
    start = span.start
    while start < span.end:
        level = (span.end - start).bit_length() - 1
        found.append(Subtree(level, start >> level))
        start += 1 << level
    return found


def inclusion_spans(index: int, size: int) -> list[Span]:
    """What the hashes of an inclusion proof are over, from the leaf's sibling to the root's child.

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of size {size} has no leaf {index}")
    spans = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """What the hashes of a consistency proof are over, in the order of RFC 6962.

    Raises:
        ValueError: the old tree is empty, or larger than the new one.
    """
    if not 0 < old <= new:
        raise ValueError(f"no tree of size {new} grew from one of size {old}, or nothing has to be proved")
    spans = []
    start, end = 0, new
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    if start > 0:  # else it is the old tree itself, whose root whoever checks has
        spans.append(Span(start, end))
    return spans[::-1]


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to; None: it has the wrong number of hashes."""
    if not 0 <= index < size:
        return None
    spans = inclusion_spans(index, size)
    if len(spans) != len(path):
        return None
    root = leaf
    for span, sibling in zip(spans, path, strict=True):
        root = node_hash(root, sibling) if index < span.start else node_hash(sibling, root)
    return root


def roots_by_consistency(old: int, new: int, old_root: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The old and the new root that a consistency proof leads to; None: it has the wrong number of hashes."""
    if not 0 < old <= new:
        return None
    spans = consistency_spans(old, new)
    if len(spans) != len(path):
        return None
    hashes = list(zip(spans, path, strict=True))
    if not hashes or hashes[0][0].end != old:
        first = old_root  # the old tree is a full subtree of the new one
    else:
        (_, first), *hashes = hashes
    old_found = new_found = first
    for span, sibling in hashes:
        if span.end <= old:
            old_found = node_hash(sibling, old_found)
            new_found = node_hash(sibling, new_found)
        else:
            new_found = node_hash(new_found, sibling)
    return old_found, new_found


def _split(count: int) -> int:
    """The largest power of two that is less than a count of 2 or more."""
    return 1 << (count - 1).bit_length() - 1

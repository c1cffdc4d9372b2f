"""Each event by itself and in its stream: is it what its leaf hash says, and does it follow upon those before it?"""

from __future__ import annotations

import struct
from collections.abc import Container, Sequence
from itertools import pairwise
from typing import NamedTuple

from byjy_events.chunk import Chunk
from byjy_events.leaf import content_hash, leaf_hash
from byjy_events.proof.finding import FindingKind, Findings
from byjy_events.proof.merkle import HASH_BYTES

_NO_HASH = b""
"""For a leaf of which neither the stored nor a computed hash is there: no tree of it fits anything."""


class Leaves(NamedTuple):
    """The leaf hashes of events, as they are stored and as they ought to be; the same where all is well."""

    stored: Sequence[bytes]
    computed: Sequence[bytes]


class EventCheck:
    """Looks at the events one after the other.

    An event that is not what was appended says nothing of its neighbours: its stream, version and clock are passed
    over. Nor is a version blamed for skipping what such events, and missing ones, account for.

    Attributes:
        position: of the last event.
        unbroken: the position up to which there was an event at each one.
    """

    def __init__(self, findings: Findings, unreadable: Container[int]) -> None:
        """
        Args:
            unreadable: positions whose events are there and cannot be read: found already.
        """
        self._findings = findings
        self._unreadable = unreadable
        self._versions: dict[str, dict[bytes, int]] = {}
        self._clock = 0
        self._unknown = 0  # events of which the stream is not known
        self._is_broken = False
        self.position = 0
        self.unbroken = 0

    def look_at(self, events: Chunk) -> Leaves:
        """The next events. Returns their leaf hashes."""
        self._look_at_positions(events[0])
        stored, computed = list(events[14]), _computed(events)
        leaves = Leaves(stored, stored)
        if computed != stored:
            leaves, events = self._without_altered(events, computed)
        if events[0]:
            self._look_at_versions(events[0], events[2], events[3], events[4])
            self._look_at_clock(events[0], events[10])
        return leaves

    def ended_at(self, head: int) -> None:
        """Nothing follows up to the head."""
        if self.position < head:
            self._gap(head + 1)

    def _look_at_positions(self, positions: Sequence[int]) -> None:
        if positions[-1] == self.position + len(positions):
            self._follow(positions[-1])
            return
        for position in positions:
            if position != self.position + 1:
                self._gap(position)
            self._follow(position)

    def _follow(self, position: int) -> None:
        if not self._is_broken:
            self.unbroken = position
        self.position = position

    def _gap(self, position: int) -> None:
        first = self.position + 1
        self._unknown += position - first
        while first in self._unreadable:
            first += 1
        if first < position:
            self._findings.add(first, position - 1, FindingKind.MISSING, f"missing; the next event is at {position}")
        self._is_broken = True

    def _without_altered(self, events: Chunk, computed: Sequence[bytes | None]) -> tuple[Leaves, Chunk]:
        """The hashes, as far as they are any, and the other events."""
        stored = [leaf if isinstance(leaf, bytes) and len(leaf) == HASH_BYTES else _NO_HASH for leaf in events[14]]
        same = [found == leaf for found, leaf in zip(computed, stored, strict=True)]
        for position, is_same in zip(events[0], same, strict=True):
            if not is_same:
                message = "its leaf hash is of something else"
                self._findings.add(position, position, FindingKind.ALTERED, message)
        self._unknown += same.count(False)
        mended = [leaf if found is None else found for found, leaf in zip(computed, stored, strict=True)]
        others = [[value for value, kept in zip(column, same, strict=True) if kept] for column in events]
        return Leaves(stored, mended), others

    def _look_at_versions(
        self, positions: Sequence[int], categories: Sequence[str], ids: Sequence[bytes], versions: Sequence[int]
    ) -> None:
        known = self._versions
        for position, category, stream_id, version in zip(positions, categories, ids, versions, strict=True):
            of_category = known.get(category)
            if of_category is None:
                of_category = known[category] = {}
            expected = of_category.get(stream_id, 0) + 1
            if version != expected and not expected < version <= expected + self._unknown:
                message = f"version {version} of its stream, and {expected} would be the next"
                self._findings.add(position, position, FindingKind.VERSION, message)
            of_category[stream_id] = version

    def _look_at_clock(self, positions: Sequence[int], clocks: Sequence[int]) -> None:
        if clocks[0] < self._clock or any(later < earlier for earlier, later in pairwise(clocks)):
            before = self._clock
            for position, clock in zip(positions, clocks, strict=True):
                if clock < before:
                    message = "recorded before the event in front of it"
                    self._findings.add(position, position, FindingKind.CLOCK, message)
                before = clock
        self._clock = clocks[-1]


def _computed(events: Chunk) -> Sequence[bytes | None]:
    """The leaf hashes that the events ought to have; None: of what no event can be."""
    try:
        contents = map(content_hash, *events[1:4], *events[5:10], *events[11:14])
        return list(map(leaf_hash, contents, events[0], events[4], events[10]))
    except (TypeError, ValueError, AttributeError, struct.error):
        return list(map(_leaf_if_any, *events[:14]))


def _leaf_if_any(
    position: int, event_id: bytes, category: str, stream_id: bytes, version: int, type_name: str, schema_version: int,
    payload: bytes, occurred_at: int | None, received_at: int, recorded_at: int, actor: str,
    correlation_id: bytes | None, causation_id: bytes | None,
) -> bytes | None:  # fmt: skip
    """The leaf hash of columns that may hold what no event has, e.g. a number for a text."""
    try:
        content = content_hash(
            event_id, category, stream_id, type_name, schema_version, payload,
            occurred_at, received_at, actor, correlation_id, causation_id,
        )  # fmt: skip
        return leaf_hash(content, position, version, recorded_at)
    except (TypeError, ValueError, AttributeError, struct.error):
        return None

"""What an audit finds."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

FINDINGS = 100
"""Findings that are told one by one; of more, the first ones in the order of the log."""


class FindingKind(StrEnum):
    """What is wrong.

    - ALTERED: an event is not what its leaf hash says was appended there.
    - STRAY: an event is at a position in front of the first one, where none can be.
    - MISSING: there is no event at a position, and there are later ones.
    - TRUNCATED: the log ends before a checkpoint that was signed for more.
    - VERSION: a stream's versions are not 1, 2, 3, …
    - CLOCK: ``recorded_at`` runs backwards.
    - REWRITTEN: events and their hashes are consistent, but are not those that a checkpoint was signed for.
    - SUBTREE: a stored subtree is not over the events of the log, which are those that were signed for.
    - UNREADABLE: the database cannot read what it holds there.
    - CHECKPOINT: a checkpoint is no note, of an untrusted key, cannot be read, or its row says something else.
    """

    ALTERED = "ALTERED"
    STRAY = "STRAY"
    MISSING = "MISSING"
    TRUNCATED = "TRUNCATED"
    VERSION = "VERSION"
    CLOCK = "CLOCK"
    REWRITTEN = "REWRITTEN"
    SUBTREE = "SUBTREE"
    UNREADABLE = "UNREADABLE"
    CHECKPOINT = "CHECKPOINT"


class Finding(NamedTuple):
    """Something that is wrong, somewhere between two positions, both included.

    Attributes:
        first, last: positions; the same where one event is to blame, and 0 where it is no event.
    """

    first: int
    last: int
    kind: FindingKind
    message: str


class Audit(NamedTuple):
    """What an audit found.

    Attributes:
        events: how many were looked at, from the first one up to the head when it began.
        checkpoints: how many were compared, stored and exported ones; each size counts once for each place.
        sealed: the position up to which a trusted signature covers the log; 0: nothing is.
        findings: in the order of the log; empty: the log is what was appended. At most :data:`FINDINGS`.
        further: findings beyond those.
    """

    events: int
    checkpoints: int
    sealed: int
    findings: tuple[Finding, ...]
    further: int = 0

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Findings:
    """What was found so far. However much that is, little more than :data:`FINDINGS` of it is kept."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._further = 0

    def add(self, first: int, last: int, kind: FindingKind, message: str) -> None:
        """Something is wrong between two positions."""
        self._kept.append(Finding(first, last, kind, message))
        if len(self._kept) >= 2 * FINDINGS:
            self._leave_the_first()

    def told(self) -> tuple[tuple[Finding, ...], int]:
        """The first ones in the order of the log, and how many there are beyond."""
        self._leave_the_first()
        return tuple(self._kept), self._further

    def _leave_the_first(self) -> None:
        self._kept.sort(key=lambda finding: (finding.first, finding.last))
        self._further += max(0, len(self._kept) - FINDINGS)
        del self._kept[FINDINGS:]

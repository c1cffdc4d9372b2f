"""What proofs raise on purpose. No error holds a signing key.

::

    ByjyError
    ├── InvalidSigningKey    a key that signs or verifies notes is misspelt, missing, or open to others
    ├── InvalidNote          a text is no signed note, or no checkpoint
    ├── NotSigned            none of the keys that are trusted signed it, or one of them signed something else
    ├── ProofBroken          a proof does not prove what it is for       (names what does not fit)
    ├── HistoryChanged       the log is not what a checkpoint says that it was
    │   ├── LogAltered       it gives another root at the checkpoint's size  (names both roots)
    │   └── LogRolledBack    it ends before the checkpoint's size            (names both sizes)
    ├── ExportFailed         a checkpoint is stored, and some place did not take it
    ├── SealTimeout          a position was not sealed in time
    ├── UnknownEventId       the log has no event of this id
    └── NotCovered           no checkpoint covers a position yet         (names it, and the newest size)
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from uuid import UUID

from byjy_events.errors import ByjyError


class InvalidSigningKey(ByjyError):
    """A key that signs or verifies notes cannot be used.

    Attributes:
        source: where it came from, e.g. a file.
        reason: what is wrong with it.
    """

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class NoSigningKey(InvalidSigningKey):
    """There is no file with a signing key."""


class InvalidNote(ByjyError):
    """A text is no signed note, or its content is no checkpoint.

    Attributes:
        line: where, counted from 1; None: as a whole.
        reason: what is wrong.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        self.reason = reason
        self.line = line
        super().__init__(reason if line is None else f"line {line}: {reason}")


class NotSigned(ByjyError):
    """No trusted key signed the note, or a signature under the name of one is not of this text.

    Attributes:
        trusted: the keys that were trusted, by name and id.
        found: those that the note says it is signed by.
        forged: the one whose signature is not of this text; None: none of the trusted ones signed.
    """

    def __init__(self, trusted: Sequence[str], found: Sequence[str], forged: str | None = None) -> None:
        self.trusted = tuple(trusted)
        self.found = tuple(found)
        self.forged = forged
        if forged is not None:
            super().__init__(f"the signature of {forged} is not of this text: it was altered")
        else:
            super().__init__(f"signed by {', '.join(found)}, trusted is {', '.join(trusted) or 'nobody'}")


class ProofBroken(ByjyError):
    """A proof does not prove what it is for.

    Attributes:
        reason: what does not fit.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UnknownEventId(ByjyError):
    """The log has no event of this id.

    Attributes:
        event_id: the id.
    """

    def __init__(self, event_id: UUID) -> None:
        self.event_id = event_id
        super().__init__(f"the log has no event {event_id}")


class NotCovered(ByjyError):
    """No checkpoint covers a position yet.

    Attributes:
        position: what was to be covered.
        covered: how far the newest checkpoint, or the log, goes; 0: there is none.
    """

    def __init__(self, position: int, covered: int) -> None:
        self.position = position
        self.covered = covered
        super().__init__(f"position {position} is not sealed yet, only {covered} events are: byjy seal")


class HistoryChanged(ByjyError):
    """The log is not what a signed checkpoint says that it was. Nothing more is signed.

    Attributes:
        source: where the checkpoint lies, e.g. ``database`` or a file.
        size: of the checkpoint.
    """

    def __init__(self, source: str, size: int, sentence: str) -> None:
        self.source = source
        self.size = size
        super().__init__(f"{sentence} (checkpoint of size {size} in {source})")


class LogAltered(HistoryChanged):
    """The events up to a checkpoint's size give another root than the one that was signed.

    Attributes:
        signed_root: what the checkpoint says.
        found_root: what the log gives now.
    """

    def __init__(self, source: str, size: int, signed_root: bytes, found_root: bytes) -> None:
        self.signed_root = signed_root
        self.found_root = found_root
        signed, found = (base64.b64encode(root).decode() for root in (signed_root, found_root))
        super().__init__(source, size, f"the log was altered: signed is the root {signed}, the log gives {found}")


class LogRolledBack(HistoryChanged):
    """The log ends before the size of a checkpoint: events are gone, or the database is an older copy of itself.

    Attributes:
        head: where the log ends.
    """

    def __init__(self, source: str, size: int, head: int) -> None:
        self.head = head
        super().__init__(source, size, f"the log was rolled back: it ends at {head}, and was signed up to {size}")


class SealTimeout(ByjyError):
    """A position was not under a checkpoint in time. It may be later.

    Attributes:
        position: the one that was waited for.
        reached: the last one that was sealed.
        timeout_seconds: how long it was waited for.
    """

    def __init__(self, position: int, reached: int, timeout_seconds: float) -> None:
        self.position = position
        self.reached = reached
        self.timeout_seconds = timeout_seconds
        super().__init__(f"position {position} was not sealed within {timeout_seconds} s: sealed is {reached}")


class ExportFailed(ByjyError):
    """A checkpoint is signed and stored, and some places did not take it. It is tried again with the next one.

    Attributes:
        size: of the checkpoint.
        reasons: why, by the names of the places that failed.
    """

    def __init__(self, size: int, reasons: Mapping[str, str]) -> None:
        self.size = size
        self.reasons = dict(reasons)
        told = "; ".join(f"{place}: {reason}" for place, reason in self.reasons.items())
        super().__init__(f"checkpoint of size {size} not exported to {told}")

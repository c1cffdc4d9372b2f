"""What stands in the way of a copy.

::

    ByjyError
    └── CopyError              names the database that it is about
        ├── SameDatabase       source and target are one
        ├── NotAllowed         the role at the target has not the rights
        ├── TargetAhead        the target has more events than the source: the wrong direction?
        ├── TargetIsAnother    the target holds something that is not in the source
        ├── WrappedOtherwise   the two have a data key wrapped otherwise, and nothing tells which is newer
        ├── TargetInUse        somebody else writes to the target
        ├── LogDamaged         an event is missing, or is not what was appended
        └── CopyFailed         a database failed; what was copied stays, and the next copy goes on from there
"""

from __future__ import annotations

from uuid import UUID

from byjy_events.errors import ByjyError


class CopyError(ByjyError):
    """Something stands in the way of a copy.

    Attributes:
        database: the database at fault, as a URL without password.
    """

    def __init__(self, database: str, sentence: str) -> None:
        self.database = database
        super().__init__(f"{database}: {sentence}")


class SameDatabase(CopyError):
    """Source and target are one database, under whatever names. Nothing was written."""

    def __init__(self, database: str) -> None:
        super().__init__(database, "source and target are the same database")


class NotAllowed(CopyError):
    """The role may not write the tables of the target. Nothing was written.

    Attributes:
        role: who was asked to.
        table: a table that it may not write.
    """

    def __init__(self, database: str, role: str, table: str) -> None:
        self.role = role
        self.table = table
        super().__init__(database, f"role {role!r} may not write {table}; copy as the owner of the tables")


class TargetAhead(CopyError):
    """The target is a longer log than the source. Nothing was written.

    Attributes:
        head: events at the target.
        source_head: events at the source.
        is_continued: whether the target begins with the events of the source.
    """

    def __init__(self, database: str, head: int, source_head: int, *, is_continued: bool) -> None:
        self.head = head
        self.source_head = source_head
        self.is_continued = is_continued
        why = "it goes on where the source ends: is the direction right?" if is_continued else "it is another log"
        super().__init__(database, f"holds {head} events, and the source only {source_head}; {why}")


class TargetIsAnother(CopyError):
    """The target holds something that the source does not.

    Nothing was written, unless somebody else put it there while the copy went on.

    Attributes:
        found: what, e.g. ``another event at position 12``.
    """

    def __init__(self, database: str, found: str) -> None:
        self.found = found
        super().__init__(database, f"is neither empty nor a copy of the source: {found}")


class WrappedOtherwise(CopyError):
    """A data key is wrapped otherwise than in the source, and both logs end at the same event. Nothing was written.

    Keys were rotated at one of the two. Were it the target, because the two were mixed up, a copy would wrap them again
    under a key-encryption key that may be destroyed by now.

    Attributes:
        data_key_id: the first one.
        key_id: the key-encryption key that wraps it at the target.
        source_key_id: the one that does in the source.
        position: where both logs end.
    """

    def __init__(self, database: str, data_key_id: UUID, key_id: str, source_key_id: str, position: int) -> None:
        self.data_key_id = data_key_id
        self.key_id = key_id
        self.source_key_id = source_key_id
        self.position = position
        super().__init__(
            database,
            f"its data key {data_key_id} is wrapped by {key_id}, and in the source by {source_key_id}; both logs end at"
            f" {position}, so nothing tells which is newer: if the source is, copy with --replace-keys",
        )


class TargetInUse(CopyError):
    """Somebody else wrote to the target meanwhile. What was copied stays.

    Attributes:
        head: events that the target has now.
        expected: events that it was to have.
    """

    def __init__(self, database: str, head: int, expected: int) -> None:
        self.head = head
        self.expected = expected
        super().__init__(database, f"somebody else writes to it: it is at position {head}, the copy at {expected}")


class LogDamaged(CopyError):
    """An event is missing, or is not what was appended there. What lies before it is copied, it is not.

    Attributes:
        position: the first one at fault.
        reason: what is wrong there.
    """

    def __init__(self, database: str, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(database, f"position {position}: {reason}; byjy audit tells more")


class CopyFailed(CopyError):
    """A database failed, or refused data. What was copied stays, and the next copy goes on from there.

    Attributes:
        position: the last position that is copied for certain.
        cause: what the database said.
    """

    def __init__(self, database: str, position: int, cause: str) -> None:
        self.position = position
        self.cause = cause
        super().__init__(database, f"{cause}; copied up to position {position}, the same command goes on from there")

"""What is done to backups and schemas, to be killed at each point of it: how it begins, and when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from byjy_events.backup import State
from byjy_events.schema import SCHEMA_REVISION
from tests.backup_child import Work, creating, migrating, pruning, restoring, segmenting, verifying
from tests.backups import url
from tests.crash_backup.place import KEEP, LEFT, OLDEST, Place, head, revision


class Operation(NamedTuple):
    """One of them.

    Attributes:
        done: holds what it made against what it has to make.
        prunes: whether it may delete the backups that are old.
        migrates: whether it changes a schema.
    """

    work: Callable[[Place], Work]
    done: Callable[[Place], None]
    prunes: bool = False
    migrates: bool = False


def created(place: Place) -> None:
    """The newest backup is of the database as it is."""
    newest = place.backups.list()[0]
    assert (newest.state, newest.known().facts.head) == (State.VERIFIED, head(place.database))
    assert not place.leftovers()


def verified(place: Place) -> None:
    """The newest one was looked at."""
    newest = place.backups.list()[0]
    assert newest.state is State.VERIFIED
    assert newest.known().check != newest.known().thorough_check
    assert newest.known().check is not None


def segmented(place: Place) -> None:
    """What came since the newest backup is restored with it."""
    assert restorable_head(place) == place.head


def restorable_head(place: Place) -> int:
    """As far as the backups and segments lead."""
    target = place.root / "seen.db"
    asyncio.run(restoring(place.folder, "latest", target)())
    try:
        return head(target)
    finally:
        target.unlink()


def pruned(place: Place) -> None:
    """Nothing is left of those that are old."""
    assert [one.name for one in place.backups.list() if one.state is State.VERIFIED] == list(place.good)[:LEFT]
    assert restorable_head(place) == place.restored_head


def restored(place: Place) -> None:
    """Beside the database, which stays."""
    assert head(place.root / "new.db") == place.restored_head
    assert head(place.database) == place.head
    assert not place.leftovers()


def replaced(place: Place) -> None:
    """In the place of the database, which is kept beside."""
    assert head(place.database) == place.restored_head
    kept = [path for path in place.root.glob("log.db.before-*") if not path.name.endswith(("-wal", "-shm"))]
    assert place.head in [head(path) for path in kept]
    assert not place.leftovers()


def upgraded(place: Place) -> None:
    """With every row, and a backup."""
    assert (revision(place.older), head(place.older)) == (SCHEMA_REVISION, place.head)
    assert list(place.root.glob("older.db.before-*.db"))
    assert not place.leftovers()


def downgraded(place: Place) -> None:
    """The same on the way down."""
    assert (revision(place.database), head(place.database)) == (OLDEST, place.head)
    assert list(place.root.glob("log.db.before-*.db"))
    assert not place.leftovers()


OPERATIONS: dict[str, Operation] = {
    "create": Operation(lambda place: creating(url(place.database), place.folder), created),
    "verify": Operation(lambda place: verifying(place.folder, next(iter(place.good))), verified),
    "segments": Operation(lambda place: segmenting(url(place.database), place.folder), segmented),
    "prune": Operation(lambda place: pruning(place.folder, KEEP), pruned, prunes=True),
    "restore": Operation(lambda place: restoring(place.folder, "latest", place.root / "new.db"), restored),
    "replace": Operation(lambda place: restoring(place.folder, "latest", place.database), replaced),
    "upgrade": Operation(lambda place: migrating(url(place.older), "head"), upgraded, migrates=True),
    "downgrade": Operation(lambda place: migrating(url(place.database), OLDEST), downgraded, migrates=True),
}
"""By name."""

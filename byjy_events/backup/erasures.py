"""What was erased since a backup was made: the newest backup knows it, and the segments behind that one do.

Whatever is restored, to whichever point, these data keys are erased in it before it takes its name. So segments count
here that count for nothing else: of a history that was given up, or behind a break.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from byjy_events.backup import segment_folder
from byjy_events.backup.errors import BackupDamaged
from byjy_events.backup.folder import Backup
from byjy_events.backup.segment_folder import Segments
from byjy_events.backup.target import Target

Erased = dict[bytes, int]
"""When data keys were erased, nanoseconds UTC."""

_ERASED = "SELECT id, erased_at FROM key_store WHERE erased_at IS NOT NULL"


def erased_in(connection: sqlite3.Connection) -> Erased:
    """The data keys that a database knows to be erased; none if it has no key store.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    has_keys = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'key_store'").fetchone()
    return dict(connection.execute(_ERASED).fetchall()) if has_keys else {}


def erased_since(
    base: Backup,
    backups: Sequence[Backup],
    asked: Callable[[Backup], Erased],
    target: Target,
    listed: Segments,
    read: set[str],
) -> tuple[Erased, list[str]]:
    """What is known of it, and what could not be asked.

    Args:
        backups: the newest first.
        asked: what a backup knows.
        read: names of files of segments that somebody else has asked.

    Raises:
        FolderUnusable: the target cannot be read.
    """
    erased: Erased = {}
    notes: list[str] = []
    behind = base
    for one in backups:
        if one.known().sequence <= base.known().sequence:
            break
        try:
            erased, behind = asked(one), one
            break
        except (BackupDamaged, sqlite3.Error) as error:
            notes.append(f"{one.name} was not asked what was erased: {error}")
    since = behind.known().segment
    damages = [one for one in listed.missing if one.last > since]
    for file in listed.files:
        if file.last > since and file.name not in read:
            found, damage = segment_folder.read(target, file)
            erased.update(pair for one in found for pair in one.head.erased)
            damages += [] if damage is None else [damage]
    return erased, notes + [f"{one}: what was erased by then is not known from it" for one in damages]

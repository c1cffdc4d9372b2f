"""What the next backup of a PostgreSQL log goes on from: the newest verified one, unpacked.

A long log takes long to be read from a server, and all but its end was read for the backup before. What is unpacked has
both SHA-256 of its manifest; the copy that goes on holds its last event, its data keys, and in the end the root of its
tree against the server's. An event that was altered on the server since is not noticed that way: therefore a thorough
backup goes on from nothing, and reads everything.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from byjy_events.backup.checking import unpack
from byjy_events.backup.folder import Backup, BackupFolder, State
from byjy_events.backup.manifest import Kind
from byjy_events.database import SQLITE_PRAGMAS
from byjy_events.schema import SCHEMA_REVISION


def lay(folder: BackupFolder, target: Path, stop: threading.Event) -> bool:
    """Unpack it into a new file; without system logs, since those that were pruned are not to come back.

    Returns:
        False: no backup will do, and there is no file.

    Raises:
        OSError: the file cannot be written.
        FolderUnusable: the backup cannot be read.
        Stopped: asked to.
    """
    base = next(filter(_will_do, folder.backups()), None)
    if base is None:
        return False
    with folder.data(base) as packed:
        damaged = unpack(packed, base.known(), target, stop)
    if damaged:  # since it was verified; the next verification says so
        target.unlink()
        return False
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as connection:
        for statement in (*SQLITE_PRAGMAS, "DELETE FROM system_logs"):
            connection.execute(statement)
    return True


def _will_do(backup: Backup) -> bool:
    if backup.state is not State.VERIFIED:
        return False
    manifest = backup.known()
    return manifest.origin is Kind.POSTGRESQL and manifest.facts.revision == SCHEMA_REVISION

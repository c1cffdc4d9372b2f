"""What can go wrong with backups.

::

    ByjyError
    └── BackupError
        ├── NotSqlite            the database is none that is backed up this way
        ├── BackupFailed         no backup was made; what there was before is untouched
        ├── SpaceShort           not enough free space; nothing was begun
        ├── FolderUnusable       the folder cannot be read or written
        ├── FolderBusy           another process is at work in it
        ├── FolderOfAnother      it holds backups of another log
        ├── NoSuchBackup         there is none of that name
        ├── BackupDamaged        what was restored is not what was backed up; it was thrown away
        ├── TargetExists         a file is in the way, and nobody said that it may be replaced
        └── TargetInUse          a process has the database open that is to be replaced
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from byjy_events.errors import ByjyError


class BackupError(ByjyError):
    """The root of what backups raise."""


class NotSqlite(BackupError):
    """The database is none that is backed up this way.

    Attributes:
        database: its URL without password.
    """

    def __init__(self, database: str) -> None:
        self.database = database
        super().__init__(
            f"{database}: byjy backup is for SQLite; a PostgreSQL server is backed up by pgBackRest or Barman,"
            " and byjy copy takes its log into a SQLite file"
        )


class BackupFailed(BackupError):
    """No backup was made. What was begun is thrown away, and backups made before are untouched.

    Attributes:
        database: the file that was to be backed up.
        reason: what went wrong.
    """

    def __init__(self, database: Path, reason: str) -> None:
        self.database = database
        self.reason = reason
        super().__init__(f"{database} was not backed up: {reason}")


class SpaceShort(BackupError):
    """Not enough free space. Nothing was begun.

    Attributes:
        folder: where it is short.
        needed, free: bytes.
    """

    def __init__(self, folder: Path, needed: int, free: int) -> None:
        self.folder = folder
        self.needed = needed
        self.free = free
        super().__init__(f"{folder}: {needed} bytes are needed and {free} are free")


class FolderUnusable(BackupError):
    """The folder of the backups cannot be read or written.

    Attributes:
        folder: of the backups.
        reason: what the system says.
    """

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(f"{folder}: {reason}")


class FolderBusy(BackupError):
    """Another process is at work in the folder.

    Attributes:
        folder: of the backups.
        work: what it does.
    """

    def __init__(self, folder: Path, work: str) -> None:
        self.folder = folder
        self.work = work
        super().__init__(f"{folder}: another process {work} there")


class FolderOfAnother(BackupError):
    """The folder holds backups of another log: each log wants a folder of its own.

    Attributes:
        folder: of the backups.
        name: of the newest backup there.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        super().__init__(f"{folder} holds backups of another log, such as {name}: choose another folder")


class NoSuchBackup(BackupError):
    """There is no backup of that name, or nothing that counts as one.

    Attributes:
        folder: of the backups.
        name: that was asked for.
        reason: why it does not count; empty: it is not there.
    """

    def __init__(self, folder: Path, name: str, reason: str = "") -> None:
        self.folder = folder
        self.name = name
        self.reason = reason
        super().__init__(f"{folder}: {name}: {reason or 'no such backup'}")


class BackupDamaged(BackupError):
    """What was restored is not what was backed up. It was thrown away, and the target is as it was.

    Attributes:
        name: of the backup.
        problems: all that is wrong.
    """

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.name = name
        self.problems = tuple(problems)
        super().__init__(f"{name} cannot be trusted: {'; '.join(problems)}")


class TargetExists(BackupError):
    """A database is there, and nobody said that it may be replaced.

    Attributes:
        path: of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} exists; --replace puts the backup in its place and keeps it beside")


class TargetInUse(BackupError):
    """A process has the database open that is to be replaced, or is restoring it.

    Attributes:
        path: of it.
        reason: how that is known.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}; stop whatever works with it")

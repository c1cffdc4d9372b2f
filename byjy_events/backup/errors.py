"""What can go wrong with backups.

::

    ByjyError
    └── BackupError
        ├── BackupFailed         no backup was made; what there was before is untouched
        ├── SpaceShort           not enough free space; nothing was begun
        ├── FolderUnusable       the folder cannot be read or written
        ├── FolderBusy           another process is at work in it
        ├── FolderOfAnother      it holds backups of another log
        ├── NoSuchBackup         there is none of that name
        ├── NothingToBuildOn     segments need a backup, and there is none that the log goes on from
        ├── PointUnknown         nothing that is kept goes as far as the point that was asked for
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


class BackupFailed(BackupError):
    """No backup was made. What was begun is thrown away, and backups made before are untouched.

    Attributes:
        database: what was to be backed up: a file, or a URL without password.
        reason: what went wrong.
    """

    def __init__(self, database: str, reason: str) -> None:
        self.database = database
        self.reason = reason
        super().__init__(f"{database} was not backed up: {reason}")


class SpaceShort(BackupError):
    """Not enough free space. Nothing was begun.

    Attributes:
        folder: where it is short: that of the backups, or the one where they are made or restored.
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
        folder: of the backups, or the one where they are made or restored; a URL is without whatever gives access.
        reason: what the system says.
    """

    def __init__(self, folder: Path | str, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(f"{folder}: {reason}")


class FolderBusy(BackupError):
    """Another process is at work in the folder.

    Attributes:
        folder: of the backups.
        work: what it does.
    """

    def __init__(self, folder: Path | str, work: str) -> None:
        self.folder = folder
        self.work = work
        super().__init__(f"{folder}: another process {work} there")


class FolderOfAnother(BackupError):
    """The folder holds backups of another log: each log wants a folder of its own.

    Attributes:
        folder: of the backups.
        name: of the newest backup there.
    """

    def __init__(self, folder: Path | str, name: str) -> None:
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

    def __init__(self, folder: Path | str, name: str, reason: str = "") -> None:
        self.folder = folder
        self.name = name
        self.reason = reason
        super().__init__(f"{folder}: {name}: {reason or 'no such backup'}")


class NothingToBuildOn(BackupError):
    """Segments say what happened since a backup, and there is none that the log goes on from. Nothing was written.

    Attributes:
        folder: of the backups.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = folder
        super().__init__(f"{folder} holds no backup that this log goes on from: segments begin once one is made")


class PointUnknown(BackupError):
    """Nothing that is kept goes as far as the position that was asked for. Nothing was restored.

    Attributes:
        folder: of the backups.
        position: that was asked for.
        known: the last one that could be restored.
    """

    def __init__(self, folder: Path | str, position: int, known: int) -> None:
        self.folder = folder
        self.position = position
        self.known = known
        super().__init__(f"{folder}: position {position} is not known, the last one is {known}")


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

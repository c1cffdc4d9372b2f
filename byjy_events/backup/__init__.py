"""Backups of SQLite databases: made while the engine writes, verified by restoring them, restored without loss."""

from byjy_events.backup.backups import Backups, Pruned
from byjy_events.backup.checking import TablesCheck
from byjy_events.backup.errors import (
    BackupDamaged,
    BackupError,
    BackupFailed,
    FolderBusy,
    FolderOfAnother,
    FolderUnusable,
    NoSuchBackup,
    NotSqlite,
    SpaceShort,
    TargetExists,
    TargetInUse,
)
from byjy_events.backup.folder import LATEST, Backup, State
from byjy_events.backup.manifest import Check, Content, Facts, Manifest
from byjy_events.backup.restoring import Restored, restore
from byjy_events.backup.scheduler import Scheduler

__all__ = [
    "LATEST",
    "Backup",
    "BackupDamaged",
    "BackupError",
    "BackupFailed",
    "Backups",
    "Check",
    "Content",
    "Facts",
    "FolderBusy",
    "FolderOfAnother",
    "FolderUnusable",
    "Manifest",
    "NoSuchBackup",
    "NotSqlite",
    "Pruned",
    "Restored",
    "Scheduler",
    "SpaceShort",
    "State",
    "TablesCheck",
    "TargetExists",
    "TargetInUse",
    "restore",
]

"""Backups: made while the engine writes, verified by restoring them, restored without loss."""

from byjy_events.backup.backups import Backups, Pruned
from byjy_events.backup.checking import TablesCheck
from byjy_events.backup.database_restore import DatabaseRestored, restore_database
from byjy_events.backup.errors import (
    BackupDamaged,
    BackupError,
    BackupFailed,
    FolderBusy,
    FolderOfAnother,
    FolderUnusable,
    NoSuchBackup,
    NothingToBuildOn,
    PointUnknown,
    SpaceShort,
    TargetExists,
    TargetInUse,
)
from byjy_events.backup.folder import LATEST, Backup, State
from byjy_events.backup.fsspec_target import FsspecTarget
from byjy_events.backup.manifest import Check, Content, Facts, Kind, Manifest
from byjy_events.backup.point import LATEST_POINT, Point
from byjy_events.backup.restoring import Restored, restore
from byjy_events.backup.scheduler import Scheduler
from byjy_events.backup.segment_report import Reach
from byjy_events.backup.segments import Segments

__all__ = [
    "LATEST",
    "LATEST_POINT",
    "Backup",
    "BackupDamaged",
    "BackupError",
    "BackupFailed",
    "Backups",
    "Check",
    "Content",
    "DatabaseRestored",
    "Facts",
    "FolderBusy",
    "FolderOfAnother",
    "FolderUnusable",
    "FsspecTarget",
    "Kind",
    "Manifest",
    "NoSuchBackup",
    "NothingToBuildOn",
    "Point",
    "PointUnknown",
    "Pruned",
    "Reach",
    "Restored",
    "Scheduler",
    "Segments",
    "SpaceShort",
    "State",
    "TablesCheck",
    "TargetExists",
    "TargetInUse",
    "restore",
    "restore_database",
]

"""Copies of a log in another database: byte for byte, resumable, checked at every step.

What is copied: events, stored subtrees, checkpoints, wrapped data keys and system logs. What is not: tables of
projections, which are replayed at the target, and heartbeats, which are signs of life of what runs.
"""

from byjy_events.copying.copier import Copied, copy_log
from byjy_events.copying.errors import (
    CopyError,
    CopyFailed,
    LogDamaged,
    NotAllowed,
    SameDatabase,
    TargetAhead,
    TargetInUse,
    TargetIsAnother,
    WrappedOtherwise,
)
from byjy_events.copying.tables import TableCopied

__all__ = [
    "Copied",
    "CopyError",
    "CopyFailed",
    "LogDamaged",
    "NotAllowed",
    "SameDatabase",
    "TableCopied",
    "TargetAhead",
    "TargetInUse",
    "TargetIsAnother",
    "WrappedOtherwise",
    "copy_log",
]

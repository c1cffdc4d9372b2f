"""How far the segments of a folder reach, and whether they follow upon each other."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from typing import NamedTuple

from byjy_events.backup import segment_folder
from byjy_events.backup.compressed import Stopped
from byjy_events.backup.folder import Backup, BackupFolder, State
from byjy_events.backup.segment import Damaged, Head, Segment
from byjy_events.backup.segment_folder import Damage
from byjy_events.backup.segment_path import followed
from byjy_events.chunk import refuse_altered, refuse_gap
from byjy_events.errors import CorruptLog


class Reach(NamedTuple):
    """How far segments reach.

    Attributes:
        last: of the newest one; None: it cannot be read.
        problems: what is missing or damaged.
    """

    last: Head | None
    problems: list[str]


def reach(folder: BackupFolder) -> Reach | None:
    """What the names say, and the newest segment; None: there are no segments.

    Raises:
        FolderUnusable: the folder cannot be read.
    """
    listed = segment_folder.listed(folder.target)
    if not listed.files:
        return None
    problems = [str(one) for one in listed.missing]
    found, damage = segment_folder.read(folder.target, listed.files[-1])
    if damage is not None:
        problems.append(str(damage))
    return Reach(found[-1].head if found else None, problems)


def checked(folder: BackupFolder, since: int, stop: threading.Event) -> Reach | None:
    """Read all segments that were written since the log ended at a position, and check each event.

    None: there are none.

    Raises:
        FolderUnusable: the folder cannot be read.
        Stopped: asked to.
    """
    files = segment_folder.listed(folder.target).since(since)
    if not files:
        return None
    path = followed(folder.target, files, _log_id(folder))
    problems = [str(one) for one in path.damages] + list(path.gaps())
    counted = {link.digest for link in path.links}
    for file in files:
        for one in segment_folder.read(folder.target, file)[0]:
            if stop.is_set():
                raise Stopped
            reason = _wrong_in(one) if one.digest in counted else None
            if reason is not None:
                problems.append(str(Damage(one.head.number, one.head.number, reason, file.name)))
    return Reach(path.links[-1].head if path.links else None, problems)


def unneeded(folder: BackupFolder, going: Sequence[Backup]) -> list[str]:
    """The files that no backup needs which stays when some go: written before the oldest good one; of none, no file.

    Raises:
        FolderUnusable: the folder cannot be read.
    """
    staying = [one for one in folder.backups() if one not in going]
    heads = [one.known().facts.head for one in staying if one.state in (State.VERIFIED, State.UNVERIFIED)]
    listed = segment_folder.listed(folder.target)
    return [one.name for one in segment_folder.unneeded(listed, min(heads))] if heads else []


def _log_id(folder: BackupFolder) -> bytes | None:
    for one in folder.backups():
        if one.state is not State.INCOMPLETE and one.known().facts.log_id is not None:
            return bytes.fromhex(one.known().facts.log_id or "")
    return None


def _wrong_in(one: Segment) -> str | None:
    try:
        events = one.body().events
        if events:
            refuse_gap(one.head.after, events)
            refuse_altered(events)
    except (Damaged, CorruptLog, TypeError, ValueError, AttributeError, IndexError, struct.error) as error:
        return str(error)
    return None

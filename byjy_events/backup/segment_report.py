"""How far the segments of a folder reach, and whether they follow upon each other."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from byjy_events.backup import segment_folder
from byjy_events.backup.compressed import Stopped
from byjy_events.backup.folder import Backup, BackupFolder, State
from byjy_events.backup.segment import Damaged, Head, Segment
from byjy_events.backup.segment_folder import Damage, Segments
from byjy_events.backup.segment_path import followed
from byjy_events.chunk import refuse_altered, refuse_gap
from byjy_events.errors import CorruptLog
from byjy_events.query import COLUMNS

LOOKS = 10
"""So often at the most it is looked again, for a store whose lists are late."""

_COLUMNS = COLUMNS.split(", ")
_GOOD = (State.VERIFIED, State.UNVERIFIED)


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
    return _settled(folder, lambda listed: _reach(folder, listed))


def checked(folder: BackupFolder, since: int, stop: threading.Event, *, number: int | None = None) -> Reach | None:
    """Read all segments that were written since a backup was begun, and check each event.

    None: there are none.

    Args:
        since, number: position and number, as for :meth:`byjy_events.backup.segment_folder.Segments.since`.

    Raises:
        FolderUnusable: the folder cannot be read.
        Stopped: asked to.
    """
    return _settled(folder, lambda listed: _checked(folder, listed, since, number, stop))


def _settled(folder: BackupFolder, look: Callable[[Segments], Reach | None]) -> Reach | None:
    """Of files that their writer puts together while they are read, some are gone: so it is looked again."""
    for _ in range(LOOKS):
        listed = segment_folder.listed(folder.target)
        found = look(listed)
        if found is None or not found.problems or not segment_folder.has_changed(folder.target, listed):
            break
    return found


def _reach(folder: BackupFolder, listed: Segments) -> Reach | None:
    if not listed.files:
        return None
    problems = [str(one) for one in listed.missing]
    found, damage = segment_folder.read(folder.target, listed.files[-1])
    if damage is not None:
        problems.append(str(damage))
    return Reach(found[-1].head if found else None, problems)


def _checked(
    folder: BackupFolder, listed: Segments, since: int, number: int | None, stop: threading.Event
) -> Reach | None:
    files = listed.since(since, number)
    if not files:
        return None
    path = followed(folder.target, files, _log_id(folder), since, number or 0)
    damages, gaps = list(path.damages), list(path.gaps())
    counted = {link.digest for link in path.links}
    for file in files:
        found, damage = segment_folder.read(folder.target, file)
        if damage is not None and damage not in damages:  # since it was followed
            damages.append(damage)
        for one in found:
            if stop.is_set():
                raise Stopped
            reason = _wrong_in(one) if one.digest in counted else None
            if reason is not None:
                damages.append(Damage(one.head.number, one.head.number, reason, file.name))
    return Reach(path.links[-1].head if path.links else None, [*map(str, damages), *gaps])


def unneeded(folder: BackupFolder, going: Sequence[Backup]) -> list[str]:
    """The files that no backup needs which stays when some go: written before the oldest good one; of none, no file.

    Raises:
        FolderUnusable: the folder cannot be read.
    """
    staying = [one.known() for one in folder.backups() if one not in going and one.state in _GOOD]
    listed = segment_folder.listed(folder.target)
    return [one.name for one in segment_folder.unneeded(listed, ((one.facts.head, one.segment) for one in staying))]


def _log_id(folder: BackupFolder) -> bytes | None:
    for one in folder.backups():
        if one.state is not State.INCOMPLETE and one.known().facts.log_id is not None:
            return bytes.fromhex(one.known().facts.log_id or "")
    return None


def _wrong_in(one: Segment) -> str | None:
    head = one.head
    try:
        body = one.body()
        if head.upto > head.after:
            if list(body.columns) != _COLUMNS:
                return "its events have other columns"
            refuse_gap(head.after, body.events)
            refuse_altered(body.events)
            if (body.events[0][-1], body.events[-1][-1]) != (head.upto, head.upto_leaf):
                return "its events are not those that it says"
    except (Damaged, CorruptLog, TypeError, ValueError, AttributeError, IndexError, struct.error) as error:
        return str(error)
    return None

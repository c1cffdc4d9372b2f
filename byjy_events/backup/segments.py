"""Segments written every few seconds, so that losing the disk loses seconds of a log, and not what came since a backup.

They are one chain: each names the SHA-256 of the one before, and begins with the event behind it. A writer that starts
goes on from the newest segment that the chain leads to and whose last event the log has at that place; it writes down
all data keys once more, since what changed while nobody looked cannot be known. A log that was restored to an earlier
point and went on from there has other events behind it, so the chain goes on from before that point; a segment says so
at once, even one without anything in it. Where there is none to go on from, or only one that ends long before the
newest backup does, the chain begins anew behind that backup, and the log says so.

Data keys are read after the head and written before the events, so whatever part of a chain is there, the keys of its
events are, too. Subtrees and checkpoints are written with the last of the events that they are over: a log that is
restored to an earlier point may go on with others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import structlog

from byjy_events.backup import segment_folder
from byjy_events.backup.errors import FolderOfAnother, NothingToBuildOn
from byjy_events.backup.folder import Backup, BackupFolder, State
from byjy_events.backup.segment import FORMAT, Body, Head, Rows, Segment, sealed
from byjy_events.backup.segment_folder import LOOSE_FILES
from byjy_events.backup.segment_path import Link, Path, followed
from byjy_events.backup.segment_source import Known, Look, Place, Source, first_place, leaf_at, rows_of
from byjy_events.backup.target import FolderLike
from byjy_events.backup.threads import in_thread
from byjy_events.backup.workplace import SEGMENTS_LOCK
from byjy_events.chunk import Chunk, positions, refuse_altered, refuse_gap
from byjy_events.errors import CorruptLog
from byjy_events.log import EventLog
from byjy_events.query import COLUMNS, Query

SEGMENTS_EVERY = timedelta(seconds=5)
CHUNK_EVENTS = 2_000
"""Events of one segment."""

MOST_KEYS = 5_000
"""Data keys of one segment."""

CATCH_UP_EVENTS = 1_000_000
"""As many are written down that happened while nobody did; of more, the newest backup is relied on."""

LOGS_OVERLAP_NS = 86_400 * 10**9
"""System logs that are older than a backup by that much are in it, even if its clock was wrong by a day."""

_COLUMNS = COLUMNS.split(", ")
_LEAF, _RECORDED_AT = _COLUMNS.index("leaf_hash"), _COLUMNS.index("recorded_at")

_log = structlog.get_logger("byjy_events")


class End(NamedTuple):
    """Where the chain ends.

    Attributes:
        digest: of its last segment; empty: it begins here.
        position, leaf: of the last event.
    """

    number: int
    digest: bytes
    position: int
    leaf: bytes | None
    recorded_at: int | None
    place: Place


class Segments:
    """Writes what happens to a log into a folder that holds backups of it, until somebody ends it.

    In an engine::

        async with EventLog.open(url) as log:
            writing = asyncio.create_task(Segments(log, "/mnt/backup/byjy/trading").run())

    Appends wait for none of it. The folder has to hold a backup of the log before the first segment is written.

    Args:
        log: nothing is written there, so it may be open to be read only.
        every: how often it is looked whether there is anything new; where there is not, nothing is written.
        clock: nanoseconds UTC.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        log: EventLog,
        folder: FolderLike,
        *,
        every: timedelta = SEGMENTS_EVERY,
        clock: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._folder = BackupFolder(folder)
        self._target = self._folder.target
        self._every, self._clock, self._sleep = every, clock, sleep
        self._source: Source | None = None
        self._end: End | None = None
        self._written: bytes = b""
        self._known: Known = {}
        self._newest_backup = self._left_backup = self._last_known = 0
        self._is_back = False
        self._loose = 0
        self._failed = ""

    async def run(self) -> None:
        """Go on until it is cancelled. What fails is logged as an error, ``segments_failed``, and tried again.

        Raises:
            FolderBusy: another process writes segments there.
            FolderUnusable: it cannot be written.
        """
        try:
            async with self._target.workplace.locked(SEGMENTS_LOCK, patience_seconds=0):
                while True:
                    began = time.monotonic()
                    await self._turn_or_said()
                    await self._sleep(max(0.01, self._every.total_seconds() - (time.monotonic() - began)))
        finally:
            if self._source is not None:
                await self._source.close()

    async def turn(self) -> int:
        """Write down what is new; the answer is how many segments that took. For one caller at a time.

        Raises:
            FolderOfAnother: it holds segments or backups of another log.
            NothingToBuildOn: there is no backup that the log goes on from.
            FolderUnusable, LogUnavailable, CorruptLog: what was not written is by the next turn.
        """
        if self._source is None:
            self._source = Source(self._log)
        try:
            if self._end is not None and not await self._source.changed():
                return 0
            return await self._written_down(self._source)
        except BaseException:
            self._source.forget()
            self._end = None  # whether the last one was written is seen when the folder is looked at
            raise

    async def _turn_or_said(self) -> None:
        try:
            await self.turn()
            self._failed = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            said = f"{type(error).__name__}: {getattr(error, 'orig', None) or error}".partition("\n")[0]
            if said != self._failed:  # once, and not every few seconds
                _log.error("segments_failed", folder=str(self._target.where), cause=said)
            self._failed = said

    async def _written_down(self, source: Source) -> int:
        end = self._end if self._end is not None else await self._resumed()
        count, more = 0, True
        while more:
            look = await source.look(end.position, end.place, self._known)
            if look.leaf != end.leaf:  # another log, or an earlier state of it, has taken its place
                source.forget()
                end = await self._resumed()
                continue
            end, written = await self._added(source, end, look)
            count, more = count + written, look.more
        self._end = end
        if self._loose >= LOOSE_FILES:
            await in_thread(lambda _: segment_folder.put_together(self._target, segment_folder.listed(self._target)))
            self._loose = 0
        return count

    async def _added(self, source: Source, end: End, look: Look) -> tuple[End, int]:
        """Write segments of what was found: keys first, the last of them with the first events; the tree at the end."""
        before, ids = end.number, list(look.known)
        while len(ids) > MOST_KEYS:
            end = await self._write(end, look, [], await source.keys(ids[:MOST_KEYS]), end.place)
            del ids[:MOST_KEYS]
        tables = await source.keys(ids)
        while end.position < look.head or rows_of(tables) or end.place != look.place or self._is_back:
            chunk = await self._chunk(end.position, look.head)
            is_last = end.position + len(chunk[0] if chunk else ()) == look.head
            place = look.place if is_last else end.place
            end = await self._write(end, look, chunk, tables | look.tables if is_last else tables, place)
            tables, self._is_back = {}, False
        self._known.update(look.known)
        return end, end.number - before

    async def _chunk(self, after: int, upto: int) -> Chunk:
        if after == upto:
            return []
        chunk = await self._log.backend.fetch(Query(after=after, upto=upto), CHUNK_EVENTS)
        if not chunk:
            raise CorruptLog(after + 1, "missing")
        refuse_gap(after, chunk)
        return chunk

    async def _write(self, end: End, look: Look, chunk: Chunk, tables: dict[str, Rows], place: Place) -> End:
        def written(_: object) -> End:
            refuse_altered(chunk)
            one = self._segment(end, look, chunk, tables, place)
            self._written = one.digest
            segment_folder.write(self._target, [one])
            return _end_of(one.head, one.digest)

        self._loose += 1
        return await in_thread(written)

    def _segment(self, end: End, look: Look, chunk: Chunk, tables: dict[str, Rows], place: Place) -> Segment:
        head = Head(
            FORMAT,
            look.log_id,
            end.number + 1,
            end.digest,
            self._clock(),
            self._every.total_seconds(),
            self._newest_backup,
            end.position,
            end.leaf,
            positions(chunk)[-1] if chunk else end.position,
            chunk[_LEAF][-1] if chunk else end.leaf,
            chunk[_RECORDED_AT][-1] if chunk else end.recorded_at,
            look.head,
            place.last_log,
            place.tree,
            _erased(tables),
        )
        return sealed(head, Body(_COLUMNS, list(chunk), tables))

    # --- where to go on -------------------------------------------------------------------------------

    async def _resumed(self) -> End:
        backup = await self._backup()
        listed = await in_thread(lambda _: segment_folder.listed(self._target))
        await in_thread(lambda _: segment_folder.sweep(self._target, listed))
        self._loose = sum(one.first == one.last for one in listed.files)
        path = await self._path(listed, backup)
        link = await self._newest_of_this_log(path)
        is_last = link is (path.links[-1] if path.links else None)
        self._is_back = not is_last or self._left_backup > (0 if link is None else link.head.backup)
        if link is None or link.digest != self._written:
            self._known = {}
        number = max(listed.last, self._last_known)  # also if somebody deleted them all: backups know it
        if link is not None and await self._is_near(link.head, backup):
            return _end_of(link.head, link.digest)._replace(number=number)
        end = await self._behind(backup, number)
        if listed.files:
            upto = None if link is None else link.head.upto
            _log.warning("segments_begin_anew", backup=backup.name, position=end.position, earlier_upto=upto)
        return end

    async def _path(self, listed: segment_folder.Segments, backup: Backup) -> Path:
        """What counts behind a backup."""
        manifest = backup.known()
        head, number, log_id = manifest.facts.head, manifest.segment, _bytes(manifest.facts.log_id)
        files = listed.since(head, number)
        path = await in_thread(lambda _: followed(self._target, files, log_id, head, number))
        for damage in path.open_damages:
            _log.error("segment_damaged", folder=str(self._target.where), damage=str(damage))
        return path

    async def _newest_of_this_log(self, path: Path) -> Link | None:
        """The newest segment that the log goes on from."""
        for link in reversed(path.links):
            if await self._has(link.upto, link.head.upto_leaf):
                return link
        return None

    async def _backup(self) -> Backup:
        """The newest backup that did not fail, and that the log goes on from.

        Raises:
            FolderOfAnother, NothingToBuildOn: there is none.
        """
        log_id = await leaf_at(self._log, 1)
        backups = await in_thread(lambda _: self._folder.backups())
        known = [one.manifest for one in backups if one.manifest is not None]
        self._newest_backup = max((one.sequence for one in known), default=0)
        self._last_known = max((one.segment for one in known), default=0)
        self._left_backup = 0
        for one in backups:
            if one.state not in (State.VERIFIED, State.UNVERIFIED):
                continue
            facts = one.known().facts
            if facts.log_id is not None and _bytes(facts.log_id) != log_id:
                raise FolderOfAnother(self._target.where, one.name)
            if await self._has(facts.head, _bytes(facts.head_leaf)):
                return one
            self._left_backup = max(self._left_backup, one.known().sequence)
        raise NothingToBuildOn(self._target.where)

    async def _is_near(self, head: Head, backup: Backup) -> bool:
        if head.upto >= backup.known().facts.head:
            return True
        return await self._log.head() - head.upto <= CATCH_UP_EVENTS

    async def _has(self, position: int, leaf: bytes | None) -> bool:
        return position == 0 or await leaf_at(self._log, position) == leaf

    async def _behind(self, backup: Backup, number: int) -> End:
        manifest = backup.known()
        facts = manifest.facts
        place = first_place(_sealed_size(facts.checkpoint), manifest.created_at - LOGS_OVERLAP_NS)
        chunk: Any = (
            await self._log.backend.fetch(Query(after=facts.head - 1, upto=facts.head), 1) if facts.head else []
        )
        return End(number, b"", facts.head, _bytes(facts.head_leaf), chunk[_RECORDED_AT][0] if chunk else None, place)


def _end_of(head: Head, digest: bytes) -> End:
    return End(head.number, digest, head.upto, head.upto_leaf, head.recorded_at, Place(head.tree, head.last_log))


def _erased(tables: dict[str, Rows]) -> tuple[tuple[bytes, int], ...]:
    if "key_store" not in tables:
        return ()
    columns, rows = tables["key_store"].columns, tables["key_store"].rows
    key, erased_at = columns.index("id"), columns.index("erased_at")
    return tuple((row[key], row[erased_at]) for row in rows if row[erased_at] is not None)


def _bytes(digits: str | None) -> bytes | None:
    return None if digits is None else bytes.fromhex(digits)


def _sealed_size(checkpoint: str | None) -> int:
    """The second line of a checkpoint; see :mod:`byjy_events.proof.checkpoint`."""
    lines = [] if checkpoint is None else checkpoint.split("\n")
    return int(lines[1]) if len(lines) > 1 and lines[1].isdecimal() else 0

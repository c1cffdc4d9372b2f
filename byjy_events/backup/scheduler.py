"""One backup for every period, verified, and old ones deleted, until somebody ends it.

What is due follows from the newest backup in the folder, so a scheduler that was away for thirty periods makes one.
Clocks jump: a backup that was made in the future does not keep the next one from being due. A turn that fails is
logged, and the next one comes a period later.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import sqlalchemy as sa
import structlog

from byjy_events.backup.backups import KEEP, Backups
from byjy_events.backup.checking import PROBLEMS, TablesCheck
from byjy_events.backup.errors import FolderUnusable
from byjy_events.backup.folder import SCHEDULER_LOCK, Backup, State
from byjy_events.backup.origin import origin_of
from byjy_events.backup.segment_report import checked
from byjy_events.backup.segments import SEGMENTS_EVERY, Segments
from byjy_events.backup.target import FolderLike
from byjy_events.backup.threads import in_thread
from byjy_events.log import EventLog

EVERY = timedelta(hours=1)
THOROUGH_EVERY = timedelta(days=1)
LOOK_SECONDS = 60.0
"""The clock is looked at so often, since a sleep does not notice that it jumps."""

SEGMENTS_LOOK_SECONDS = 1.0
"""How often a folder without a backup is looked at: segments begin behind the first one."""

STEP_SECONDS = 60.0
"""A clock that is corrected by less was not set back."""

Told = Callable[[Backup], None]

_log = structlog.get_logger("byjy_events")


class Scheduler:
    """Backs a database up again and again.

    Segments are checked as often as the verification is a thorough one; what is damaged is logged.

    Args:
        segments_every: how often segments are written in between, as :class:`Segments` does it; None: never.
        keep: as for :meth:`Backups.prune`.
        thorough_every: how often the verification is a thorough one, with ``tables`` as for :meth:`Backups.verify`.
        told: called with every backup that was made, whatever its state.
        clock: nanoseconds UTC.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        database: str | sa.URL,
        folder: FolderLike,
        *,
        every: timedelta = EVERY,
        segments_every: timedelta | None = SEGMENTS_EVERY,
        keep: timedelta = KEEP,
        thorough_every: timedelta = THOROUGH_EVERY,
        tables: TablesCheck | None = None,
        told: Told | None = None,
        clock: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.backups = Backups(folder, clock=clock)
        self._database = database
        self._segments_every = segments_every
        self._every, self._keep, self._thorough_every = every, keep, thorough_every
        self._tables, self._told = tables, told
        self._clock, self._sleep = clock, sleep
        self._tried_at: int | None = None

    async def run(self) -> None:
        """Go on until it is cancelled.

        Raises:
            BackupFailed, SchemaMismatch: there is nothing that can be backed up.
            FolderBusy: another scheduler works in the folder.
            FolderUnusable: it cannot be written.
        """
        await origin_of(self._database).size()
        async with self.backups.folder.locked(SCHEDULER_LOCK, patience_seconds=0):
            writing = asyncio.create_task(self._write_segments(), name="byjy-segments")
            try:
                while True:
                    await self.turn()
                    await self._sleep(min(LOOK_SECONDS, max(await self._due_in(), 0.01)))
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def turn(self) -> Backup | None:
        """Make a backup if one is due, and delete old ones if it verified. Never raises what can go wrong.

        Returns:
            The backup; None: none was due, or it could not be made.
        """
        try:
            if await self._due_in() > 0:
                return None
            return await self._made()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next period comes
            _log.error("backup_failed", folder=str(self.backups.folder.where), cause=str(error))
        return None

    async def _write_segments(self) -> None:
        """Until it is cancelled, on a log of its own. Backups go on whatever happens to it."""
        if self._segments_every is None:
            return
        while not any(one.state in (State.VERIFIED, State.UNVERIFIED) for one in await self._existing()):
            await self._sleep(SEGMENTS_LOOK_SECONDS)
        while True:
            try:
                async with EventLog.open(self._database, read_only=True) as log:
                    target, every = self.backups.folder.target, self._segments_every
                    await Segments(log, target, every=every, clock=self._clock, sleep=self._sleep).run()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                _log.error("segments_failed", folder=str(self.backups.folder.where), cause=str(error))
            await self._sleep(LOOK_SECONDS)

    async def _made(self) -> Backup:
        self._tried_at = self._clock()
        thorough = await self._is_thorough_due()
        if thorough:
            await self._check_segments()
        backup = await self.backups.create(self._database, thorough=thorough, tables=self._tables, every=self._every)
        _log.info("backup_made", backup=str(backup.where), state=backup.state, head=backup.known().facts.head)
        if self._told is not None:
            self._told(backup)
        if backup.state is State.VERIFIED:
            await self.backups.prune(self._keep)
        return backup

    async def _check_segments(self) -> None:
        """Those since the last backup that was looked at as thoroughly, or since the oldest one."""
        known = [one.manifest for one in await self._existing() if one.manifest is not None]
        before = [one for one in known if one.thorough_check is not None][:1] or known[-1:]
        for manifest in before:
            found = await in_thread(lambda stop, head=manifest.facts.head: checked(self.backups.folder, head, stop))  # type: ignore[misc]
            if found is not None and found.problems:
                _log.error(
                    "segments_damaged", folder=str(self.backups.folder.where), problems=found.problems[:PROBLEMS]
                )

    async def _due_in(self) -> float:
        """Seconds until a backup is due; nothing is due sooner than a period after the last attempt."""
        times = [] if self._tried_at is None else [self._tried_at]
        newest = next((one.manifest for one in await self._existing() if one.manifest is not None), None)
        if newest is not None:
            times.append(newest.created_at)
        return max((self._left(one, self._every) for one in times), default=0.0)

    async def _is_thorough_due(self) -> bool:
        checks = [one.manifest.thorough_check for one in await self._existing() if one.manifest is not None]
        newest = next((check for check in checks if check is not None), None)
        return newest is None or self._left(newest.at, self._thorough_every) <= 0

    async def _existing(self) -> list[Backup]:
        with contextlib.suppress(FolderUnusable):  # then making one tells what is wrong
            return await in_thread(lambda _: self.backups.list())
        return []

    def _left(self, since: int, period: timedelta) -> float:
        """Seconds that a period has left; none if it began in the future, by a clock that was set back since."""
        passed = (self._clock() - since) / 1e9
        return max(0.0, period.total_seconds() - passed) if passed >= -STEP_SECONDS else 0.0

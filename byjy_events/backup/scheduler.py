"""One backup for every period, verified, and old ones deleted, until somebody ends it.

What is due follows from the newest backup in the folder, so a scheduler that was away for thirty periods makes one, and
says so. Clocks jump: a backup that was made in the future does not keep the next one from being due. A turn that fails
is logged, and the next one comes a period later, or an hour if that is sooner. A backup that nobody verified, since
the process ended before, is verified when it is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta

import sqlalchemy as sa
import structlog

from byjy_events.backup.backups import KEEP, Backups
from byjy_events.backup.checking import PROBLEMS, TablesCheck
from byjy_events.backup.errors import FolderUnusable
from byjy_events.backup.folder import SCHEDULER_LOCK, Backup, State
from byjy_events.backup.manifest import Manifest
from byjy_events.backup.origin import impatient, origin_of
from byjy_events.backup.segment_report import checked
from byjy_events.backup.segments import SEGMENTS_EVERY, Segments
from byjy_events.backup.target import FolderLike
from byjy_events.backup.threads import in_thread
from byjy_events.log import EventLog

EVERY = timedelta(hours=1)
THOROUGH_EVERY = timedelta(days=1)
LOOK_SECONDS = 60.0
"""The clock is looked at so often, since a sleep does not notice that it jumps."""

RETRY_AFTER = timedelta(hours=1)
"""After a turn that failed; sooner if the period is shorter."""

SEGMENTS_LOOK_SECONDS = 1.0
"""How often it is looked whether there is a backup: segments begin behind the first one."""

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
        self._newest: Manifest | None = None
        self._looked_at = ""

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
                    await self._sleep(min(LOOK_SECONDS, max(self._due_in(), 0.01)))
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def turn(self) -> Backup | None:
        """Make a backup if one is due, and delete old ones if it verified. Never raises what can go wrong.

        Returns:
            The backup that was made, or verified; None: nothing was to be done, or it could not be.
        """
        done = None
        with self._said("backup_failed"):
            existing = await self._existing()
            self._newest = next((one.manifest for one in existing if one.manifest is not None), None)
            done = await (self._made(existing) if self._due_in() <= 0 else self._verified_late(existing))
        if done is None:
            return None
        if done.state is State.VERIFIED:
            with self._said("prune_failed"):
                await self.backups.prune(self._keep)
        if self._told is not None:
            with self._said("telling_failed"):
                self._told(done)
        return done

    async def _write_segments(self) -> None:
        """Until it is cancelled, on a log of its own. Backups go on whatever happens to it."""
        if self._segments_every is None:
            return
        while self._newest is None:
            await self._sleep(SEGMENTS_LOOK_SECONDS)
        while True:
            with self._said("segments_failed"):
                async with EventLog.open(impatient(self._database), read_only=True) as log:
                    target, every = self.backups.folder.target, self._segments_every
                    await Segments(log, target, every=every, clock=self._clock, sleep=self._sleep).run()
            await self._sleep(LOOK_SECONDS)

    async def _made(self, existing: Sequence[Backup]) -> Backup:
        self._say_what_was_missed()
        self._tried_at = self._clock()
        thorough = self._is_thorough_due(existing)
        if thorough:
            with self._said("segments_not_checked"):
                await self._check_segments(existing)
        backup = await self.backups.create(self._database, thorough=thorough, tables=self._tables, every=self._every)
        self._newest, self._looked_at = backup.known(), backup.name
        _log.info("backup_made", backup=str(backup.where), state=backup.state, head=backup.known().facts.head)
        return backup

    async def _verified_late(self, existing: Sequence[Backup]) -> Backup | None:
        """The newest one, if it is not: once, whatever comes of it."""
        newest = next((one for one in existing if one.manifest is not None), None)
        if newest is None or newest.state is not State.UNVERIFIED or newest.name == self._looked_at:
            return None
        self._looked_at = newest.name
        thorough = self._is_thorough_due(existing)
        return await self.backups.verify(newest.name, thorough=thorough, tables=self._tables)

    async def _check_segments(self, existing: Sequence[Backup]) -> None:
        """Those since the last backup that was looked at as thoroughly, or since the oldest one."""
        known = [one.manifest for one in existing if one.manifest is not None]
        before = [one for one in known if one.thorough_check is not None][:1] or known[-1:]
        for manifest in before:
            found = await in_thread(lambda stop, head=manifest.facts.head: checked(self.backups.folder, head, stop))  # type: ignore[misc]
            if found is not None and found.problems:
                _log.error(
                    "segments_damaged", folder=str(self.backups.folder.where), problems=found.problems[:PROBLEMS]
                )

    def _due_in(self) -> float:
        """Seconds until a backup is due; nothing is due soon after the last attempt, whatever came of it."""
        tried = 0.0 if self._tried_at is None else self._left(self._tried_at, min(self._every, RETRY_AFTER))
        made = 0.0 if self._newest is None else self._left(self._newest.created_at, self._every)
        return max(tried, made)

    def _is_thorough_due(self, existing: Sequence[Backup]) -> bool:
        checks = [one.manifest.thorough_check for one in existing if one.manifest is not None]
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

    def _say_what_was_missed(self) -> None:
        """Nobody saw what the clock did meanwhile, so it may also have been set forward."""
        if self._newest is None:
            return
        passed, period = (self._clock() - self._newest.created_at) / 1e9, self._newest.every_seconds
        if passed < -STEP_SECONDS:
            _log.warning("clock_set_back", folder=str(self.backups.folder.where), seconds=round(-passed))
        elif period and passed >= 2 * period:
            missed = int(passed / period) - 1
            _log.warning("backups_missed", folder=str(self.backups.folder.where), periods=missed)

    @contextlib.contextmanager
    def _said(self, failure: str) -> Iterator[None]:
        """What goes wrong is logged under this name, and stops nothing else."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the next period comes
            cause = str(error) or type(error).__name__
            _log.error(failure, folder=str(self.backups.folder.where), cause=cause)

"""One backup for every period, verified, and old ones deleted, until somebody ends it.

What is due follows from the newest backup in the folder, so a scheduler that was away for thirty periods makes one.
Clocks jump: a backup that was made in the future does not keep the next one from being due. A turn that fails is
logged, and the next one comes a period later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import sqlalchemy as sa
import structlog

from byjy_events.backup.backups import KEEP, Backups, database_path
from byjy_events.backup.checking import TablesCheck
from byjy_events.backup.errors import FolderUnusable
from byjy_events.backup.folder import SCHEDULER_LOCK, Backup, State

EVERY = timedelta(hours=1)
THOROUGH_EVERY = timedelta(days=1)
LOOK_SECONDS = 60.0
"""The clock is looked at so often, since a sleep does not notice that it jumps."""

STEP_SECONDS = 60.0
"""A clock that is corrected by less was not set back."""

Told = Callable[[Backup], None]

_log = structlog.get_logger("byjy_events")


class Scheduler:
    """Backs a database up again and again.

    Args:
        keep: as for :meth:`Backups.prune`.
        thorough_every: how often the verification is a thorough one, with ``tables`` as for :meth:`Backups.verify`.
        told: called with every backup that was made, whatever its state.
        clock: nanoseconds UTC.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        database: str | sa.URL,
        folder: str | os.PathLike[str],
        *,
        every: timedelta = EVERY,
        keep: timedelta = KEEP,
        thorough_every: timedelta = THOROUGH_EVERY,
        tables: TablesCheck | None = None,
        told: Told | None = None,
        clock: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.backups = Backups(folder, clock=clock)
        self._database = database
        self._every, self._keep, self._thorough_every = every, keep, thorough_every
        self._tables, self._told = tables, told
        self._clock, self._sleep = clock, sleep
        self._tried_at: int | None = None

    async def run(self) -> None:
        """Go on until it is cancelled.

        Raises:
            NotSqlite, BackupFailed: there is nothing to back up.
            FolderBusy: another scheduler works in the folder.
            FolderUnusable: it cannot be written.
        """
        database_path(self._database)
        async with self.backups.folder.locked(SCHEDULER_LOCK, patience_seconds=0):
            while True:
                await self.turn()
                await self._sleep(min(LOOK_SECONDS, max(self._due_in(), 0.01)))

    async def turn(self) -> Backup | None:
        """Make a backup if one is due, and delete old ones if it verified. Never raises what can go wrong.

        Returns:
            The backup; None: none was due, or it could not be made.
        """
        try:
            if self._due_in() > 0:
                return None
            return await self._made()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next period comes
            _log.error("backup_failed", folder=str(self.backups.folder.path), cause=str(error))
        return None

    async def _made(self) -> Backup:
        self._tried_at = self._clock()
        backup = await self.backups.create(
            self._database, thorough=self._is_thorough_due(), tables=self._tables, every=self._every
        )
        _log.info("backup_made", backup=str(backup.path), state=backup.state, head=backup.known().facts.head)
        if self._told is not None:
            self._told(backup)
        if backup.state is State.VERIFIED:
            await self.backups.prune(self._keep)
        return backup

    def _due_in(self) -> float:
        """Seconds until a backup is due; nothing is due sooner than a period after the last attempt."""
        times = [] if self._tried_at is None else [self._tried_at]
        newest = next((one.manifest for one in self._existing() if one.manifest is not None), None)
        if newest is not None:
            times.append(newest.created_at)
        return max((self._left(one, self._every) for one in times), default=0.0)

    def _is_thorough_due(self) -> bool:
        checks = (one.manifest.thorough_check for one in self._existing() if one.manifest is not None)
        newest = next((check for check in checks if check is not None), None)
        return newest is None or self._left(newest.at, self._thorough_every) <= 0

    def _existing(self) -> list[Backup]:
        with contextlib.suppress(FolderUnusable):  # then making one tells what is wrong
            return self.backups.list()
        return []

    def _left(self, since: int, period: timedelta) -> float:
        """Seconds that a period has left; none if it began in the future, by a clock that was set back since."""
        passed = (self._clock() - since) / 1e9
        return max(0.0, period.total_seconds() - passed) if passed >= -STEP_SECONDS else 0.0

"""Beginning to run: waiting for the end of a rebuild, finishing one that was cut short, rebuilding what is outdated."""

from __future__ import annotations

import asyncio
import time

from byjy_events.log import EventLog
from projections.checkpoints import Checkpoint
from projections.errors import GroupOutdated, GroupRebuilding, RebuildRunning
from projections.rebuilding import finish_rebuild, rebuild
from projections.runner import Runner

POLL_SECONDS = 0.05
"""How often it is looked whether a rebuild came to its end."""

PATIENCE_SECONDS = 1.0
"""How long a mark of rebuilding may stand before it is looked whether anybody is behind it."""


async def begun(log: EventLog, runner: Runner, *, rebuild_outdated: bool = False) -> Checkpoint:
    """Have a runner begin, as soon as the rows of its group can be run on.

    Raises:
        GroupOutdated: the rows are of another version, and are not to be rebuilt.
    """
    since = time.monotonic()
    while True:
        try:
            return await runner.begin()
        except GroupRebuilding:
            if time.monotonic() - since > PATIENCE_SECONDS:
                await finish_rebuild(log, runner.group)
                since = time.monotonic()
        except GroupOutdated:
            if not rebuild_outdated:
                raise
            try:
                await rebuild(log, runner.group)
                continue
            except RebuildRunning:  # another process that starts with this version, as like as not
                pass
        await asyncio.sleep(POLL_SECONDS)

"""``byjy project``: the tables up to the log, once or for as long as it runs."""

from __future__ import annotations

import time

from byjy_events import EventLog
from byjy_ops.listing import emit, tell
from byjy_ops.progress import progress
from byjy_ops.reading import existing_log
from byjy_ops.status import GROUPS
from projections import TRADING, Group, Projector, catch_up, group_statuses

_NEVER = 2**63 - 1


async def project(database: str, *, follow: bool) -> None:
    """
    Raises:
        ProjectionStopped: an event could not be projected; everything before it is.
        GroupOutdated: the rows were made by another version of the projections.
    """
    async with existing_log(database) as log:
        for group in GROUPS:
            await _catch_up(log, group)
        if follow:
            async with Projector(log, TRADING) as projector:
                tell("following the log; Ctrl-C ends it")
                await projector.wait_for(_NEVER)  # it returns never, and raises when the group stops


async def _catch_up(log: EventLog, group: Group) -> None:
    before = next((row.position for row in await group_statuses(log) if row.group_name == group.name), 0)
    head = await log.head()
    began = time.perf_counter()
    with progress(f"projecting {group.name}", max(1, head - before)) as advance:
        position = await catch_up(log, group, progress=lambda reached, head: advance(reached - before))
    seconds = time.perf_counter() - began
    if position > before:
        rate = f"{position - before} events in {seconds:.1f} s, {(position - before) / seconds:.0f} events/s"
        emit(f"{group.name}: {before} -> {position}, {rate}\n")
    else:
        emit(f"{group.name}: at {position} already, nothing to do\n")

"""``byjy project``: the tables up to the log, once or for as long as it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack

from byjy_events import ByjyError, EventLog
from byjy_ops.groups import tell_errors, wanted_groups
from byjy_ops.listing import emit, tell
from byjy_ops.progress import progress
from byjy_ops.reading import existing_log
from projections import Group, Projector, catch_up, group_statuses

_NEVER = 2**63 - 1


async def project(database: str, *, group: str | None = None, follow: bool) -> None:
    """Take one group to the head of the log, or all that are installed, one after the other.

    What is wrong with one group harms no other: it is raised when the others are done.

    Raises:
        ProjectionStopped: an event could not be projected; everything before it is.
        GroupOutdated: the rows were made by another version of the projections.
        TablesUnusable: the tables of a group were never made, or are others.
        UnknownGroup: no group is called so.
        BrokenEntryPoint, GroupsCollide: some installed group cannot be used.
    """
    groups, trouble = wanted_groups(group)
    async with existing_log(database) as log:
        ready = []
        for one in groups:
            try:
                await _catch_up(log, one)
            except ByjyError as error:
                trouble.append(error)
            else:
                ready.append(one)
        if follow and ready:
            tell_errors(trouble)
            trouble = await _follow(log, ready) or trouble
        else:
            tell_errors(trouble[1:])
    if trouble:
        raise trouble[0]


async def _follow(log: EventLog, groups: Iterable[Group]) -> list[ByjyError]:
    """Follow until every group has stopped, and return why. One that stops is told of at once."""
    async with AsyncExitStack() as stack:
        projectors = [await stack.enter_async_context(Projector(log, group)) for group in groups]
        tell("following the log; Ctrl-C ends it")
        return await asyncio.gather(*(_stopped(projector, alone=len(projectors) == 1) for projector in projectors))


async def _stopped(projector: Projector, *, alone: bool) -> ByjyError:
    try:
        await projector.wait_for(_NEVER)  # it returns never, and raises when the group stops
    except ByjyError as error:
        if not alone:
            tell(str(error))
        return error
    raise AssertionError  # no log has so many events


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

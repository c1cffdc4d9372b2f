"""``byjy rebuild``: the tables made equal to the log, and what was wrong with them."""

from __future__ import annotations

import asyncio
from typing import Any

from byjy_events import ByjyError, EventLog
from byjy_events.database import is_sqlite
from byjy_ops.difference import as_json as difference_as_json
from byjy_ops.difference import column_by_column, counted, overview
from byjy_ops.groups import raise_first, wanted_groups
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.reading import existing_log
from projections import Group, GroupState, GroupStatus, Rebuilt, group_statuses, rebuild


async def rebuild_groups(database: str, *, group: str | None, as_json: bool) -> None:
    """Rebuild one group, or all that are installed, one after the other.

    What is wrong with one group harms no other: it is raised when the others are done.

    Raises:
        RebuildRunning: another process rebuilds.
        ReplayFailed, CorruptLog, TablesUnusable, LogUnavailable: see there; the tables are as they were.
        UnknownGroup, BrokenEntryPoint, GroupsCollide: some group cannot be used.
    """
    groups, trouble = wanted_groups(group)
    async with existing_log(database) as log:
        for one in groups:
            try:
                rebuilt = await _rebuilt(log, one)
            except ByjyError as error:
                trouble.append(error)
                continue
            appends_wait = is_sqlite(log.engine.url)
            if as_json:
                write_json([_fields(rebuilt, appends_wait=appends_wait)])
            else:
                emit(_sentences(rebuilt, appends_wait=appends_wait))
    raise_first(trouble)


async def _rebuilt(log: EventLog, group: Group) -> Rebuilt:
    before = await _standing(log, group)
    try:
        with replay_progress(f"rebuilding {group.name}") as advance:
            return await rebuild(log, group, progress=advance)
    except asyncio.CancelledError:
        tell(_interrupted(group.name, before, await _standing(log, group)))
        raise


async def _standing(log: EventLog, group: Group) -> GroupStatus | None:
    return next((one for one in await group_statuses(log) if one.group_name == group.name), None)


def _interrupted(name: str, before: GroupStatus | None, after: GroupStatus | None) -> str:
    """What an interrupted rebuild left behind, as far as can be told from the checkpoint."""
    if after is not None and after.status is GroupState.REBUILDING:
        return (
            f"interrupted; group {name} is marked REBUILDING: byjy rebuild {name}, or its next projector, finishes it"
        )
    if after is None or after.generation == (0 if before is None else before.generation):
        return f"interrupted; nothing of group {name} was changed"
    return (
        f"interrupted at the very end; the tables of group {name} are as they were or wholly rebuilt,"
        f" which tells: byjy verify {name}"
    )


def _fields(rebuilt: Rebuilt, *, appends_wait: bool) -> dict[str, Any]:
    tables = [{**counted(one), "examples": list(map(difference_as_json, one.rows))} for one in rebuilt.tables]
    return {
        "group": rebuilt.group,
        "position": rebuilt.position,
        "differences": rebuilt.differences,
        "tables": tables,
        "rows_written": rebuilt.rows,
        "events": rebuilt.events,
        "replay_seconds": rebuilt.replay_seconds,
        "longest_write_seconds": rebuilt.longest_write_seconds,
        "appends_wait": appends_wait,
        "projectors_held_seconds": rebuilt.held_seconds,
    }


def _sentences(rebuilt: Rebuilt, *, appends_wait: bool) -> str:
    differed = f"{rebuilt.differences} rows differed" if rebuilt.differences else "no row differed"
    longest = milliseconds(rebuilt.longest_write_seconds)
    waiting = (
        f"other writers, appends too, waited for at most {longest} at a time"
        if appends_wait
        else f"its longest write transaction took {longest}, for which no append waits"
    )
    examples = "".join(column_by_column(row) for table in rebuilt.tables for row in table.rows)
    return (
        f"{rebuilt.group}: rebuilt, the tables equal the log at position {rebuilt.position}; {differed}\n"
        f"{overview(rebuilt.tables)}{examples}"
        f"{replayed(rebuilt.events, rebuilt.replay_seconds)}; {rebuilt.rows} rows written\n"
        f"{waiting}; projectors of the group for {milliseconds(rebuilt.held_seconds)}\n"
    )


def replayed(events: int, seconds: float) -> str:
    """How long the folding took."""
    rate = f", {events / seconds:.0f} events/s" if events and seconds else ""
    return f"{events} events folded again in {seconds:.1f} s{rate}"


def milliseconds(seconds: float) -> str:
    """A short time."""
    return f"{seconds * 1000:.1f} ms"

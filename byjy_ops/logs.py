"""Listing, following and pruning the system logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from byjy_events.log_table import LogLevel
from byjy_events.system_logs import LogFilter, LogRow, SystemLogs, prune
from byjy_ops.arguments import choices
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells, Column, Listing, emit, tell, terminal_width, text, write_json
from byjy_ops.reading import existing_log, existing_tables

BEFORE_CONTEXT, LEAST_CONTEXT = 63, 17
"""Characters of a terminal's line: what the columns before the context take, and what it gets at least."""


def _pairs(context: Mapping[str, object]) -> str:
    """On a terminal cut to the room that the columns before it leave; into a pipe goes all of it."""
    written = " ".join(f"{name}={text(value)}" for name, value in context.items())
    width = terminal_width()
    room = len(written) if width is None else max(LEAST_CONTEXT, width - BEFORE_CONTEXT)
    return written if len(written) <= room else f"{written[: room - 1]}…"


COLUMNS = (
    Column("created_at", "logged (UTC)", instant=True, width=23),
    Column("level", width=8),
    Column("event", width=24),
    Column("context", written=_pairs),
    Column("logger", width=12),
    Column("event_position", "position", right=True, width=8),
    Column("correlation_id", width=36),
)


def wanted(level: str | None, since: int | None, correlation: UUID | None) -> LogFilter:
    """What a command line asks for.

    Raises:
        InvalidArgument: there is no such level.
    """
    least = None if level is None else choices(LogLevel, "--level", [level])[0]
    return LogFilter(least, since, correlation)


async def list_logs(database: str, asked: LogFilter, limit: int, *, as_json: bool) -> None:
    """Write entries, the newest first, at most ``limit``; 0: all."""
    listing = Listing(COLUMNS, as_json=as_json)
    held: list[Cells] = []
    shown = 0
    async with existing_tables(database) as engine:
        async for rows in SystemLogs(engine).newest(asked, limit=limit + 1 if limit else None):
            held += [row._asdict() for row in (rows[: limit - shown] if limit else rows)]
            shown += len(rows)
            if as_json:
                listing.write(held)
                held = []
    listing.write(held)
    if limit and shown > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell("nothing found")


async def follow_logs(database: str, asked: LogFilter, limit: int, *, as_json: bool) -> None:
    """Write the newest entries, at most ``limit``, in the order of their time; then every new one, until cancelled."""
    listing = Listing(COLUMNS, as_json=as_json)
    async with existing_tables(database) as engine:
        logs = SystemLogs(engine)
        last = await logs.newest_id()
        before = [row async for rows in logs.newest(asked, limit=limit or None) for row in rows]
        listing.write([row._asdict() for row in reversed(before) if _is_upto(row, last)])
        async for rows in logs.follow(asked, after=last):
            listing.write([row._asdict() for row in rows])


async def prune_logs(database: str, older_than: timedelta | None, keep: int | None, *, as_json: bool) -> None:
    """Delete old entries and say how many.

    Raises:
        InvalidArgument: nothing says which.
    """
    if older_than is None and keep is None:
        raise InvalidArgument("logs prune", "give --older-than, --keep or both")
    async with existing_log(database) as log:
        pruned = await prune(log, older_than=older_than, keep_rows=keep)
    if as_json:
        write_json([{"pruned": pruned}])
    else:
        emit(f"{pruned} entries deleted\n")


def _is_upto(row: LogRow, last: UUID | None) -> bool:
    """What was stored between the two looks is shown by the following."""
    return last is not None and row.id <= last

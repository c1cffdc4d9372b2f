"""Logging into ``system_logs`` and looking at what was stored, from tests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from byjy_events import EventLog
from byjy_events.log_sink import SystemLogSink
from byjy_events.system_logs import LogFilter, LogRow, SystemLogs

CORRELATION = UUID("019a0000-0000-7000-8000-0000000000aa")
SECONDS = 60.0


async def stored(log: EventLog, wanted: LogFilter | None = None, *, limit: int | None = None) -> list[LogRow]:
    """Rows in the order in which they were stored."""
    found = [row async for rows in SystemLogs(log.engine).newest(wanted or LogFilter(), limit=limit) for row in rows]
    return sorted(found, key=lambda row: row.id)


def said(sink: SystemLogSink, event: str, method: str = "info", **fields: Any) -> None:
    sink(None, method, {"event": event, **fields})

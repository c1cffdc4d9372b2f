"""Writing heartbeats on SQLite: through the lane, behind all appends, without waiting for the disk."""

from __future__ import annotations

import time
from uuid import UUID

from byjy_events.sqlite.backend import SqliteBackend

_BEAT = (
    "INSERT INTO strategy_execution_heartbeats (strategy_execution_id, beat_at, process) VALUES (?, ?, ?)"
    " ON CONFLICT (strategy_execution_id) DO UPDATE SET beat_at = excluded.beat_at, process = excluded.process"
)
_FORGET = "DELETE FROM strategy_execution_heartbeats WHERE strategy_execution_id = ?"


class SqliteHeartbeatStore:
    """See :class:`byjy_events.heartbeat.HeartbeatStore`."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend

    async def beat(self, execution_id: UUID, process: str) -> None:
        # The clock is read when it is the beat's turn, not before it waits for it.
        await self._backend.transact(
            lambda connection: connection.execute(_BEAT, (execution_id.bytes, time.time_ns(), process)).rowcount,
            durable=False,
        )

    async def forget(self, execution_id: UUID) -> None:
        await self._backend.transact(
            lambda connection: connection.execute(_FORGET, (execution_id.bytes,)).rowcount, durable=False
        )

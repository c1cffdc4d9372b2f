"""Writing heartbeats on PostgreSQL: on a connection of the pool, each a statement of its own, by the server's clock."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from byjy_events.heartbeat_table import POSTGRES_NOW
from byjy_events.postgres.backend import PostgresBackend, translated

SECONDS = 10.0
"""How long one statement may take, the wait for a connection included."""

_BEAT = f"""
    INSERT INTO strategy_execution_heartbeats (strategy_execution_id, beat_at, process)
    VALUES ($1, {POSTGRES_NOW}, $2)
    ON CONFLICT (strategy_execution_id) DO UPDATE SET beat_at = excluded.beat_at, process = excluded.process"""  # noqa: S608
_FORGET = "DELETE FROM strategy_execution_heartbeats WHERE strategy_execution_id = $1"


class PostgresHeartbeatStore:
    """See :class:`byjy_events.heartbeat.HeartbeatStore`."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._backend = backend

    async def beat(self, execution_id: UUID, process: str) -> None:
        await self._execute(_BEAT, execution_id, process)

    async def forget(self, execution_id: UUID) -> None:
        await self._execute(_FORGET, execution_id)

    async def _execute(self, statement: str, *parameters: Any) -> None:
        with translated():
            async with asyncio.timeout(SECONDS), self._backend.connection() as connection:
                await connection.execute(statement, *parameters)

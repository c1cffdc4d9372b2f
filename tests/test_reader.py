"""The connection that SQLite is read with outlives callers that are cancelled, and is given back."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from byjy_events import EventLog
from byjy_events.sqlite.backend import SqliteBackend


async def test_a_read_that_is_cancelled_leaves_no_connection_behind(tmp_path: Path) -> None:
    """At any moment of opening it: a connection nobody gives back is a warning when it is collected, and fails here."""
    async with EventLog.open(f"sqlite:///{tmp_path / 'log.db'}") as log:
        assert isinstance(log.backend, SqliteBackend)
        for moment in range(60):
            reader = log.backend.reader()
            reading = asyncio.create_task(reader.fetch("SELECT 1", ()))
            for _ in range(moment % 20):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0005 * (moment % 3))
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            await reader.close()
            assert await reader.fetch("SELECT 1", ()) == [(1,)]
            await reader.close()

"""An engine that runs with no more rights than it needs, and a log that stays as it is while it runs."""

from __future__ import annotations

import asyncio
import sqlite3
from urllib.parse import urlsplit

import asyncpg
import pytest

from byjy_events import EventLog, LogUnavailable, new_order_id, order_stream
from byjy_events.database import parse_url, sqlite_path
from byjy_events.grants import engine_grants
from tests.postgres import Server
from tests.sample_events import filled, placed


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_an_engine_works_with_its_grants_alone(database: str, postgresql: Server) -> None:
    """Open, append, repeat, contradict, read and follow; but nothing gets into the table past the function."""
    name = urlsplit(database).path.strip("/")
    owner = await asyncpg.connect(database)
    await owner.execute("CREATE ROLE lean_engine LOGIN")
    lean = postgresql.url(name, "lean_engine")
    try:
        with pytest.raises(LogUnavailable, match="permission denied"):
            await EventLog.open(lean).start()
        for statement in engine_grants("lean_engine"):
            await owner.execute(statement)
        async with EventLog.open(lean) as log:
            stream = order_stream(new_order_id())
            await log.append(stream, [placed(), filled("1")], expected=0)
            await log.append(stream, [filled("1")])
            assert (await log.append(stream, [filled("1", price="7")])).position == 3
            following = log.follow()
            assert [(await anext(following)).position for _ in range(3)] == [1, 2, 3]
            await following.aclose()  # type: ignore[attr-defined]
            async with log.backend.connection() as connection:  # type: ignore[attr-defined]
                for statement in (
                    "INSERT INTO events SELECT * FROM events",
                    "UPDATE events SET actor = ''",
                    "DELETE FROM events",
                    "TRUNCATE events",
                    "DROP TABLE events",
                    "CREATE OR REPLACE FUNCTION append_events() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
            assert await log.head() == 3
    finally:
        await owner.execute("DROP OWNED BY lean_engine")
        await owner.execute("DROP ROLE lean_engine")
        await owner.close()


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
async def test_no_connection_can_change_a_log_in_use(database: str, recursive_triggers: str) -> None:
    """Whatever its settings: not by UPDATE, DELETE, REPLACE, an upsert, nor by inserting in the middle."""
    async with EventLog.open(database) as log:
        await log.append(order_stream(new_order_id()), [placed()] * 3)
        before = [recorded async for recorded in log.read()]
        vandal = sqlite3.connect(sqlite_path(parse_url(database)), isolation_level=None)
        vandal.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
        for statement in (
            "UPDATE events SET payload = x'00'",
            "UPDATE OR REPLACE events SET position = 2 WHERE position = 1",
            "DELETE FROM events",
            "DELETE FROM events WHERE position = 3",
            "REPLACE INTO events SELECT * FROM events WHERE position = 2",
            "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 3",
            "INSERT OR IGNORE INTO events SELECT * FROM events WHERE position = 3",
            "INSERT INTO events SELECT * FROM events WHERE position = 1 ON CONFLICT DO UPDATE SET actor = 'me'",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                vandal.execute(statement)
        vandal.close()
        await asyncio.sleep(0)
        assert [recorded async for recorded in log.read()] == before


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_connections_for_queries_cannot_write(database: str) -> None:
    """A query of a user's own cannot harm anything."""
    import sqlalchemy as sa

    async with EventLog.open(database) as log, log.engine.connect() as connection:
        with pytest.raises(sa.exc.OperationalError, match="readonly"):
            await connection.execute(sa.text("DELETE FROM alembic_version"))

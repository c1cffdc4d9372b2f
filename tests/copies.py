"""Logs to copy, with everything beside them, and what lies in the copied tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from byjy_events import EventLog, Recorded
from byjy_events.log_sink import SystemLogSink
from byjy_events.log_table import system_logs
from byjy_events.proof.tables import merkle_nodes, tree_checkpoints
from byjy_events.schema import events
from byjy_events.sealing import Vault
from byjy_events.sealing.key_store import key_store
from tests.conftest import _new_database
from tests.logged import said
from tests.rows import writable_engine
from tests.sealed import seal
from tests.sealing import carrying, local_key, user
from tests.story import tell_lives

WAYS = [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite")]
"""From which kind of database to which."""

TABLES = (events, merkle_nodes, tree_checkpoints, key_store, system_logs)

SECRET = "a secret that nobody can mistake for anything else"
LOG_ENTRIES = 7


class Filled(NamedTuple):
    """What a log was filled with.

    Attributes:
        size: its head, past the newest checkpoint.
        sealed: the size of the newest checkpoint.
        values: sealed for users 0 to 2; that of user 0 was erased.
    """

    size: int
    sealed: int
    values: list[bytes]


@contextmanager
def new_database(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database with the newest schema."""
    if kind == "sqlite":
        path = folder / f"{len(list(folder.iterdir()))}.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
    else:
        template = request.getfixturevalue("migrated_template")
        with _new_database(request.getfixturevalue("postgresql"), template) as url:
            yield url


@contextmanager
def new_databases(kinds: tuple[str, ...], folder: Path, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """One of each kind."""
    with ExitStack() as stack:
        yield [stack.enter_context(new_database(kind, folder, request)) for kind in kinds]


async def filled(url: str, *, orders: int = 60, seed: int = 1) -> Filled:
    """Orders and their fills, secrets, checkpoints and entries of system logs."""
    async with EventLog.open(url, actor="engine") as log:
        vault = Vault(log, local_key())
        values = [await vault.seal(user(number), "email", SECRET) for number in range(3)]
        await tell_lives(log, seed, orders // 2)
        await seal(log)
        await log.append(user(1), [carrying(values[1])])
        await tell_lives(log, seed + 1, orders // 2)
        sealed = (await seal(log)).size
        size = await tell_lives(log, seed + 2, 2)
        await vault.erase(user(0))
        async with SystemLogSink(log) as sink:
            for number in range(LOG_ENTRIES):
                said(sink, f"entry {number}", event_position=number + 1)
    return Filled(size, sealed, values)


async def rows(url: str, table: sa.Table) -> list[Any]:
    """All rows in the order of the primary key."""
    engine = writable_engine(url)
    async with engine.connect() as connection:
        found = list(map(tuple, await connection.execute(sa.select(table).order_by(*table.primary_key.columns))))
    await engine.dispose()
    return found


async def assert_equal(one: str, other: str) -> None:
    """Every row of every copied table, and there are some of each."""
    for table in TABLES:
        assert await rows(one, table) == await rows(other, table), table.name
        assert await rows(one, table), table.name


async def recorded(url: str) -> list[Recorded]:
    async with EventLog.open(url, read_only=True) as log:
        return [one async for one in log.read(checked=True)]

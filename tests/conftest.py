"""The databases that the tests run on: every test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from byjy_events import migrating
from byjy_events.database import is_sqlite, parse_url
from tests.postgres import Server
from tests.revised import PREVIOUS, fill, path_of

BACKENDS = ["sqlite", "postgresql"]
GOODBYE_ATTEMPTS = 100
_numbers = itertools.count(1)

# A shell's job in the background ignores Ctrl-C, and hands that down: a command whose Ctrl-C is tested would never end.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server for the whole session. It comes with the development packages, so nothing is ever skipped."""
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgresql: Server) -> str:
    """The name of a PostgreSQL database with the newest schema, to be copied: faster than migrating each."""
    asyncio.run(_command(postgresql, "CREATE DATABASE migrated"))
    asyncio.run(migrating.upgrade(postgresql.url("migrated")))
    return "migrated"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "migrated.db"
    asyncio.run(migrating.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database that the test runs on: ``sqlite``, then ``postgresql``."""
    return str(request.param)


@pytest.fixture
def database(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database with the newest schema and nothing in it."""
    if backend == "sqlite":
        path = tmp_path / "log.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
    else:
        template = request.getfixturevalue("migrated_template")
        with _new_database(request.getfixturevalue("postgresql"), template) as url:
            yield url


@pytest.fixture
def empty_database(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database without any schema; on SQLite the file does not exist yet."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        with _new_database(request.getfixturevalue("postgresql"), "template0") as url:
            yield url


@pytest.fixture(scope="session")
def older_template(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is one revision behind, with a row in every table, to be copied."""
    path = tmp_path_factory.mktemp("older") / "older.db"
    shutil.copyfile(migrated_file, path)
    asyncio.run(migrating.downgrade(f"sqlite:///{path}", PREVIOUS))
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture
def older_file(older_template: Path, tmp_path: Path) -> str:
    """The URL of a copy of it."""
    shutil.copyfile(older_template, tmp_path / "log.db")
    return f"sqlite:///{tmp_path / 'log.db'}"


@pytest.fixture
def older(database: str, older_template: Path) -> str:
    """The same, on both."""
    if is_sqlite(parse_url(database)):
        shutil.copyfile(older_template, path_of(database))
    else:
        asyncio.run(migrating.downgrade(database, PREVIOUS))
        fill(database)
    return database


@contextmanager
def _new_database(server: Server, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    asyncio.run(_command(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield server.url(name)
    finally:
        left = asyncio.run(_drop(server, name))
    assert not left, f"connections left open: {left}"


async def _command(server: Server, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


_CLIENTS = "SELECT query FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
"""The server has workers of its own, which tidy up whenever they like."""


async def _drop(server: Server, name: str) -> list[str]:
    """Drop a database and tell which connections to it somebody forgot to close, by their last statements."""
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        for _ in range(GOODBYE_ATTEMPTS):  # the server needs a moment to see that a client has gone
            left = await connection.fetch(_CLIENTS, name)
            if not left:
                break
            await asyncio.sleep(0.02)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        return [row["query"] for row in left]
    finally:
        await connection.close()

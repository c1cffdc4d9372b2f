"""Opening a log: what is accepted, what is created, and what is refused in which words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from byjy_events import ByjyError, EventLog, LogClosed, LogUnavailable, NotAByjyDatabase, new_order_id, order_stream
from byjy_events.database import InvalidDatabaseUrl, open_engine, parse_url
from tests.postgres import Server
from tests.sample_events import placed

NOBODY = 65534


async def test_a_new_database_gets_the_schema(empty_database: str) -> None:
    """And takes the first event at once."""
    async with EventLog.open(empty_database) as log:
        assert (await log.append(order_stream(new_order_id()), [placed()])).position == 1
    async with EventLog.open(empty_database) as log:
        assert await log.head() == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "not a URL"),
        ("mysql://localhost/x", "not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite://host/name.db", "SQLite has no host"),
        ("", "not a URL"),
        ("postgresql://me:p@ss@host/name", "is written %40"),
        ("postgresql://host/name?sslmod=require", "sslmod is no parameter"),
        ("postgresql://host/name?connect_timeout=soon", "connect_timeout is a number of seconds"),
    ],
)
def test_a_url_that_names_no_database_is_refused_at_once(url: str, reason: str) -> None:
    """Before anything is opened."""
    with pytest.raises(InvalidDatabaseUrl, match=reason):
        EventLog.open(url)


async def test_a_postgresql_url_may_say_what_libpq_understands(postgresql: Server) -> None:
    """As it is written for psql: TLS, the name of the application, settings, how long to wait."""
    told = "sslmode=allow&application_name=engine&options=-c%20work_mem%3D3MB&connect_timeout=9"
    engine = open_engine(parse_url(f"{postgresql.url('postgres')}&{told}"))
    async with engine.connect() as connection:
        name, memory = [
            (await connection.execute(sa.text(f"SHOW {one}"))).scalar_one() for one in ("application_name", "work_mem")
        ]
    await engine.dispose()
    assert (name, memory) == ("engine", "3MB")


async def test_a_certificate_that_a_url_names_is_looked_for(postgresql: Server) -> None:
    """Parameters about TLS reach the driver. Through a socket of this machine there is none, as with psql."""
    engine = open_engine(parse_url(f"{postgresql.url('postgres')}&sslmode=verify-full&sslrootcert=/missing.pem"))
    with pytest.raises(FileNotFoundError):
        await engine.connect()
    await engine.dispose()


def test_no_error_and_no_name_shows_a_password() -> None:
    """Neither the URL of a log nor the error about one."""
    assert "secret" not in EventLog.open("postgresql://me:secret@host/name").url
    for url in (
        "mysql://me:secret@host/name",
        "postgresql://me:p@secret@host/name",
        "postgresql://me:p@s/secret@host/x",
    ):
        with pytest.raises(InvalidDatabaseUrl) as refused:
            EventLog.open(url)
        assert "secret" not in str(refused.value)


async def test_lock_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    """They lie beside the database; without them nobody may write."""
    (tmp_path / "log.db.gate").mkdir()
    with pytest.raises(LogUnavailable, match=r"log\.db\.gate"):
        await EventLog.open(f"sqlite:///{tmp_path / 'log.db'}").start()


async def test_a_log_opens_once(database: str) -> None:
    """Starting it again changes nothing, and a log that was closed stays closed."""
    log = await EventLog.open(database).start()
    assert await log.start() is log
    await log.append(order_stream(new_order_id()), [placed()])
    await log.close()
    with pytest.raises(LogClosed):
        await log.start()


async def test_a_missing_folder_and_a_folder_are_named(tmp_path: Path) -> None:
    """With the words of the operating system."""
    for path, reason in ((tmp_path / "missing" / "x.db", "No such file"), (tmp_path, "directory")):
        with pytest.raises(InvalidDatabaseUrl, match=reason):
            await EventLog.open(f"sqlite:///{path}").start()


async def test_a_file_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    """A log is opened to be written."""
    path = tmp_path / "log.db"
    path.touch(0o400)
    user = os.geteuid()
    if user == 0:  # who may write everything
        os.seteuid(NOBODY)
    try:
        with pytest.raises(InvalidDatabaseUrl, match="Permission denied"):
            await EventLog.open(f"sqlite:///{path}").start()
    finally:
        os.seteuid(user)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Whoever mistypes a path does not lose a file."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada, " * 1000)
    with pytest.raises(LogUnavailable, match="not a database"):
        await EventLog.open(f"sqlite:///{path}").start()
    assert path.read_text() == "Dear Ada, " * 1000


async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Even if it has a table of the same name."""
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE customers (id INTEGER)")
    other.close()
    with pytest.raises(NotAByjyDatabase):
        await EventLog.open(f"sqlite:///{path}").start()
    left = sqlite3.connect(path)
    assert left.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]
    left.close()


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/none", "postgresql://postgres@/none?host=/nonexistent"]
)
async def test_a_server_that_is_not_there_is_said_to_be_so(url: str) -> None:
    """In an error of ours, at once."""
    with pytest.raises(LogUnavailable):
        await EventLog.open(url).start()


async def test_a_database_that_is_not_there_is_said_to_be_so(backend: str, database: str) -> None:
    """The server answers, and its answer is in the error."""
    if backend == "postgresql":
        with pytest.raises(ByjyError, match="does not exist"):
            await EventLog.open(database.replace("/test_", "/no_test_")).start()


async def test_a_new_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    """Orders and positions are nobody else's business; the same holds for the files beside it."""
    async with EventLog.open(f"sqlite:///{tmp_path / 'new.db'}") as log:
        await log.append(order_stream(new_order_id()), [placed()])
        modes = {file.name: file.stat().st_mode & 0o077 for file in os.scandir(tmp_path)}
    assert "new.db" in modes
    assert set(modes.values()) == {0}, modes


def test_a_program_that_forgets_to_close_its_log_still_ends(tmp_path: Path) -> None:
    """And what it was told is durable."""
    program = f"""
import asyncio
from byjy_events import EventLog, OrderSubmitted, new_order_id, order_stream

async def main():
    log = await EventLog.open("sqlite:///{tmp_path / "log.db"}").start()
    await log.append(order_stream(new_order_id()), [OrderSubmitted()])
    print("acknowledged")

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "acknowledged\n"
    assert done.returncode == 0
    left = sqlite3.connect(tmp_path / "log.db")
    assert left.execute("SELECT count(*) FROM events").fetchone() == (1,)
    left.close()

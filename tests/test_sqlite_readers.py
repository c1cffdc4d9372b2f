"""Who may only read a SQLite file.

The file is its owner's alone. An auditor whom the owner lets read it looks, verifies and travels in time without a
right to write anything, beside an engine at work.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from byjy_events import EventLog, LogUnavailable
from projections import TRADING, TRAIL, Queries, catch_up
from tests.cli import SECONDS, command, environment
from tests.story import place, tell_lives

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"]),
    pytest.mark.skipif(sys.platform != "linux", reason="rights of files as Linux has them"),
]

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, DROP_FROM_BOUNDING_SET = 1, 2, 3, 24


def obeying_modes() -> None:
    """What a child does first: a superuser's child would pass the modes of files by."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER):
        ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)


def file_of(database: str) -> Path:
    return Path(database.removeprefix("sqlite:///"))


def files(database: str) -> list[str]:
    return sorted(path.name for path in file_of(database).parent.iterdir())


def modes(database: str) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in file_of(database).parent.iterdir()}


def give_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


def auditor(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(database),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=obeying_modes if os.geteuid() == 0 else None,
    )


@pytest_asyncio.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    """An engine at work, whose files and their folder others may only read."""
    path = file_of(database)
    async with EventLog.open(database) as log:
        await tell_lives(log, 3, 5)
        await catch_up(log, TRADING)
        await catch_up(log, TRAIL)
        for name in files(database):
            give_mode(path.parent / name, 0o000 if name.endswith((".gate", ".lock")) else 0o444)
        give_mode(path.parent, 0o555)
        yield log
        give_mode(path.parent, 0o755)


async def test_an_auditor_looks_beside_an_engine_at_work(log: EventLog) -> None:
    """Listings, the log, the trail, the proof and the past; nothing is written, nobody is told of trouble."""
    order = (await Queries(log.engine).orders())[0].id
    before = files(log.url)
    for arguments in (
        ["orders"],
        ["positions"],
        ["trail"],
        ["events"],
        ["history", str(order)],
        ["verify"],
        ["as-of", "5", "orders"],
    ):
        done = auditor(log.url, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert done.stdout.count("\n") > 1, arguments
    assert auditor(log.url, "status").returncode == 0
    assert files(log.url) == before


@pytest.mark.parametrize("arguments", [["project"], ["rebuild"], ["migrate"]])
async def test_an_auditor_changes_nothing(log: EventLog, arguments: list[str]) -> None:
    """One line says why; the engine goes on."""
    head = await log.head()
    done = auditor(log.url, *arguments)
    if arguments == ["migrate"]:
        assert done.returncode == 0
        assert "nothing to do" in done.stdout
    else:
        assert done.returncode == 2
        assert "Permission denied" in done.stderr
        assert done.stderr.count("\n") == 1
    assert await place(log) == head + 1


async def test_a_log_that_is_only_read_takes_no_append(database: str) -> None:
    """And makes no lock files; what others append it sees."""
    async with EventLog.open(database, read_only=True) as reader:
        with pytest.raises(LogUnavailable, match="opened to be read only"):
            await place(reader)
        assert "log.db.gate" not in files(database)
        async with EventLog.open(database) as engine:
            position = await place(engine)
        assert [one.position async for one in reader.read()] == [position]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_every_file_of_a_new_database_is_its_owners_alone(backend: str, tmp_path: Path, mask: int) -> None:
    """The file, its WAL and its lock files, whatever the umask allows."""
    before = os.umask(mask)
    try:
        async with EventLog.open(f"sqlite:///{tmp_path / 'new.db'}") as log:
            await place(log)
            await catch_up(log, TRADING)
            found = modes(f"sqlite:///{tmp_path / 'new.db'}")
    finally:
        os.umask(before)
    assert found.keys() >= {"new.db", "new.db-wal", "new.db-shm", "new.db.gate", "new.db.lock"}
    assert set(found.values()) == {0o600}


async def test_the_mode_that_an_owner_gave_a_file_stays(database: str) -> None:
    """Who lets a group read its file has decided so."""
    give_mode(file_of(database), 0o640)
    async with EventLog.open(database) as log:
        await place(log)
        assert {mode for name, mode in modes(database).items() if name in ("log.db", "log.db-wal")} == {0o640}
    assert modes(database)["log.db"] == 0o640


async def test_a_file_at_rest_in_a_folder_that_may_not_be_written_is_copied_first(
    database: str, tmp_path: Path
) -> None:
    """SQLite needs the WAL's index beside the file; a copy in a folder of one's own can be looked at."""
    async with EventLog.open(database) as log:
        await tell_lives(log, 3, 2)
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(file_of(database), own / "copy.db")
    give_mode(file_of(database), 0o444)
    give_mode(tmp_path, 0o555)
    try:
        refused = auditor(database, "events")
        done = auditor(f"sqlite:///{own / 'copy.db'}", "events")
    finally:
        give_mode(tmp_path, 0o755)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert (done.returncode, done.stderr) == (0, "")

"""The audit: says nothing of a good log, and of one that was tampered with, where and how."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.proof.auditing import audit
from byjy_events.proof.checkpoint import signed_checkpoint
from byjy_events.proof.finding import FINDINGS, Audit, FindingKind, Findings
from byjy_events.proof.note import Signer
from byjy_events.proof.tables import FAN_OUT
from tests.sample_events import placed
from tests.tamper.campaign import campaign
from tests.tamper.sealed import EVENTS, ORIGIN, SIZES, Sealed, seal, sealed_log

TAMPERINGS = 250
"""On each database."""


@pytest.fixture
async def sealed(database: str) -> Sealed:
    return await sealed_log(database)


async def found_in(sealed: Sealed, *, exported: bool = True) -> Audit:
    async with EventLog.open(sealed.url, read_only=True) as log:
        return await audit(log, sealed.trusted, sealed.notes if exported else ())


async def test_nothing_is_found_in_a_log_that_nobody_altered(sealed: Sealed) -> None:
    """All of it was looked at, against every checkpoint, those in the database and those outside."""
    reported: list[tuple[int, int]] = []
    async with EventLog.open(sealed.url) as log:
        found = await audit(log, sealed.trusted, sealed.notes, progress=lambda *at: reported.append(at))
        assert found == Audit(EVENTS, 2 * len(SIZES), EVENTS, ())
        assert found.intact
        assert reported[-1] == (EVENTS, EVENTS)
        await log.append((await anext(log.read(limit=1))).stream, [placed()])
        found = await audit(log, sealed.trusted, sealed.notes)
        assert (found.intact, found.events, found.sealed) == (True, EVENTS + 1, EVENTS)


async def test_an_empty_log_is_intact(database: str) -> None:
    """Sealed is nothing of it, and a checkpoint of more says that it was emptied."""
    signer = Signer.new(ORIGIN)
    async with EventLog.open(database) as log:
        assert await audit(log, []) == Audit(0, 0, 0, ())
        note = signed_checkpoint(3, bytes(32), [signer]).note
        found = await audit(log, [signer.verifier], [note])
        assert [(one.kind, one.first, one.last) for one in found.findings] == [(FindingKind.TRUNCATED, 1, 3)]


async def test_what_is_sealed_during_an_audit_is_no_finding(sealed: Sealed) -> None:
    """A checkpoint and a subtree of more events than there were when it began are of a log that grew."""

    async def grown() -> str:
        async with EventLog.open(sealed.url) as log:
            stream = (await anext(log.read(limit=1))).stream
            await log.append(stream, [placed()] * FAN_OUT)
            return await seal(log, sealed.signer)

    def exported() -> Iterator[str]:
        with ThreadPoolExecutor(1) as another:
            yield another.submit(asyncio.run, grown()).result()

    async with EventLog.open(sealed.url, read_only=True) as log:
        found = await audit(log, sealed.trusted, exported())
    assert found == Audit(EVENTS + FAN_OUT, len(SIZES) + 2, EVENTS + FAN_OUT, ())


def test_of_very_many_findings_the_first_ones_are_kept() -> None:
    """In the order of the log, whatever order they are found in; the others are counted."""
    findings = Findings()
    for position in range(1_000, 0, -1):
        findings.add(position, position, FindingKind.ALTERED, "")
    told, further = findings.told()
    assert [one.first for one in told] == list(range(1, FINDINGS + 1))
    assert further == 1_000 - FINDINGS


async def test_without_trusted_keys_checkpoints_are_compared_and_prove_nothing(sealed: Sealed) -> None:
    """So ``sealed`` is 0, whatever they say."""
    async with EventLog.open(sealed.url, read_only=True) as log:
        assert await audit(log, [], sealed.notes) == Audit(EVENTS, 2 * len(SIZES), 0, ())


async def test_checkpoints_of_somebody_else_are_not_believed(sealed: Sealed) -> None:
    """Each is named; those of the database as well."""
    async with EventLog.open(sealed.url, read_only=True) as log:
        found = await audit(log, [Signer.new(ORIGIN).verifier], sealed.notes)
    assert [(one.kind, one.first) for one in found.findings] == [
        (FindingKind.CHECKPOINT, size) for size in SIZES for _ in range(2)
    ]
    assert (found.sealed, found.checkpoints) == (0, 0)


@pytest.mark.timeout(300)
async def test_every_tampering_is_found_and_blamed_on_nothing_else(database: str) -> None:
    """Flips, deletions, insertions, swaps, cut tails, hashes computed anew, older copies, tree and checkpoints."""
    assert await campaign(database, range(TAMPERINGS)) == []


# --- bytes in the file of SQLite --------------------------------------------------------------------


@pytest.fixture
async def sealed_file(migrated_file: Path, tmp_path: Path) -> tuple[Sealed, Path]:
    """A sealed log in one file without a WAL."""
    path = tmp_path / "sealed.db"
    shutil.copyfile(migrated_file, path)
    sealed = await sealed_log(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return sealed, path


async def test_flipped_bytes_of_an_event_are_found_at_its_position(sealed_file: tuple[Sealed, Path]) -> None:
    """In payload, actor, ids and hash, wherever they lie in the file."""
    sealed, path = sealed_file
    good = path.read_bytes()
    chance = random.Random(5)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT position, payload, leaf_hash FROM events").fetchall()
    for position, payload, leaf in chance.sample(rows, 25):
        cell = good.index(bytes(payload))
        for at in (cell + chance.randrange(len(payload)), good.index(bytes(leaf)) + chance.randrange(32)):
            damaged = bytearray(good)
            damaged[at] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            findings = (await found_in(sealed)).findings
            assert [one.kind for one in findings if one.first == one.last == position] == [FindingKind.ALTERED]
            assert findings[0].first <= position <= findings[0].last
    path.write_bytes(good)
    assert (await found_in(sealed)).intact


async def test_a_page_that_cannot_be_read_is_found_with_the_events_on_it(sealed_file: tuple[Sealed, Path]) -> None:
    """What lies on other pages is looked at all the same."""
    sealed, path = sealed_file
    good = path.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        position, payload = connection.execute("SELECT position, payload FROM events WHERE position = 350").fetchone()
    page = good.index(bytes(payload)) // page_bytes * page_bytes
    path.write_bytes(good[:page] + b"\xff" * page_bytes + good[page + page_bytes :])
    found = await found_in(sealed)
    unreadable = [one.first for one in found.findings if one.kind is FindingKind.UNREADABLE]
    assert position in unreadable
    assert len(unreadable) < 50
    assert found.findings[0].first <= position


async def test_an_older_copy_of_the_file_is_found_by_the_exported_checkpoint_alone(
    sealed_file: tuple[Sealed, Path],
) -> None:
    """Its own tables agree with each other in everything."""
    sealed, path = sealed_file
    older = path.read_bytes()
    async with EventLog.open(sealed.url) as log:
        await log.append((await anext(log.read(limit=1))).stream, [placed()])
        newest = await seal(log, sealed.signer)
    for name in path.parent.glob(f"{path.name}-*"):
        name.unlink()
    path.write_bytes(older)
    assert (await found_in(sealed)).intact
    found = await found_in(sealed._replace(notes=(*sealed.notes, newest)))
    (finding,) = found.findings
    assert (finding.kind, finding.first, finding.last) == (FindingKind.TRUNCATED, EVENTS + 1, EVENTS + 1)

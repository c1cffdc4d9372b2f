"""A copy of a log in another database is the same log, row by row; and nothing else is ever taken for one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from byjy_events import EventLog, OrderSubmitted, VersionConflict
from byjy_events.copying import (
    Copied,
    CopyFailed,
    LogDamaged,
    NotAllowed,
    SameDatabase,
    TargetAhead,
    TargetInUse,
    TargetIsAnother,
    WrappedOtherwise,
    copier,
    copy_log,
    tables,
)
from byjy_events.database import is_sqlite, parse_url, sqlite_path
from byjy_events.grants import engine_grants
from byjy_events.log_table import system_logs
from byjy_events.postgres.copying import APPEND_LOCK_KEY, PostgresDestination
from byjy_events.proof import Sealer
from byjy_events.proof.auditing import audit
from byjy_events.proof.consistency import consistency_proof
from byjy_events.proof.inclusion import inclusion_proof
from byjy_events.proof.tables import merkle_nodes, tree_checkpoints
from byjy_events.schema import events
from byjy_events.sealing import Erased, Vault
from byjy_events.sealing.key_store import key_store
from byjy_events.secret import Secret
from byjy_events.sqlite.backend import SqliteBackend
from byjy_events.system_logs import prune
from byjy_events.vocabulary.orders import OrderFilled
from tests.copies import LOG_ENTRIES, SECRET, WAYS, assert_equal, filled, new_databases, rows
from tests.rows import a_row_of, writable_engine
from tests.sealed import grow, keys, seal, vandal
from tests.sealing import change_stored, local_key, open_vault, raw_bytes, stored_keys, user
from tests.story import tell_lives

CHUNK = 100
"""Events of a transaction here, so that there are several."""

PIECE = 2
"""Rows of a table that are held at once here."""

ONE_WAY = pytest.mark.parametrize("ends", WAYS[:1], indirect=True, ids="-to-".join)
ALL_WAYS = pytest.mark.parametrize("ends", WAYS, indirect=True, ids="-to-".join)


@pytest.fixture(params=WAYS[:2], ids="-to-".join)
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The URLs of fresh databases, two of them unless told."""
    folder = tmp_path / "ends"
    folder.mkdir()
    with new_databases(request.param, folder, request) as urls:
        yield urls


@pytest.fixture(autouse=True)
def _in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copier, "CHUNK_EVENTS", CHUNK)
    monkeypatch.setattr(tables, "PIECE_ROWS", PIECE)


async def copied(ends: list[str], progress: copier.Progress | None = None, *, replace_keys: bool = False) -> Copied:
    source, target = ends
    async with EventLog.open(source, read_only=True) as one, EventLog.open(target) as other:
        return await copy_log(one, other, progress=progress, replace_keys=replace_keys)


async def cut_short(ends: list[str], chunks: int) -> None:
    """A copy that ends after so many transactions."""

    class Enough(Exception):
        pass

    seen: list[int] = []

    def stop(reached: int, _aimed: int) -> None:
        seen.append(reached)
        if len(seen) == chunks:
            raise Enough

    with pytest.raises(Enough):
        await copied(ends, stop)


# --- what a copy is ---------------------------------------------------------------------------------


@ALL_WAYS
async def test_a_copy_is_the_same_row_by_row(ends: list[str]) -> None:
    """Positions, ids, clocks, payloads, hashes, subtrees, checkpoints, keys and system logs. Again, nothing is left."""
    original = await filled(ends[0])
    reported: list[tuple[int, int]] = []
    done = await copied(ends, lambda *at: reported.append(at))
    await assert_equal(*ends)
    assert (done.before, done.size, reported[-1]) == (0, original.size, (original.size, original.size))
    assert {one.name: one.added for one in done.tables} == {
        "merkle_nodes": original.sealed >> 8,
        "tree_checkpoints": 2,
        "key_store": 3,
        "system_logs": LOG_ENTRIES,
    }
    again = await copied(ends)
    assert (again.before, again.size, again.root) == (done.size, done.size, done.root)
    assert [(one.added, one.changed) for one in again.tables] == [(0, 0)] * 4


async def test_proofs_are_the_same_and_an_auditor_who_trusts_the_key_finds_nothing(ends: list[str]) -> None:
    """To the byte; signatures and all."""
    original = await filled(ends[0])
    await copied(ends)
    notes = [note for _, _, note, _ in await rows(ends[0], tree_checkpoints)]
    event_id = (await rows(ends[0], events))[original.sealed // 2][1]
    proofs = []
    for url in ends:
        async with EventLog.open(url, read_only=True) as log:
            proofs.append([await inclusion_proof(log, event_id), await consistency_proof(log, *notes)])
            found = await audit(log, keys().verifiers, notes)
            assert (found.findings, found.events, found.sealed) == ((), original.size, original.sealed)
    assert proofs[0] == proofs[1]


async def test_the_copy_goes_on_as_the_log_would_have(ends: list[str]) -> None:
    """The next position, the next versions, facts that are known, secrets, the sealer. Then the way back is a copy."""
    await filled(ends[0])
    size = (await copied(ends)).size
    async with EventLog.open(ends[1]) as log:
        last = await anext(log.read(backward=True, limit=1))
        with pytest.raises(VersionConflict):
            await log.append(last.stream, [OrderSubmitted()], expected=last.stream_version - 1)
        receipt = await log.append(last.stream, [OrderSubmitted()], expected=last.stream_version)
        assert receipt.position == size + 1
        fill = await anext(log.read(types=[OrderFilled]))
        assert isinstance(fill.event, OrderFilled)
        assert (await log.append(fill.stream, [fill.event])).events[0].position == fill.position
        assert await log.head() == size + 1
        assert (await seal(log)).size == size + 1
        await Vault(log, local_key()).seal(user(9), "email", SECRET)
    back = await copied(ends[::-1])
    assert (back.before, back.size) == (size, size + 1)
    await assert_equal(*ends)


@pytest.mark.parametrize("ends", [(*there, there[0]) for there in WAYS[:2]], indirect=True, ids="-to-".join)
async def test_there_and_back_again_is_the_original(ends: list[str]) -> None:
    """In a third database, of the first one's kind."""
    first, second, third = ends
    await filled(first)
    await copied([first, second])
    await copied([second, third])
    await assert_equal(first, third)


async def test_an_empty_log_is_copied_with_what_lies_beside_it(ends: list[str]) -> None:
    """Which may be data keys of what is to be appended. When it was, it is gone on with like any copy."""
    async with open_vault(ends[0]) as vault:
        await vault.seal(user(1), "email", SECRET)
    assert (await copied(ends)).size == 0
    assert await rows(ends[1], key_store) == await rows(ends[0], key_store)
    assert (await copied(ends)).size == 0
    size = (await filled(ends[0])).size
    done = await copied(ends)
    assert (done.before, done.size) == (0, size)
    await assert_equal(*ends)


# --- a copy that was cut short, and a source that goes on ----------------------------------------------


async def test_a_copy_that_was_cut_short_goes_on_where_it_ended(ends: list[str]) -> None:
    """As often as it takes."""
    await filled(ends[0])
    await cut_short(ends, 2)
    await cut_short(ends, 1)
    assert (await copied(ends)).before == 3 * CHUNK
    await assert_equal(*ends)


@pytest.mark.parametrize("ends", WAYS[2:], indirect=True, ids="-to-".join)
async def test_a_copy_that_was_cancelled_goes_on_at_once(ends: list[str]) -> None:
    """With the same open logs. What was queued is stored then, and not still to come."""
    await filled(ends[0])
    async with EventLog.open(ends[0], read_only=True) as source, EventLog.open(ends[1]) as target:
        assert isinstance(target.backend, SqliteBackend)
        lane, freed = target.backend.lane, threading.Event()

        def stop(_reached: int, _aimed: int) -> None:
            lane.run(lambda connection: freed.wait())  # the next chunk is queued behind it
            for action in (task.cancel, freed.set):
                asyncio.get_running_loop().call_later(0.05, action)

        task = asyncio.create_task(copy_log(source, target, progress=stop))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await copy_log(source, target)).before == 2 * CHUNK
    await assert_equal(*ends)


async def test_a_log_that_is_appended_to_is_copied_up_to_where_it_was(ends: list[str]) -> None:
    """The next copy does the rest, checkpoints and keys of the meantime included."""
    original = await filled(ends[0])
    added: list[int] = []

    async def go_on() -> None:
        async with EventLog.open(ends[0]) as log:
            await Vault(log, local_key()).seal(user(5), "email", SECRET)
            await tell_lives(log, 7, 5)
            await seal(log)
            added.append(await log.head())

    assert (await copied(ends, meanwhile(go_on))).size == original.size
    assert added[0] > original.size
    assert len(await rows(ends[1], tree_checkpoints)) == 2
    done = await copied(ends)
    assert (done.before, done.size) == (original.size, added[0])
    await assert_equal(*ends)


def meanwhile(work: Callable[[], Coroutine[Any, Any, None]]) -> copier.Progress:
    """Do something from beginning to end after the first chunk, while the event loop of the copy stands still."""

    def progress(reached: int, _aimed: int) -> None:
        if reached == CHUNK:
            thread = threading.Thread(target=lambda: asyncio.run(work()))
            thread.start()
            thread.join()

    return progress


async def test_whoever_else_writes_to_the_target_is_noticed(ends: list[str]) -> None:
    """Nothing is written upon it, neither then nor later."""
    await filled(ends[0])

    async def interfere() -> None:
        async with EventLog.open(ends[1]) as log:
            await grow(log, 1)

    with pytest.raises(TargetInUse, match=f"it is at position {CHUNK + 1}, the copy at {CHUNK}"):
        await copied(ends, meanwhile(interfere))
    with pytest.raises(TargetIsAnother, match=f"another event at position {CHUNK + 1}"):
        await copied(ends)


# --- keys ---------------------------------------------------------------------------------------------


async def test_secrets_are_revealed_at_the_target_with_the_same_key(ends: list[str]) -> None:
    """And those that were erased are not."""
    values = (await filled(ends[0])).values
    await copied(ends)
    async with open_vault(ends[1]) as vault:
        assert await vault.reveal(user(1), "email", values[1]) == Secret(SECRET)
        with pytest.raises(Erased):
            await vault.reveal(user(0), "email", values[0])


async def test_what_is_erased_at_the_source_later_is_erased_at_the_target_by_the_next_round(ends: list[str]) -> None:
    """For good: the wrapped key is nowhere in a SQLite target. What was wrapped anew comes along."""
    values = (await filled(ends[0])).values
    await copied(ends)
    wrapped = await stored_keys(ends[1])
    async with open_vault(ends[0]) as vault:
        await vault.rotate(local_key(2))
        await vault.erase(user(1))
    async with EventLog.open(ends[0]) as log:
        await grow(log, 1)
    done = {one.name: one for one in (await copied(ends)).tables}
    assert (done["key_store"].added, done["key_store"].changed, done["key_store"].rows) == (0, 2, 3)
    await assert_equal(*ends)
    async with open_vault(ends[1], local_key(2)) as vault:
        with pytest.raises(Erased):
            await vault.reveal(user(1), "email", values[1])
        assert await vault.reveal(user(2), "email", values[2]) == Secret(SECRET)
    if is_sqlite(parse_url(ends[1])):
        everything = await raw_bytes(ends[1])
        assert not any(key in everything for key in wrapped.values() if key is not None)


async def test_what_was_erased_at_the_target_never_comes_back(ends: list[str]) -> None:
    """Nothing at all is copied from a source that still has the key."""
    values = (await filled(ends[0])).values
    await copied(ends)
    async with open_vault(ends[1]) as vault:
        await vault.erase(user(2))
    async with EventLog.open(ends[0]) as log:
        await grow(log, 1)
    before = await rows(ends[1], events)
    with pytest.raises(TargetIsAnother, match=r"key_store of id \S+ differs"):
        await copied(ends)
    assert await rows(ends[1], events) == before
    async with open_vault(ends[1]) as vault:
        with pytest.raises(Erased):
            await vault.reveal(user(2), "email", values[2])


async def test_keys_do_not_go_back_under_the_key_of_before_a_rotation(ends: list[str]) -> None:
    """A rotation leaves no event, and the old key is destroyed after it. So a copy in the wrong direction is refused,
    and one in the right direction has to be asked for.
    """
    await filled(ends[0])
    await copied(ends)
    async with open_vault(ends[0]) as vault:
        await vault.rotate(local_key(2))
    rotated, before = [await rows(url, key_store) for url in ends]
    for way in (ends[::-1], ends):
        with pytest.raises(WrappedOtherwise, match="nothing tells which is newer") as caught:
            await copied(way)
        assert {caught.value.key_id, caught.value.source_key_id} == {row[4] for row in (*rotated, *before) if row[5]}
    assert [await rows(url, key_store) for url in ends] == [rotated, before]
    done = {one.name: one for one in (await copied(ends, replace_keys=True)).tables}
    assert (done["key_store"].changed, await rows(ends[1], key_store)) == (2, rotated)


@ONE_WAY
async def test_keys_that_change_all_the_while_are_left_to_the_next_copy(
    ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotation may take hours where each key is a call over the network."""
    await filled(ends[0])
    await copied(ends)
    async with EventLog.open(ends[0]) as log:
        await grow(log, 1)
        number = 1
        write = PostgresDestination.change_keys

        async def rotated_again(*given: Any) -> None:
            nonlocal number
            await write(*given)
            number += 1
            await Vault(log, local_key(number - 1)).rotate(local_key(number))

        await Vault(log, local_key()).rotate(local_key(number := 2))
        monkeypatch.setattr(PostgresDestination, "change_keys", rotated_again)
        done = {one.name: one for one in (await copied(ends)).tables}
        monkeypatch.undo()
    assert (done["key_store"].settled, done["system_logs"].settled) == (False, True)
    again = {one.name: one for one in (await copied(ends, replace_keys=True)).tables}
    assert again["key_store"].settled
    await assert_equal(*ends)


@ONE_WAY
async def test_whoever_changes_what_was_just_copied_is_noticed(
    ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is read again."""
    await filled(ends[0])
    add = PostgresDestination.add

    async def spoilt(self: PostgresDestination, table: sa.Table, found: Sequence[Any]) -> None:
        await add(self, table, found)
        if table is key_store:
            await change_stored(ends[1], found[0][0], field="another")

    monkeypatch.setattr(PostgresDestination, "add", spoilt)
    with pytest.raises(TargetIsAnother, match=r"key_store of id \S+ is not what was copied there"):
        await copied(ends)


@ONE_WAY
async def test_system_logs_that_were_pruned_at_the_source_stay_at_the_target(ends: list[str]) -> None:
    """What is new is copied all the same."""
    await filled(ends[0])
    await copied(ends)
    before = await rows(ends[1], system_logs)
    async with EventLog.open(ends[0]) as log:
        await prune(log, keep_rows=1)
    done = {one.name: one for one in (await copied(ends)).tables}
    assert (done["system_logs"].rows, done["system_logs"].added) == (1, 0)
    assert await rows(ends[1], system_logs) == before


# --- what is refused ------------------------------------------------------------------------------------


async def test_another_log_is_not_gone_on_with(ends: list[str]) -> None:
    """Shorter or longer; the error names what is there, and nothing is changed."""
    await filled(ends[0])
    other = await filled(ends[1], orders=4, seed=9)
    before = [await rows(url, events) for url in ends]
    with pytest.raises(TargetIsAnother, match=f"another event at position {other.size}"):
        await copied(ends)
    with pytest.raises(TargetAhead, match="it is another log"):
        await copied(ends[::-1])
    assert [await rows(url, events) for url in ends] == before


@ONE_WAY
async def test_the_wrong_direction_is_refused(ends: list[str]) -> None:
    """From a copy that ends earlier to its longer source."""
    size = (await filled(ends[0])).size
    await cut_short(ends, 1)
    with pytest.raises(TargetAhead, match="is the direction right") as caught:
        await copied(ends[::-1])
    assert (caught.value.head, caught.value.source_head, caught.value.is_continued) == (size, CHUNK, True)


@ONE_WAY
@pytest.mark.parametrize("table", [tree_checkpoints, key_store, system_logs], ids=lambda table: table.name)
async def test_a_target_without_events_has_to_be_empty(ends: list[str], table: sa.Table) -> None:
    """But for what the source has too: the rest belongs to something else then."""
    await filled(ends[0])
    engine = writable_engine(ends[1])
    async with engine.begin() as connection:
        await connection.execute(sa.insert(table).values(a_row_of(table)))
    await engine.dispose()
    with pytest.raises(TargetIsAnother, match=f"{table.name} of [a-z]+ .* is not in the source"):
        await copied(ends)
    assert await rows(ends[1], events) == []


async def test_a_copy_that_has_begun_a_life_of_its_own_is_refused(ends: list[str]) -> None:
    """It was sealed, or has data keys, that the source knows nothing of."""
    await filled(ends[0])
    await copied(ends)
    async with EventLog.open(ends[1]) as log:
        await seal(log)
    with pytest.raises(TargetIsAnother, match=r"tree_checkpoints of size \d+ is not in the source"):
        await copied(ends)
    async with EventLog.open(ends[0]) as log:
        await Sealer(log, keys(2, 1)).seal_once()
    with pytest.raises(TargetIsAnother, match=r"tree_checkpoints of size \d+ differs"):
        await copied(ends)


async def test_a_database_is_not_copied_into_itself(database: str, tmp_path: Path) -> None:
    """Under whatever name."""
    url = parse_url(database)
    if is_sqlite(url):
        os.link(sqlite_path(url), tmp_path / "other.db")
        other = f"sqlite:///{tmp_path / 'other.db'}"
    else:
        other = database.replace("postgresql://", "postgres://")
    with pytest.raises(SameDatabase):
        await copied([database, other])


@ONE_WAY
@pytest.mark.parametrize("what", ["altered", "missing", "missing at the end", "of another kind"])
async def test_a_damaged_source_is_refused_at_its_position(ends: list[str], what: str) -> None:
    """What lies before the chunk is copied, nothing of the chunk is."""
    size = (await filled(ends[0])).size
    at = size if what == "missing at the end" else 2 * CHUNK + 17
    async with vandal(ends[0]) as connection:
        this = events.c.position == at
        if what == "altered":
            await connection.execute(sa.update(events).where(this).values(actor="nobody"))
        elif what == "missing":
            await connection.execute(sa.delete(events).where(this))
        elif what == "missing at the end":
            await connection.execute(sa.delete(events).where(events.c.position.between(at - CHUNK, at - 1)))
            at -= CHUNK
        else:
            await connection.execute(sa.update(events).where(this).values(recorded_at=-1))
    with pytest.raises(LogDamaged, match=f"position {at}: ") as caught:
        await copied(ends)
    assert caught.value.position == at
    assert len(await rows(ends[1], events)) == (at - 1) // CHUNK * CHUNK


@ONE_WAY
async def test_what_was_altered_behind_a_copy_shows_in_the_root(ends: list[str]) -> None:
    """The overlap is looked at in one place only, but the trees are of all of it."""
    await filled(ends[0])
    await cut_short(ends, 1)
    async with vandal(ends[1]) as connection:
        this = events.c.position == 5
        await connection.execute(sa.update(events).where(this).values(leaf_hash=bytes(32)))
    async with vandal(ends[0]) as connection:
        await connection.execute(sa.delete(merkle_nodes))
        await connection.execute(sa.delete(tree_checkpoints))
    with pytest.raises(TargetIsAnother, match="another root over"):
        await copied(ends)


# --- databases that fail ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", WAYS[1:], indirect=True, ids="-to-".join)
async def test_a_full_disk_is_told_and_gone_on_from(ends: list[str]) -> None:
    """Up to where it is copied for certain; when there is room again the same call does the rest."""
    original = await filled(ends[0])
    async with EventLog.open(ends[0], read_only=True) as source, EventLog.open(ends[1]) as target:
        assert isinstance(target.backend, SqliteBackend)
        lane = target.backend.lane
        (pages,) = await lane.run(lambda connection: connection.execute("PRAGMA page_count").fetchone())
        await lane.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 12}").fetchone())
        with pytest.raises(CopyFailed, match=r"database or disk is full; copied up to position \d+") as caught:
            await copy_log(source, target)
        assert caught.value.database == target.url
        assert await target.head() == caught.value.position < original.size
        await lane.run(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
        assert (await copy_log(source, target)).before == caught.value.position
    await assert_equal(*ends)


@ONE_WAY
async def test_a_role_that_may_only_append_is_refused(ends: list[str]) -> None:
    """It is named, with the table, before anything is written."""
    await filled(ends[0], orders=2)
    role = f"copier_of_{parse_url(ends[1]).database}"
    owner = await asyncpg.connect(ends[1])
    try:
        for statement in (f"CREATE ROLE {role} LOGIN", *engine_grants(role)):
            await owner.execute(statement)
        as_role = ends[1].replace("postgres@", f"{role}@")
        with pytest.raises(NotAllowed) as caught:
            await copied([ends[0], as_role])
        assert (caught.value.role, caught.value.table) == (role, "events")
        assert await rows(ends[1], events) == []
    finally:
        await owner.execute(f"DROP OWNED BY {role}")
        await owner.execute(f"DROP ROLE {role}")
        await owner.close()


@ONE_WAY
async def test_what_the_target_refuses_is_named(ends: list[str]) -> None:
    """The events of the chunk; a text with a zero is one that PostgreSQL does not take. The row itself is not shown."""
    await filled(ends[0], orders=2)
    (first, *_) = await stored_keys(ends[0])
    await change_stored(ends[0], first, field="a\0b")
    with pytest.raises(CopyFailed, match="refused") as caught:
        await copied(ends)
    assert "\n" not in str(caught.value)
    assert str(first) not in str(caught.value)


@ONE_WAY
async def test_the_lock_is_that_of_the_appends(ends: list[str]) -> None:
    """Else an engine could append in the middle of a chunk."""
    connection = await asyncpg.connect(ends[1])
    body = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'append_events'")
    await connection.close()
    assert f"pg_advisory_xact_lock({APPEND_LOCK_KEY})" in body

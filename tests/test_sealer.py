"""The sealer: signs what the log is, never twice, never what was changed since, and takes it out of the database."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from byjy_events import CorruptLog, EventLog, LogClosed, LogUnavailable
from byjy_events.proof import (
    AppendedFile,
    Checkpoint,
    CheckpointPlace,
    ExportFailed,
    Folder,
    InvalidNote,
    LogAltered,
    LogRolledBack,
    NotSigned,
    Sealer,
    SealTimeout,
    checkpoint_of,
)
from byjy_events.proof.checkpoint import signed_checkpoint
from byjy_events.proof.note import signed
from byjy_events.proof.tables import merkle_nodes, tree_checkpoints
from byjy_events.schema import events
from tests.sealed import (
    cut_connections,
    grow,
    keys,
    leaves,
    naive_root,
    seal,
    signer,
    stored_nodes,
    stored_sizes,
    tree_of,
    vandal,
)

SECONDS = 30.0
FAST = 0.01

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"])
only_postgresql = pytest.mark.parametrize("backend", ["postgresql"])


class Memory:
    """A place in memory, which fails when it is told to."""

    name = "memory"

    def __init__(self, *held: Checkpoint) -> None:
        self.held = list(held)
        self.error: Exception | None = None

    async def put(self, checkpoint: Checkpoint) -> None:
        if self.error is not None:
            raise self.error
        self.held.append(checkpoint)

    async def newest(self) -> Checkpoint | None:
        if self.error is not None:
            raise self.error
        return self.held[-1] if self.held else None

    @property
    def sizes(self) -> list[int]:
        return [one.size for one in self.held]


# --- sealing -----------------------------------------------------------------------------------------------


async def test_the_whole_log_is_signed_stored_and_exported(database: str, tmp_path: Path) -> None:
    """The root is that of RFC 6962 over all leaves; the same note lies in the database and in every place."""
    places: list[CheckpointPlace] = [AppendedFile(tmp_path / "file"), Folder(tmp_path / "folder")]
    async with EventLog.open(database) as log:
        await grow(log, 300)
        checkpoint = await Sealer(log, keys(), places=places).seal_once()
        assert checkpoint is not None
        assert checkpoint_of(checkpoint.note, [signer().verifier]) == checkpoint
        assert (checkpoint.size, checkpoint.root) == (300, naive_root(await leaves(log)))
        assert [await place.newest() for place in places] == [checkpoint] * 2
        async with tree_of(log) as the_tree:
            stored = await the_tree.checkpoint()
        assert stored is not None
        assert stored[:3] == (checkpoint.size, checkpoint.root, checkpoint.note)


async def test_nothing_is_signed_while_the_head_stands(database: str) -> None:
    """And an empty log has no checkpoint at all."""
    place = Memory()
    async with EventLog.open(database) as log:
        one = Sealer(log, keys(), places=[place])
        assert await one.seal_once() is None
        await grow(log, 3)
        first = await one.seal_once()
        assert await one.seal_once() == await Sealer(log, keys()).seal_once() == first
        assert (await stored_sizes(log), place.sizes) == ([3], [3])


async def test_a_long_log_is_sealed_in_pieces(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of them the event loop, and whoever appends, goes on."""
    monkeypatch.setattr("byjy_events.proof.tree.BLOCKS_AT_ONCE", 1)
    async with EventLog.open(database) as log:
        await grow(log, 5_000)
        sealing = asyncio.create_task(seal(log))
        appended = 0
        while not sealing.done():
            appended = await grow(log, 1) - 5_000
        assert appended > 3
        checkpoint = await sealing
        assert checkpoint.root == naive_root((await leaves(log))[: checkpoint.size])


async def test_a_sealer_follows_the_log(database: str) -> None:
    """Of this process and of others; whoever waits for a position is told when it is sealed and exported."""
    place = Memory()
    async with EventLog.open(database) as other, EventLog.open(database) as log:
        async with Sealer(log, keys(), places=[place], every_seconds=FAST) as following:
            for writer in (log, other, log):
                position = await grow(writer, 100)
                await following.wait_for(position, timeout_seconds=SECONDS)
                assert place.sizes[-1] == following.position == position
            with pytest.raises(SealTimeout, match=r"position 301 was not sealed .* sealed is 300"):
                await following.wait_for(301, timeout_seconds=0.01)
        with pytest.raises(LogClosed):
            await following.wait_for(301)
        for size, note in [(one.size, one.note) for one in place.held]:
            assert checkpoint_of(note, [signer().verifier]).root == naive_root((await leaves(log))[:size])


async def test_two_sealers_share_the_work(database: str) -> None:
    """Each checkpoint is signed once, whoever got through; and both go on, quietly."""
    places = [Memory(), Memory()]
    with capture_logs() as said:
        async with EventLog.open(database) as one, EventLog.open(database) as two:
            async with (
                Sealer(one, keys(), places=places[:1], every_seconds=FAST) as first,
                Sealer(two, keys(), places=places[1:], every_seconds=FAST) as second,
            ):
                for _ in range(8):
                    position = await grow(one, 100)
                    await asyncio.gather(
                        *(each.wait_for(position, timeout_seconds=SECONDS) for each in (first, second))
                    )
            hashes = await leaves(one)
            async with tree_of(one) as the_tree:
                stored = await the_tree.checkpoints()
            assert [row.root for row in stored] == [naive_root(hashes[: row.size]) for row in stored]
            assert [row.size for row in stored] == sorted({row.size for row in stored})
            for place in places:
                assert place.sizes == sorted(place.sizes)
                assert set(place.sizes) <= {row.size for row in stored}
                assert place.sizes[-1] == len(hashes)
            assert len(await stored_nodes(one)) == len(hashes) // 256
    assert said == []


async def test_of_many_that_seal_at_once_each_returns_the_head(database: str) -> None:
    """The losers find what the winner stored."""
    async with EventLog.open(database) as log:
        await grow(log, 1_000)
        found = await asyncio.gather(*(Sealer(log, keys()).seal_once() for _ in range(5)))
        assert {one.size for one in found if one is not None} == {1_000}
        assert await stored_sizes(log) == [1_000]


# --- what was changed ---------------------------------------------------------------------------------------


async def test_the_last_events_altered_are_found_before_anything_is_signed(database: str) -> None:
    """The error names both roots, and nothing is stored on top."""
    async with EventLog.open(database) as log:
        await grow(log, 250)
        before = await seal(log)
        async with vandal(database) as connection:
            await connection.execute(sa.update(events).where(events.c.position == 249).values(leaf_hash=bytes(32)))
        await grow(log, 100)
        with pytest.raises(LogAltered, match=r"the log was altered: signed is the root .* the log gives .*") as caught:
            await seal(log)
        assert (caught.value.size, caught.value.signed_root, caught.value.source) == (250, before.root, "the database")
        assert caught.value.found_root == naive_root((await leaves(log))[:250])
        assert (await stored_sizes(log), await stored_nodes(log)) == ([250], {})


async def test_a_stored_subtree_that_was_altered_is_found(database: str) -> None:
    """The tree is no less guarded than the log."""
    async with EventLog.open(database) as log:
        await grow(log, 600)
        await seal(log)
        async with vandal(database) as connection:
            await connection.execute(sa.update(merkle_nodes).where(merkle_nodes.c.number == 1).values(hash=bytes(32)))
        with pytest.raises(LogAltered):
            await seal(log)


async def test_an_event_that_is_gone_is_found(database: str) -> None:
    """Among the last ones, below the head."""
    async with EventLog.open(database) as log:
        await grow(log, 10)
        await seal(log)
        async with vandal(database) as connection:
            await connection.execute(sa.delete(events).where(events.c.position == 9))
        with pytest.raises(CorruptLog, match="position 9"):
            await seal(log)


async def test_a_tail_cut_off_with_its_checkpoints_is_found_by_what_left_the_database(database: str) -> None:
    """The error names both sizes and the place. Without any, only a sealer that runs remembers."""
    place = Memory()
    async with EventLog.open(database) as log:
        running = Sealer(log, keys(), places=[place])
        for _ in range(2):
            await grow(log, 5)
            await running.seal_once()
        async with vandal(database) as connection:
            await connection.execute(sa.delete(tree_checkpoints).where(tree_checkpoints.c.size > 5))
            await connection.execute(sa.delete(events).where(events.c.position > 7))
        with pytest.raises(LogRolledBack, match="it ends at 7, and was signed up to 10") as caught:
            await Sealer(log, keys(), places=[Memory(), place]).seal_once()
        assert (caught.value.source, caught.value.size, caught.value.head) == ("memory", 10, 7)
        place.held.clear()
        with pytest.raises(LogRolledBack, match="memory of this sealer"):
            await running.seal_once()
        assert await stored_sizes(log) == [5]
        assert (await seal(log)).size == 7


@only_sqlite
async def test_a_file_rolled_back_to_an_older_copy_is_found(database: str, tmp_path: Path) -> None:
    """Also when it has grown past the exported size since: then it gives another root."""
    file = Path(database.removeprefix("sqlite:///"))
    place = AppendedFile(tmp_path / "checkpoints")
    async with EventLog.open(database) as log:
        await grow(log, 10)
        await Sealer(log, keys(), places=[place]).seal_once()
    shutil.copyfile(file, tmp_path / "copy.db")
    async with EventLog.open(database) as log:
        await grow(log, 10)
        await Sealer(log, keys(), places=[place]).seal_once()
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "copy.db", file)
    async with EventLog.open(database) as log:
        with pytest.raises(LogRolledBack, match="ends at 10, and was signed up to 20"):
            await Sealer(log, keys(), places=[place]).seal_once()
        await grow(log, 15)
        with pytest.raises(LogAltered) as caught:
            await Sealer(log, keys(), places=[place]).seal_once()
        assert (caught.value.source, caught.value.size) == (str(tmp_path / "checkpoints"), 20)
        assert await stored_sizes(log) == [10]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"note": signed_checkpoint(5, bytes(32), [signer()]).note}, InvalidNote),
        ({"note": signed_checkpoint(5, bytes(32), [signer(2)]).note}, NotSigned),
        ({"note": signed("nonsense\n", [signer()])}, InvalidNote),
        ({"root": bytes(32)}, InvalidNote),
        ({"size": 4}, InvalidNote),
    ],
)
async def test_a_stored_checkpoint_that_was_changed_is_found(
    database: str, values: dict[str, object], error: type[Exception]
) -> None:
    """Its note, its key, or what its row says beside it."""
    async with EventLog.open(database) as log:
        await grow(log, 5)
        await seal(log)
        async with vandal(database) as connection:
            await connection.execute(sa.update(tree_checkpoints).values(values))
        with pytest.raises(error):
            await seal(log)


async def test_what_ends_a_sealer_is_told(database: str) -> None:
    """To whoever waits, before and after, and in the log; the engine goes on."""
    with capture_logs() as said:
        async with EventLog.open(database) as log:
            await grow(log, 5)
            await seal(log)
            async with vandal(database) as connection:
                await connection.execute(sa.update(events).where(events.c.position == 5).values(leaf_hash=bytes(32)))
            async with Sealer(log, keys(), every_seconds=FAST) as ending:
                for _ in range(2):
                    with pytest.raises(LogAltered):
                        await ending.wait_for(6)
                assert await grow(log, 1) == 6
    assert [entry["event"] for entry in said] == ["sealer_ended"]
    assert said[0]["log_level"] == "error"


# --- keys --------------------------------------------------------------------------------------------------


async def test_a_key_that_nobody_signed_with_before_signs_nothing(database: str) -> None:
    """Neither on what is stored nor on what was exported; with the old public key beside it, it does."""
    place = Memory()
    async with EventLog.open(database) as log:
        await grow(log, 5)
        first = await Sealer(log, keys(1), places=[place]).seal_once()
        await grow(log, 5)
        with pytest.raises(NotSigned) as caught:
            await Sealer(log, keys(2)).seal_once()
        assert caught.value.found == (signer(1).verifier.label,)
        second = await Sealer(log, keys(2, 1), places=[place]).seal_once()
        assert place.held == [first, second]
        assert second is not None
        assert checkpoint_of(second.note, [signer(2).verifier]).size == 10


# --- places ------------------------------------------------------------------------------------------------


async def test_an_export_that_is_missing_is_caught_up(database: str) -> None:
    """The newest one, which covers those before: after a crash between storing and exporting, or in a new place."""
    old, new = Memory(), Memory()
    async with EventLog.open(database) as log:
        await grow(log, 5)
        await Sealer(log, keys(), places=[old]).seal_once()
        await grow(log, 5)
        newest = await seal(log)
        assert await Sealer(log, keys(), places=[old, new]).seal_once() == newest
        assert (old.sizes, new.held, await stored_sizes(log)) == ([5, 10], [newest], [5, 10])


async def test_a_place_that_fails_stops_neither_the_others_nor_the_tree(database: str, tmp_path: Path) -> None:
    """The error names the place and why; it is tried again, also while the head stands."""
    bad, good = Memory(), Memory()
    async with EventLog.open(database) as log:
        both = Sealer(log, keys(), places=[bad, good, Folder(tmp_path / "no" / "such")])
        await grow(log, 5)
        bad.error = OSError("disk full")
        with pytest.raises(
            ExportFailed, match="checkpoint of size 5 not exported to memory: OSError: disk full; "
        ) as at:
            await both.seal_once()
        assert (at.value.size, list(at.value.reasons)) == (5, ["memory", str(tmp_path / "no" / "such")])
        assert (bad.sizes, good.sizes, await stored_sizes(log)) == ([], [5], [5])
        (tmp_path / "no").mkdir()
        bad.error = None
        await both.seal_once()
        assert (bad.sizes, good.sizes) == ([5], [5])


async def test_a_running_sealer_tries_a_place_again(database: str) -> None:
    """With a warning each time, until it takes the newest checkpoint."""
    place = Memory()
    place.error = OSError("unplugged")
    with capture_logs() as said:
        async with EventLog.open(database) as log, Sealer(log, keys(), places=[place], every_seconds=FAST) as following:
            position = await grow(log, 5)
            await following.wait_for(position, timeout_seconds=SECONDS)
            await until(lambda: len(said) > 2)
            place.error = None
            await until(lambda: place.sizes == [5])
    assert {(entry["event"], entry["place"], entry["cause"]) for entry in said} == {
        ("checkpoint_not_exported", "memory", "OSError: unplugged")
    }


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(FAST)


@pytest.mark.parametrize(
    "held",
    [
        signed_checkpoint(3, bytes(32), [signer(7)]),
        Checkpoint("x", 3, bytes(32), "nonsense"),
    ],
)
async def test_a_place_with_something_else_in_it_gets_nothing(database: str, held: Checkpoint) -> None:
    """What nobody we know signed proves nothing about the log; the place is left as it is, loudly."""
    place = Memory(held)
    async with EventLog.open(database) as log:
        await grow(log, 5)
        with pytest.raises(ExportFailed, match=r"memory: (NotSigned|InvalidNote)"):
            await Sealer(log, keys(), places=[place]).seal_once()
        assert (place.held, await stored_sizes(log)) == ([held], [5])


# --- trouble -----------------------------------------------------------------------------------------------


@only_sqlite
async def test_a_database_that_cannot_be_written_is_waited_out(database: str) -> None:
    """With warnings; once is an error, and nothing is signed."""
    async with EventLog.open(database) as log:
        await grow(log, 5)
    async with EventLog.open(database, read_only=True) as log:
        with pytest.raises(LogUnavailable, match="read only"):
            await seal(log)
        with capture_logs() as said:
            async with Sealer(log, keys(), every_seconds=FAST):
                await until(lambda: len(said) > 1)
    assert {entry["event"] for entry in said} == {"sealer_waits_for_database"}
    async with EventLog.open(database) as log:
        assert await stored_sizes(log) == []


@only_postgresql
async def test_lost_connections_are_waited_out(database: str) -> None:
    """Cut again and again: what is sealed in the end is the log, each size once."""
    async with EventLog.open(database) as writer:
        async with EventLog.open(database) as log, Sealer(log, keys(), every_seconds=FAST) as following:
            position = 0
            for _ in range(10):
                await cut_connections(database)
                position = await appended(writer, 300)
            await following.wait_for(position, timeout_seconds=SECONDS)
        hashes = await leaves(writer)
        async with tree_of(writer) as the_tree:
            stored = await the_tree.checkpoints()
        assert [row.root for row in stored] == [naive_root(hashes[: row.size]) for row in stored]


async def appended(log: EventLog, count: int) -> int:
    while True:
        try:
            return await grow(log, count)
        except LogUnavailable:
            continue


async def test_a_closed_log_ends_the_sealer(database: str) -> None:
    """Quietly: it is how an engine ends."""
    with capture_logs() as said:
        log = EventLog.open(database)
        await log.start()
        following = Sealer(log, keys(), every_seconds=FAST)
        await following.start()
        await following.wait_for(await grow(log, 5), timeout_seconds=SECONDS)
        await following.close()
        await log.close()
        with pytest.raises(LogClosed):
            await following.run()
    assert said == []


# --- rights ------------------------------------------------------------------------------------------------


@only_postgresql
async def test_an_engine_seals_with_its_grants_alone(database: str, postgresql: object) -> None:
    """And an auditor reads what it stored, and stores nothing."""
    import asyncpg

    from byjy_events.grants import auditor_grants, engine_grants
    from tests.postgres import Server

    assert isinstance(postgresql, Server)
    owner = await asyncpg.connect(database)
    name = await owner.fetchval("SELECT current_database()")
    urls: Sequence[str] = [postgresql.url(name, role) for role in ("sealing_engine", "sealing_auditor")]
    for role, grants in (("sealing_engine", engine_grants), ("sealing_auditor", auditor_grants)):
        await owner.execute(f"CREATE ROLE {role} LOGIN")
        for statement in grants(role):
            await owner.execute(statement)
    try:
        async with EventLog.open(urls[0]) as log:
            await grow(log, 300)
            checkpoint = await seal(log)
        async with EventLog.open(urls[1]) as log:
            assert await Sealer(log, keys()).seal_once() == checkpoint
            async with EventLog.open(urls[0]) as engine:
                await grow(engine, 1)
            with pytest.raises(LogUnavailable, match="permission denied for table tree_checkpoints"):
                await seal(log)
    finally:
        for role in ("sealing_engine", "sealing_auditor"):
            await owner.execute(f"DROP OWNED BY {role}")
            await owner.execute(f"DROP ROLE {role}")
        await owner.close()

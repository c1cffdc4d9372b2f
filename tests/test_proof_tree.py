"""The tree in the database: roots and proofs of every size, from whatever is stored of it, and nobody changes it."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
import sqlalchemy as sa

from byjy_events import CorruptLog, EventLog
from byjy_events.database import is_sqlite, parse_url
from byjy_events.proof import tree
from byjy_events.proof.merkle import EMPTY_ROOT, Span, root_by_inclusion, roots_by_consistency
from byjy_events.proof.tables import FAN_OUT
from byjy_events.proof.tree import Node, StoredCheckpoint
from byjy_events.proof.tree_writer import writer_of
from byjy_events.schema import events
from tests.rows import insert_a_row_everywhere, writable_engine
from tests.sealed import grow, leaves, naive_root, seal, stored_nodes, stored_sizes, tree_of, vandal

SIZES = (1, 2, 3, 7, 8, 254, 255, 256, 257, 511, 512, 513, 700)


@pytest.mark.parametrize("sealed_at", [0, 256, 300, 700])
async def test_every_root_is_that_of_rfc_6962(database: str, sealed_at: int) -> None:
    """Of any size up to the head, with none, some or all of the subtrees stored."""
    async with EventLog.open(database) as log:
        await grow(log, sealed_at)
        if sealed_at:
            await seal(log)
        await grow(log, 700 - sealed_at)
        hashes = await leaves(log)
        assert len(await stored_nodes(log)) == sealed_at // FAN_OUT
        async with tree_of(log) as the_tree:
            assert await the_tree.root(0) == EMPTY_ROOT
            for size in SIZES:
                assert await the_tree.root(size) == naive_root(hashes[:size]), size


async def test_proofs_of_every_kind_hold(database: str) -> None:
    """Of leaves under stored subtrees and beside them, and from any size to any later one."""
    async with EventLog.open(database) as log:
        await grow(log, 700)
        await seal(log)
        hashes = await leaves(log)
        async with tree_of(log) as the_tree:
            roots = {size: naive_root(hashes[:size]) for size in SIZES}
            for size in SIZES:
                for index in {0, size // 2, size - 1}:
                    path = await the_tree.inclusion(index, size)
                    assert root_by_inclusion(hashes[index], index, size, path) == roots[size], (index, size)
                for old in (one for one in SIZES if one <= size):
                    path = await the_tree.consistency(old, size)
                    assert roots_by_consistency(old, size, roots[old], path) == (roots[old], roots[size]), (old, size)


async def test_the_second_level_is_stored_where_65536_events_are(database: str) -> None:
    """One event before, at it and one after, the root is that of a recursion over all leaves."""
    async with EventLog.open(database) as log:
        await grow(log, 65_534)
        checkpoints = []
        for size in (65_535, 65_536, 65_537):
            await grow(log, 1)
            checkpoints.append(checkpoint := await seal(log))
            nodes = await stored_nodes(log)
            assert len(nodes) == size // 256 + size // 65_536
        hashes = await leaves(log)
        assert [one.size for one in checkpoints] == [65_535, 65_536, 65_537]
        assert [one.root for one in checkpoints] == [naive_root(hashes[: one.size]) for one in checkpoints]
        assert nodes[2, 0] == naive_root(hashes[:65_536])
        assert nodes[1, 255] == naive_root(hashes[65_280:65_536])
        async with tree_of(log) as the_tree:
            assert await the_tree.hash_over(Span(65_536, 65_537)) == hashes[65_536]
            path = await the_tree.inclusion(65_536, 65_537)
            assert root_by_inclusion(hashes[65_536], 65_536, 65_537, path) == checkpoint.root


async def test_a_tree_that_is_half_stored_is_finished(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on where the stored subtrees end; what is there is not stored anew."""
    monkeypatch.setattr(tree, "BLOCKS_AT_ONCE", 2)
    async with EventLog.open(database) as log:
        await grow(log, 5 * FAN_OUT)
        hashes = await leaves(log)
        async with tree_of(log) as the_tree:
            first = await the_tree.made(1, 0, 2)
        await writer_of(log.backend).add_nodes(first)
        await writer_of(log.backend).add_nodes(first)
        async with tree_of(log) as the_tree:
            assert await the_tree.nodes_missing(5 * FAN_OUT + 3) == (2, 5)
        assert (await seal(log)).root == naive_root(hashes)
        assert await stored_nodes(log) == {
            (1, number): naive_root(hashes[number * FAN_OUT : (number + 1) * FAN_OUT]) for number in range(5)
        }


async def test_a_missing_event_is_named(database: str) -> None:
    """Rather than left out of a root."""
    async with EventLog.open(database) as log:
        await grow(log, 20)
        async with vandal(database) as connection:
            await connection.execute(sa.delete(events).where(events.c.position == 11))
        async with tree_of(log) as the_tree:
            with pytest.raises(CorruptLog, match="position 11: no such event"):
                await the_tree.root(12)
            with pytest.raises(CorruptLog, match="position 21: no such event"):
                await the_tree.hash_over(Span(16, 24))


async def test_checkpoints_are_added_behind_the_newest_one_only(database: str) -> None:
    """Of those who add behind the same one, one gets through; the others are told."""
    async with EventLog.open(database) as log:
        writer = writer_of(log.backend)
        assert not await writer.add_checkpoint(_row(5), after=3)
        results = await asyncio.gather(*(writer.add_checkpoint(_row(size), after=0) for size in (5, 5, 6, 7)))
        assert sum(results) == 1
        (first,) = await stored_sizes(log)
        assert not await writer.add_checkpoint(_row(20), after=0)
        assert await writer.add_checkpoint(_row(20), after=first)
        async with tree_of(log) as the_tree:
            assert await the_tree.checkpoint() == _row(20)
            assert await the_tree.checkpoint(covering=first) == _row(first)
            assert await the_tree.checkpoint(covering=first + 1) == _row(20)
            assert await the_tree.checkpoint(covering=21) is None
            assert await the_tree.checkpoints() == [_row(first), _row(20)]
            assert await the_tree.checkpoints(after=first, limit=1) == [_row(20)]


def _row(size: int) -> StoredCheckpoint:
    return StoredCheckpoint(size, bytes(32), f"note {size}", 1)


@pytest.mark.parametrize("table", ["merkle_nodes", "tree_checkpoints"])
async def test_neither_subtrees_nor_checkpoints_can_be_changed(database: str, table: str) -> None:
    """The database itself refuses, whoever asks: on PostgreSQL also to truncate, and for replication."""
    column = {"merkle_nodes": "number", "tree_checkpoints": "created_at"}[table]
    statements = [("origin", f"UPDATE {table} SET {column} = 7"), ("origin", f"DELETE FROM {table}")]
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    postgresql = not is_sqlite(parse_url(database))
    if postgresql:
        statements += [("origin", f"TRUNCATE {table}"), ("replica", f"DELETE FROM {table}")]
    for role, statement in statements:
        async with engine.connect() as connection:
            if postgresql:
                await connection.exec_driver_sql(f"SET LOCAL session_replication_role = {role}")
            with pytest.raises(sa.exc.DBAPIError, match=f"{table} is append-only"):
                await connection.exec_driver_sql(statement)
    await engine.dispose()


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_nothing_of_the_tree_can_be_replaced_by_a_connection_with_default_settings(database: str) -> None:
    """INSERT OR REPLACE deletes without firing DELETE triggers; a subtree may come again as it is."""
    async with EventLog.open(database) as log:
        node = Node(1, 0, bytes(32))
        await writer_of(log.backend).add_nodes([node])
        await writer_of(log.backend).add_checkpoint(_row(5), after=0)
    connection = sqlite3.connect(str(parse_url(database).database))
    connection.execute("INSERT OR REPLACE INTO merkle_nodes VALUES (1, 0, ?)", (node.hash,))
    for table, values in (
        ("merkle_nodes", (1, 0, b"x" * 32)),
        ("tree_checkpoints", (5, b"x" * 32, "x", 1)),
        ("tree_checkpoints", (4, b"x" * 32, "x", 1)),
    ):
        with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
            connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    connection.close()

"""Sealers killed with kill -9, again and again: what is stored and exported is true, and the next one goes on."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.proof import Checkpoint, Sealer, checkpoint_of
from tests.sealed import grow, keys, leaves, naive_root, naive_roots, signer, stored_nodes, tree_of
from tests.sealing_log_child import places, sealing

KILLS = 8
LONGEST_LIFE_SECONDS = 0.1


@pytest.mark.skipif(sys.platform == "win32", reason="lives are forked")
async def test_sealers_killed_at_any_point_leave_nothing_wrong(database: str, tmp_path: Path) -> None:
    """Two at a time, one of which appends more: at the end every checkpoint, stored or exported, is of the log.

    What was killed between storing and exporting is caught up by the next one.
    """
    chance = random.Random(7)
    exports = places(tmp_path)
    async with EventLog.open(database) as log:
        for _ in range(KILLS):
            with sealing(database, tmp_path):
                await asyncio.sleep(chance.random() * LONGEST_LIFE_SECONDS)
        await grow(log, 1)
        newest = await Sealer(log, keys(), places=exports).seal_once()
        hashes = await leaves(log)
        assert newest is not None
        assert newest.size == len(hashes)
        async with tree_of(log) as the_tree:
            stored = await the_tree.checkpoints()
        notes = [row.note for row in stored]
        assert len(notes) > KILLS
        roots = {one.size: one.root for one in map(verified, notes)}
        root_at = naive_roots(hashes)
        for size, root in roots.items():
            assert root == root_at(size), size
        assert [row.size for row in stored] == list(roots)
        for place in exports:
            assert await place.newest() == newest
            exported = list(place.notes())
            assert len(exported) > 1
            assert set(exported) <= set(notes)
        nodes = await stored_nodes(log)
        assert nodes == {
            (1, number): naive_root(hashes[number * 256 : (number + 1) * 256]) for number in range(len(hashes) // 256)
        }


def verified(note: str) -> Checkpoint:
    return checkpoint_of(note, [signer().verifier])

"""A process that copies is killed again and again: what it told is copied, and the next one goes on from there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.copying import copy_log
from byjy_events.proof.auditing import audit
from tests.copies import WAYS, assert_equal, filled, new_databases
from tests.copy_child import copying

KILLS = 5
CHUNK = 7


@pytest.fixture(params=WAYS[:2], ids="-to-".join)
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The URLs of two fresh databases."""
    folder = tmp_path / "ends"
    folder.mkdir()
    with new_databases(request.param, folder, request) as urls:
        yield urls


async def test_a_killed_copy_goes_on_where_it_ended(ends: list[str]) -> None:
    """Whatever it was doing; never less than it told, never a chunk in part, and in the end the same log."""
    size = (await filled(ends[0])).size
    chance = random.Random(1)
    told = 0
    for _ in range(KILLS):
        with copying(ends[0], ends[1], CHUNK) as copy:
            for _ in range(3):
                told = copy.recv()
            await asyncio.sleep(chance.random() * 0.01)
        async with EventLog.open(ends[1], read_only=True) as log:
            head = await log.head()
        assert told <= head < size
        assert head % CHUNK == 0
        told = head
    async with EventLog.open(ends[0], read_only=True) as source, EventLog.open(ends[1]) as target:
        assert (await copy_log(source, target)).before == told
        assert (await audit(target, ())).intact
    await assert_equal(*ends)

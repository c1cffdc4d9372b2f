"""However the log is cut into chunks, the same rows come out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byjy_events.log import EventLog
from projections import TRADING, catch_up, runner
from projections.tables import metadata
from tests.conftest import _new_database
from tests.folding import Folded
from tests.lifecycles import Step, any_moves, lifecycles
from tests.replay import Tables, assert_rows_are_the_log, events_of, folded, stored
from tests.rows import writable_engine
from tests.story import tell

CHUNKS = (1, 7, 1_000_000)
EXAMPLES = {"sqlite": 15, "postgresql": 4}

stories: st.SearchStrategy[list[Step]] = st.one_of(
    any_moves.filter(bool), st.builds(lifecycles, seed=st.integers(0, 1000), orders=st.integers(1, 6))
)

NewDatabase = Callable[[], AbstractContextManager[str]]


@pytest.fixture
def new_database(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> NewDatabase:
    """Makes as many databases as there are examples."""

    @contextmanager
    def copied() -> Iterator[str]:
        path = tmp_path / "example.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
        for left in tmp_path.glob("example.db*"):
            left.unlink()

    if backend == "sqlite":
        return copied
    template, server = request.getfixturevalue("migrated_template"), request.getfixturevalue("postgresql")
    return lambda: _new_database(server, template)


def test_chunks_of_any_size_make_equal_rows(
    new_database: NewDatabase, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Event by event, seven at a time and all at once: every row of every table is the same, to the last digit."""

    @given(steps=stories)
    @settings(max_examples=EXAMPLES[backend], deadline=None, suppress_health_check=list(HealthCheck))
    def compare(steps: list[Step]) -> None:
        with new_database() as url:
            by_size = asyncio.run(projected(url, steps, monkeypatch))
        assert by_size[1] == by_size[7] == by_size[1_000_000]
        assert any(by_size[1].values())

    compare()


async def projected(url: str, steps: list[Step], monkeypatch: pytest.MonkeyPatch) -> dict[int, Tables]:
    """The rows of a story, projected from nothing with every size of chunk."""
    by_size = {}
    async with EventLog.open(url) as log:
        await tell(log, steps)
        for size in CHUNKS:
            monkeypatch.setattr(runner, "CHUNK_EVENTS", size)
            await catch_up(log, TRADING)
            await assert_rows_are_the_log(log)
            by_size[size] = await stored(log)
            await forget(url)
    return by_size


async def test_two_ways_of_folding_agree(database: str) -> None:
    """The runner's fold and the plain loop that the unit tests of the projections use make the same rows."""
    async with EventLog.open(database) as log:
        await tell(log, lifecycles(seed=8, orders=40))
        events = await events_of(log)
        plain = Folded().fold_all(events)
        assert folded(events) == {one.table.name: plain.rows[one.name] for one in TRADING.projections}


@pytest.mark.parametrize("kept", [0, 3, 50])
async def test_rows_that_were_dropped_from_memory_are_read_again(
    database: str, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """What a row is does not depend on whether it stayed in memory."""
    monkeypatch.setattr("projections.folding.ROWS_KEPT", kept)
    monkeypatch.setattr(runner, "CHUNK_EVENTS", 9)
    async with EventLog.open(database) as log:
        head = await tell(log, lifecycles(seed=9, orders=25))
        assert await catch_up(log, TRADING) == head
        assert await assert_rows_are_the_log(log) == head


async def test_more_rows_than_one_statement_takes_are_brought_in(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk may concern more keys than a statement may have parameters."""
    monkeypatch.setattr("projections.sqlite_store.PARAMETERS", 10)
    async with EventLog.open(database) as log:
        steps = lifecycles(seed=10, orders=25)
        await tell(log, steps[:60])
        await catch_up(log, TRADING)
        head = await tell(log, steps[60:])
        assert await catch_up(log, TRADING) == head
        assert await assert_rows_are_the_log(log) == head


async def forget(url: str) -> None:
    """Empty the read side, as if nothing had been projected yet."""
    engine = writable_engine(url)
    async with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(sa.delete(table))
    await engine.dispose()

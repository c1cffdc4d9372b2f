"""Every question to the trail is answered by one of its indexes, on both databases; see ``test_query_plans``."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest_asyncio
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from projections import TrailRow
from projections.statements import Statement
from projections.trail import trail, trail_page
from tests.rows import writable_engine
from tests.test_query_plans import plan_of, sorts_or_scans

ROWS = 3_000
ACTORS, ENTITIES, TYPES = 250, 300, 200
"""So many that PostgreSQL, which knows how many there are, would not rather walk the log in its order."""


def row(position: int) -> TrailRow:
    return TrailRow(
        position=position,
        recorded_at=position // 2,
        actor=f"strategy:{position % ACTORS}",
        category="order",
        stream_id=UUID(int=position * 7 % ENTITIES),
        type=f"Type{position % TYPES}",
    )


MIDDLE = row(ROWS // 2)


@pytest_asyncio.fixture
async def connection(database: str, backend: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a trail that is full."""
    engine = writable_engine(database)
    async with engine.begin() as connection:
        await connection.execute(sa.insert(trail), [asdict(row(position)) for position in range(1, ROWS + 1)])
        if backend == "postgresql":  # which looks by itself, now and then; on SQLite nobody does
            await connection.exec_driver_sql("ANALYZE trail")
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        yield connection
    await engine.dispose()


def every_statement() -> Iterator[tuple[str, Statement, set[str]]]:
    """A name, the statement, and the index that shall serve it; an instant is found by an index of its own."""
    for filters, index in (
        ({}, "pk_trail"),
        ({"actor": MIDDLE.actor}, "ix_trail_actor"),
        ({"event_type": MIDDLE.type}, "ix_trail_type"),
        ({"stream_id": MIDDLE.stream_id}, "ix_trail_stream_id"),
        ({"stream_id": MIDDLE.stream_id, "category": "order"}, "ix_trail_stream_id"),
        ({"stream_id": MIDDLE.stream_id, "actor": MIDDLE.actor, "event_type": MIDDLE.type}, "ix_trail_stream_id"),
    ):
        for newest in (False, True):
            for since in (None, 900):
                for after in (None, MIDDLE):
                    given = {**filters, "newest_first": newest, "since": since, "after": after}
                    by_instant = since is not None and (newest or after is None)
                    indexes = {index, "ix_trail_recorded_at"} if by_instant else {index}
                    yield str(given), trail_page(**given), indexes  # type: ignore[arg-type]


async def test_every_question_is_answered_by_its_index(connection: AsyncConnection) -> None:
    """No scan, no sort, and of an entity's few events never the index of an actor's millions."""
    wrong = []
    for name, statement, indexes in every_statement():
        plan = re.sub(
            "USING INTEGER PRIMARY KEY|^SCAN trail$",
            "USING INDEX pk_trail",
            await plan_of(connection, statement),
            flags=re.MULTILINE,
        )
        if set(re.findall(r"\b(?:pk|ix)_\w+", plan)) != indexes or sorts_or_scans(plan):
            wrong.append(f"{name}: wants {indexes}\n{plan}\n")
    assert not wrong, "\n".join(wrong)


async def test_two_wide_questions_at_once_are_answered_by_the_index_of_one(connection: AsyncConnection) -> None:
    """Which of them is the planner's choice."""
    statement = trail_page(actor=MIDDLE.actor, event_type=MIDDLE.type, newest_first=True)
    plan = await plan_of(connection, statement)
    assert re.findall(r"\bix_\w+", plan) in (["ix_trail_actor"], ["ix_trail_type"])
    assert not sorts_or_scans(plan)


async def test_a_category_alone_has_no_index_and_is_found_in_the_order_of_the_log(connection: AsyncConnection) -> None:
    """So the test above can fail: a scan is told from a search."""
    without = sa.select(trail).where(trail.c.correlation_id.is_(None)).order_by(trail.c.category)
    assert sorts_or_scans(await plan_of(connection, without))

"""Questions to strategies and executions: the same answers as all rows would give, each by an index."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from itertools import product
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.heartbeat_table import strategy_execution_heartbeats
from byjy_events.vocabulary.strategies import ExecutionStatus, StrategyStatus
from byjy_events.vocabulary.users import Role
from projections.statements import PAGE_LIMIT, Statement
from projections.strategies.queries import (
    ExecutionSeen,
    StrategyQueries,
    executions_pages,
    executions_seen,
    strategies_page,
    strategy_by_name,
)
from projections.strategies.table import StrategyExecutionRow, StrategyRow, strategies, strategy_executions
from projections.users.table import users
from tests.rows import writable_engine
from tests.test_query_plans import plan_of, sorts_or_scans

USERS, STRATEGIES, EXECUTIONS = 50, 1_500, 1_200
RUNNING, COMPLETED, FAILED, STOPPED, LOST = ExecutionStatus
STATUSES = (RUNNING, LOST, FAILED, STOPPED, *4 * (COMPLETED,))
SILENT_EVERY = 3
LONG_AGO, LOST_AFTER = 10**9, 30.0


def user_row(number: int) -> dict[str, Any]:
    key, at = UUID(int=number), number
    return {"id": key, "username": f"u{number}", "username_key": f"u{number}", "role": Role.TRADER,
            "is_active": True, "failed_login_count": 0, "created_at": at, "updated_at": at}  # fmt: skip


def strategy_row(number: int) -> StrategyRow:
    status = list(StrategyStatus)[number * 7 % 5]
    return StrategyRow(
        id=UUID(int=number * 7919 % STRATEGIES),
        user_id=UUID(int=number % USERS),
        name=f"s{number}",
        name_key=None if status is StrategyStatus.ARCHIVED else f"s{number}",
        kind="k",
        parameters="{}",
        parameters_version=1,
        status=status,
        created_at=number // 2,
        updated_at=number,
    )


def execution_row(number: int) -> StrategyExecutionRow:
    status = STATUSES[number * 7 % len(STATUSES)]
    return StrategyExecutionRow(
        id=UUID(int=number * 7919 % EXECUTIONS),
        strategy_id=UUID(int=number % 50),
        started_at=LONG_AGO + number // 2,
        finished_at=None if status is RUNNING else LONG_AGO + number,
        status=status,
        parameters_version=1,
        created_at=number,
        updated_at=number,
    )


ROWS = [strategy_row(number) for number in range(STRATEGIES)]
RUNS = [execution_row(number) for number in range(EXECUTIONS)]
ALIVE = {row.id for number, row in enumerate(RUNS) if row.status is RUNNING and number % SILENT_EVERY}


def seen_status(row: StrategyExecutionRow) -> ExecutionStatus:
    return LOST if row.status is RUNNING and row.id not in ALIVE else row.status


@pytest_asyncio.fixture
async def connection(database: str, backend: str) -> AsyncIterator[AsyncConnection]:
    """A connection to tables that are full; of what runs, two of three beat."""
    engine = writable_engine(database)
    async with engine.begin() as connection:
        await connection.execute(sa.insert(users), [user_row(number) for number in range(USERS)])
        await connection.execute(sa.insert(strategies), [asdict(row) for row in ROWS])
        await connection.execute(sa.insert(strategy_executions), [asdict(row) for row in RUNS])
        beats = [{"strategy_execution_id": key, "beat_at": 2**62, "process": "p"} for key in ALIVE]
        await connection.execute(sa.insert(strategy_execution_heartbeats), beats)
        if backend == "postgresql":
            await connection.exec_driver_sql("ANALYZE")
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        yield connection
    await engine.dispose()


async def test_executions_are_listed_as_they_look(connection: AsyncConnection) -> None:
    """Every combination of filters, page by page, either way round; what is silent is among what is LOST."""
    queries = StrategyQueries(connection, lost_after_seconds=LOST_AFTER)
    middle = RUNS[EXECUTIONS // 2]
    ordered = sorted(RUNS, key=lambda row: (row.started_at, row.id.int))
    for strategy_id, status, since in product(
        (None, middle.strategy_id), (None, *STATUSES[:5]), (None, EXECUTIONS // 4)
    ):
        at = None if since is None else LONG_AGO + since
        expected = [
            (row.id, seen_status(row))
            for row in ordered
            if strategy_id in (None, row.strategy_id)
            and status in (None, seen_status(row))
            and row.started_at >= (at or 0)
        ]
        for newest in (False, True):
            found = [
                (row.id, row.status)
                async for row in _pages(queries, strategy_id=strategy_id, status=status, since=at, newest_first=newest)
            ]
            assert found == (expected[::-1] if newest else expected), (strategy_id, status, since)
    assert {row.id for row in await queries.silent()} == {row.id for row in RUNS if row.status is RUNNING} - ALIVE


async def _pages(queries: StrategyQueries, **given: Any) -> AsyncIterator[ExecutionSeen]:
    last = None
    while page := await queries.executions(after=last, limit=400, **given):
        for row in page:
            yield row
        last = page[-1]


async def test_strategies_are_listed_by_user_and_status(connection: AsyncConnection) -> None:
    """Page by page, either way round."""
    queries = StrategyQueries(connection)
    ordered = sorted(ROWS, key=lambda row: (row.created_at, row.id.int))
    for user_id, status in product((None, ROWS[7].user_id), (None, *StrategyStatus)):
        expected = [row for row in ordered if user_id in (None, row.user_id) and status in (None, row.status)]
        for newest in (False, True):
            found: list[StrategyRow] = []
            while page := await queries.strategies(
                user_id=user_id, status=status, after=found[-1] if found else None, limit=1_000, newest_first=newest
            ):
                found += page
            assert found == (expected[::-1] if newest else expected)


def every_statement(dialect: str) -> Iterator[tuple[str, Statement, str]]:
    """A name, the statement, and the indexes that may serve it, besides those of the heartbeats and of the log."""
    strategy, run = ROWS[STRATEGIES // 2], RUNS[EXECUTIONS // 2]
    # PostgreSQL knows how many rows have a status; if these are many, it may walk them all in their order.
    by_choice = "ix_" if dialect == "postgresql" else "not_"
    yield "by name", strategy_by_name(strategy.user_id, strategy.name), "uq_strategies_user_id_name_key"
    for newest, after in product((False, True), (None, strategy)):
        for user_id, status, index in (
            (None, None, "ix_strategies_created_at"),
            (strategy.user_id, None, "ix_strategies_user_id"),
            (None, strategy.status, f"ix_strategies_status {by_choice}strategies_created_at"),
            (strategy.user_id, strategy.status, "ix_strategies_user_id"),
        ):
            page = strategies_page(user_id, status, after, 100, newest)
            yield f"strategies {user_id} {status} {newest} {after}", page, index
    for newest, after_run, since in product((False, True), (None, run), (None, LONG_AGO + 300)):
        for strategy_id, seen, index in (
            (None, None, "ix_strategy_executions_started_at"),
            (run.strategy_id, None, "ix_strategy_executions_strategy_id"),
            (None, COMPLETED, f"ix_strategy_executions_status {by_choice}strategy_executions_started_at"),
            (None, RUNNING, f"ix_strategy_executions_status {by_choice}strategy_executions_started_at"),
            (None, LOST, f"ix_strategy_executions_status {by_choice}strategy_executions_started_at"),
            (run.strategy_id, COMPLETED, "ix_strategy_executions_strategy_id"),
            (run.strategy_id, RUNNING, "ix_strategy_executions_strategy_id ix_strategy_executions_status"),
            (run.strategy_id, LOST, "ix_strategy_executions_strategy_id ix_strategy_executions_status"),
        ):
            pages = executions_pages(dialect, LOST_AFTER, strategy_id, seen, since, after_run, 100, newest)
            for page in pages:
                yield f"executions {strategy_id} {seen} {newest} {after_run} {since}", page, index
    one = executions_seen(dialect, LOST_AFTER).where(strategy_executions.c.id == run.id)
    yield "execution", one, "pk_strategy_executions"


async def test_every_question_is_answered_by_its_index(connection: AsyncConnection, backend: str) -> None:
    """No scan and no sort of what there may be many of."""
    wrong = []
    for name, statement, indexes in every_statement(backend):
        plan = await plan_of(connection, statement)
        plan = re.sub(r"sqlite_autoindex_strategies_2", "uq_strategies_user_id_name_key", plan)
        used = set(re.findall(r"\b(?:pk|uq|ix)_strateg(?:ies|y_executions)\w*", plan)) - {
            "pk_strategy_execution_heartbeats"
        }
        few = backend == "postgresql" and re.search(" (RUNNING|LOST) ", name)  # what runs is little, and may be sorted
        sorted_or_scanned = "Seq Scan" in plan if few else sorts_or_scans(plan)
        if not used or not used <= set(indexes.split()) or sorted_or_scanned:
            wrong.append(f"{name}: wants {indexes}\n{plan}\n")
    assert not wrong, "\n".join(wrong[:3])


@pytest.mark.parametrize("limit", [0, PAGE_LIMIT + 1])
def test_a_page_has_its_bounds(limit: int) -> None:
    """As any listing of the read side."""
    with pytest.raises(ValueError, match=f"limit {limit} is not between"):
        strategies_page(limit=limit)
    with pytest.raises(ValueError, match=f"limit {limit} is not between"):
        executions_pages("sqlite", LOST_AFTER, limit=limit)

"""Every question to the table of users is answered by an index, on both databases; see ``test_query_plans``."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events import Role
from projections.statements import PAGE_LIMIT
from projections.users.queries import UserQueries, user_by_email_hash, user_by_id, user_by_key, users_page
from projections.users.table import UserRow, users
from tests.rows import writable_engine
from tests.test_query_plans import plan_of, sorts_or_scans

ROWS = 2_000
SQLITE_NAMES = {
    "sqlite_autoindex_users_1": "pk_users",
    "sqlite_autoindex_users_2": "uq_users_username_key",
    "sqlite_autoindex_users_3": "uq_users_email_hash",
}


def row(number: int) -> UserRow:
    return UserRow(
        id=UUID(int=number),
        username=f"User {number}",
        username_key=f"user {number}",
        email_hash=number.to_bytes(32, "big"),
        role=Role.TRADER if number % 50 else Role.AUDITOR,
        created_at=number,
        updated_at=number,
    )


MIDDLE = row(ROWS // 2)


@pytest_asyncio.fixture
async def connection(database: str, backend: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a table of many users."""
    engine = writable_engine(database)
    async with engine.begin() as connection:
        await connection.execute(sa.insert(users), [asdict(row(number)) for number in range(1, ROWS + 1)])
        if backend == "postgresql":
            await connection.exec_driver_sql("ANALYZE users")
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        yield connection
    await engine.dispose()


async def test_every_question_is_answered_by_its_index(connection: AsyncConnection) -> None:
    """No scan and no sort; a page goes on where the one before ended."""
    assert MIDDLE.email_hash is not None
    for statement, index in (
        (user_by_id(MIDDLE.id), "pk_users"),
        (user_by_key("user 7"), "uq_users_username_key"),
        (user_by_email_hash(MIDDLE.email_hash), "uq_users_email_hash"),
        (users_page(), "pk_users"),
        (users_page(after=MIDDLE), "pk_users"),
        (users_page(Role.AUDITOR), "ix_users_role"),
        (users_page(Role.AUDITOR, MIDDLE), "ix_users_role"),
    ):
        plan = await plan_of(connection, statement)
        for theirs, ours in SQLITE_NAMES.items():
            plan = plan.replace(theirs, ours)
        assert set(re.findall(r"\b(?:pk|ix|uq)_\w+", plan)) == {index}, plan
        assert not sorts_or_scans(plan), plan
    assert sorts_or_scans(await plan_of(connection, sa.select(users).order_by(users.c.username)))


@pytest.mark.parametrize("role", [None, Role.AUDITOR])
async def test_pages_give_every_user_once(connection: AsyncConnection, role: Role | None) -> None:
    """In the order of their ids."""
    queries = UserQueries(connection)
    found: list[UserRow] = []
    while page := await queries.page(role=role, after=found[-1] if found else None, limit=300):
        found += page
    assert found == [row(number) for number in range(1, ROWS + 1) if role in (None, row(number).role)]
    for limit in (0, PAGE_LIMIT + 1):
        with pytest.raises(ValueError, match=f"limit {limit} is not between"):
            await queries.page(limit=limit)


@pytest.mark.parametrize(
    "values",
    [
        {"username_key": "user 1"},
        {"email_hash": (1).to_bytes(32, "big")},
        {"role": "KING"},
        {"failed_login_count": -1},
    ],
)
async def test_the_table_refuses_what_no_fold_makes(
    database: str, connection: AsyncConnection, values: dict[str, object]
) -> None:
    """Whoever goes round the reservations is stopped there."""
    columns = {**asdict(row(ROWS + 1)), **values, "id": UUID(int=ROWS + 1).bytes}
    statement = sa.table("users", *(sa.column(name) for name in columns))
    if connection.dialect.name == "postgresql":
        columns["id"] = UUID(int=ROWS + 1)
    columns = {name: str(value) if isinstance(value, Role) else value for name, value in columns.items()}
    with pytest.raises(sa.exc.IntegrityError):
        async with connection.begin_nested():
            await connection.execute(sa.insert(statement).values(columns))
    async with connection.begin_nested():
        await connection.execute(sa.insert(users).values(asdict(row(ROWS + 1))))

"""The table ``api_keys``: what it says follows from the log alone, and every question to it has its index."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from uuid import UUID

import pytest_asyncio
import sqlalchemy as sa
from msgspec.structs import asdict, replace
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events import ApiKeyChanged, ApiKeyErased, ApiKeyReactivated, ApiKeyUsed, new_event_id
from projections import rebuild, verify
from projections.api_keys.queries import ApiKeyQueries, api_key, api_keys_page
from projections.api_keys.table import ApiKeyRow, api_keys
from projections.ownership import OWNERSHIP
from projections.users.table import users
from tests.api_keys import GIVEN, new_user, open_desk
from tests.rows import a_row_of, writable_engine
from tests.test_query_plans import plan_of, sorts_or_scans

ROWS, USERS, EXCHANGES = 3_000, 200, 300


async def test_the_table_is_what_the_log_says(database: str) -> None:
    """After a whole life of several keys, live as rebuilt as verified; and the rules read the same row."""
    async with open_desk(database) as desk:
        first, second, third = [await desk.add(f"key {n}") for n in range(3)]
        await desk.credentials.change(first, label="other", permissions=["READ"], expires_at=None)
        await desk.credentials.replace(second, key="new", secret="s")
        await desk.row(first)  # projects half of it
        await desk.credentials.revoke(first)
        await desk.credentials.used(second)
        await desk.credentials.erase(third)
        await desk.add("key 2")
        await desk.credentials.replace(first, key="key 1", secret="s")  # which the second one had
        rows = [await desk.row(one) for one in (first, second, third)]
        assert rows == [await desk.credentials.api_key(one) for one in (first, second, third)]
        assert [(row.is_active, row.label, row.permissions) for row in rows] == [
            (False, "other", '["READ"]'),
            (True, "main", '["READ","TRADE"]'),
            (False, "main", '["READ","TRADE"]'),
        ]
        assert (await verify(desk.log, OWNERSHIP)).differences == 0
        await rebuild(desk.log, OWNERSHIP)
        assert rows == [await desk.row(one) for one in (first, second, third)]


async def test_a_key_may_have_what_another_gave_up_in_the_same_moment(database: str) -> None:
    """Projected together: the row that takes it over may be stored before the one that gives it up."""
    async with open_desk(database) as desk:
        first, second = await desk.add("a"), await desk.add("b")
        had = (await desk.row(first)).fingerprint
        await desk.credentials.revoke(second)
        await desk.credentials.replace(first, key="c", secret="s")
        await desk.credentials.replace(second, key="a", secret="s")
        assert (await desk.row(second)).fingerprint == had
        assert (await verify(desk.log, OWNERSHIP)).differences == 0
        await rebuild(desk.log, OWNERSHIP)


async def test_odd_events_stop_nobody(database: str) -> None:
    """What is told of a key that was never added, or of one that is erased, changes nothing."""
    async with open_desk(database) as desk:
        erased, unknown = await desk.add(), new_event_id()
        await desk.credentials.erase(erased)
        row = await desk.row(erased)
        for one in (erased, unknown):
            for event in (
                ApiKeyReactivated(),
                ApiKeyChanged(label="x", permissions=()),
                ApiKeyUsed(),
                ApiKeyErased(),
            ):
                await desk.doctor(one, event)
        assert await desk.row(erased) == row
        assert await ApiKeyQueries(desk.log.engine).api_key(unknown) is None


async def test_a_user_whose_row_is_deleted_takes_the_keys_along(database: str) -> None:
    """In the tables alone, by a foreign key: the log knows them still, and a rebuild brings them back."""
    async with open_desk(database) as desk:
        kept = await desk.credentials.add(await new_user(desk.log), "binance", **GIVEN)
        gone = await desk.add()
        row = await desk.row(gone)
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.execute(sa.delete(users).where(users.c.id == desk.user_id))
        await engine.dispose()
        queries = ApiKeyQueries(desk.log.engine)
        assert [one.id for one in await queries.page()] == [kept]
        await rebuild(desk.log, OWNERSHIP)
        assert await queries.api_key(gone) == row


async def test_questions_are_answered_page_by_page(database: str) -> None:
    """By user, by exchange in any spelling, and by both."""
    async with open_desk(database) as desk:
        other = await new_user(desk.log)
        mine = [await desk.add(f"key {n}", exchange=exchange) for n, exchange in enumerate("baba")]
        theirs = await desk.credentials.add(other, "a", **GIVEN)
        row = await desk.row(theirs)
        queries = ApiKeyQueries(desk.log.engine)

        async def paged(**filters: object) -> list[UUID]:
            found: list[ApiKeyRow] = []
            while page := await queries.page(**filters, after=found[-1] if found else None, limit=2):  # type: ignore[arg-type]
                found += page
            return [one.id for one in found]

        by_exchange = [mine[1], mine[3], mine[0], mine[2]]
        assert await paged() == [*mine, theirs]
        assert await paged(user_id=desk.user_id) == by_exchange
        assert await paged(exchange=" A") == [mine[1], mine[3], theirs]
        assert await paged(user_id=desk.user_id, exchange="B") == [mine[0], mine[2]]
        assert await queries.api_key(theirs) == row


# --- plans ------------------------------------------------------------------------------------------------


def row(number: int) -> ApiKeyRow:
    return ApiKeyRow(
        id=UUID(int=number + 1),
        user_id=UUID(int=number * 7 % USERS + 1),
        exchange=f"exchange {number % EXCHANGES}",
        label="x",
        fingerprint=number.to_bytes(32),
        encrypted_key=b"x",
        encrypted_secret=b"x",
        created_at=number,
        updated_at=number,
    )


MIDDLE = row(ROWS // 2)


@pytest_asyncio.fixture
async def connection(database: str, backend: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a table that is full."""
    engine = writable_engine(database)
    async with engine.begin() as connection:
        one = a_row_of(users)
        own = [
            {**one, "id": UUID(int=n + 1), "username_key": f"u{n}", "email_hash": n.to_bytes(32)} for n in range(USERS)
        ]
        await connection.execute(sa.insert(users), own)
        await connection.execute(sa.insert(api_keys), [asdict(row(number)) for number in range(ROWS)])
        if backend == "postgresql":
            await connection.exec_driver_sql("ANALYZE api_keys")
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        yield connection
    await engine.dispose()


async def test_every_question_is_answered_by_its_index(connection: AsyncConnection) -> None:
    """No scan, no sort, on whatever page."""
    questions = [(api_key(MIDDLE.id), "pk_api_keys")]
    for after in (None, MIDDLE):
        questions += [
            (api_keys_page(after=after), "pk_api_keys"),
            (api_keys_page(MIDDLE.user_id, after=after), "ix_api_keys_user_id"),
            (api_keys_page(MIDDLE.user_id, MIDDLE.exchange, after=after), "ix_api_keys_user_id"),
            (api_keys_page(exchange=MIDDLE.exchange, after=after), "ix_api_keys_exchange"),
        ]
    wrong = []
    for statement, index in questions:
        plan = (await plan_of(connection, statement)).replace("sqlite_autoindex_api_keys_1", "pk_api_keys")
        if set(re.findall(r"\b(?:pk|ix)_\w+", plan)) != {index} or sorts_or_scans(plan):
            wrong.append(f"{statement}: wants {index}\n{plan}\n")
    assert not wrong, "\n".join(wrong)


async def test_a_question_without_an_index_is_noticed(connection: AsyncConnection) -> None:
    """So the test above can fail."""
    assert sorts_or_scans(await plan_of(connection, sa.select(api_keys).order_by(api_keys.c.label)))


def test_permissions_read_as_what_they_are() -> None:
    """In the row they are JSON."""
    assert replace(MIDDLE, permissions='["READ","TRADE"]').permitted == ("READ", "TRADE")
    assert MIDDLE.permitted == ()

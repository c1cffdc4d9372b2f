"""Questions to the table ``users``: one user, or a page of them."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.vocabulary.users import Role
from projections.queries import rows_of
from projections.statements import PAGE_LIMIT, Statement
from projections.users.spelling import Name
from projections.users.table import UserRow, users


class UserQueries:
    """Asks the table as it is now; how far behind the log it is, ``group_statuses`` knows.

    Args:
        database: an engine, from which each question takes a connection of its own, or one connection.
    """

    def __init__(self, database: AsyncEngine | AsyncConnection) -> None:
        self._database = database

    async def user(self, user_id: UUID) -> UserRow | None:
        """One user by id, erased or not; None: there is no row."""
        return await self._one(user_by_id(user_id))

    async def by_username(self, username: str) -> UserRow | None:
        """Who is called so, in any case and Unicode form.

        Raises:
            InvalidUsername: nobody can be called so.
        """
        return await self._one(user_by_key(Name(username).key))

    async def by_email_hash(self, email_hash: bytes) -> UserRow | None:
        """Whose email address has this keyed hash."""
        return await self._one(user_by_email_hash(email_hash))

    async def page(self, *, role: Role | None = None, after: UserRow | None = None, limit: int = 100) -> list[UserRow]:
        """Users by id, which is the order in which they were registered if their ids were not given.

        Args:
            after: the last row of the page before.

        Raises:
            ValueError: ``limit`` is not 1 to ``PAGE_LIMIT``.
        """
        return await self._all(users_page(role, after, limit))

    async def _one(self, statement: Statement) -> UserRow | None:
        rows = await self._all(statement)
        return rows[0] if rows else None

    async def _all(self, statement: Statement) -> list[UserRow]:
        if isinstance(self._database, AsyncConnection):
            return rows_of(UserRow, (await self._database.execute(statement)).all())
        async with self._database.connect() as connection:
            return rows_of(UserRow, (await connection.execute(statement)).all())


def user_by_id(user_id: UUID) -> Statement:
    """One user by id."""
    return sa.select(users).where(users.c.id == user_id)


def user_by_key(username_key: str) -> Statement:
    """One user by the canonical spelling of the username."""
    return sa.select(users).where(users.c.username_key == username_key)


def user_by_email_hash(email_hash: bytes) -> Statement:
    """One user by the keyed hash of the email address."""
    return sa.select(users).where(users.c.email_hash == email_hash)


def users_page(role: Role | None = None, after: UserRow | None = None, limit: int = 100) -> Statement:
    """The statement of :meth:`UserQueries.page`."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"limit {limit} is not between 1 and {PAGE_LIMIT}")
    statement = sa.select(users)
    if role is not None:
        statement = statement.where(users.c.role == role)
    if after is not None:
        statement = statement.where(users.c.id > after.id)
    return statement.order_by(users.c.id).limit(limit)

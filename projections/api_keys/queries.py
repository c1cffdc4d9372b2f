"""Questions to ``api_keys``, typed. Each has an index for its filter and its order alike."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from projections.api_keys.checking import exchange_name
from projections.api_keys.table import ApiKeyRow, api_keys
from projections.queries import rows_of
from projections.statements import PAGE_LIMIT, Statement


class ApiKeyQueries:
    """Reads ``api_keys`` as it is now; how far behind the log it is, ``group_statuses`` knows.

    Args:
        database: an engine, from which each question takes a connection of its own, or one connection.
    """

    def __init__(self, database: AsyncEngine | AsyncConnection) -> None:
        self._database = database

    async def api_key(self, api_key_id: UUID) -> ApiKeyRow | None:
        """One API key; None: there is no row."""
        return next(iter(await self._all(api_key(api_key_id))), None)

    async def page(
        self,
        *,
        user_id: UUID | None = None,
        exchange: str | None = None,
        after: ApiKeyRow | None = None,
        limit: int = 100,
    ) -> list[ApiKeyRow]:
        """API keys by id, in the order in which they were added; those of a user by exchange and id.

        Args:
            exchange: in any spelling that :func:`projections.api_keys.checking.exchange_name` takes for the same.
            after: the last row of the page before.

        Raises:
            ValueError: ``limit`` is more than a page has.
            InvalidCredential: the exchange has no name that can be stored.
        """
        return await self._all(api_keys_page(user_id, exchange, after, limit))

    async def _all(self, statement: Statement) -> list[ApiKeyRow]:
        if isinstance(self._database, AsyncConnection):
            return rows_of(ApiKeyRow, (await self._database.execute(statement)).all())
        async with self._database.connect() as connection:
            return rows_of(ApiKeyRow, (await connection.execute(statement)).all())


def api_key(api_key_id: UUID) -> Statement:
    """One API key by its id."""
    return sa.select(api_keys).where(api_keys.c.id == api_key_id)


def api_keys_page(
    user_id: UUID | None = None, exchange: str | None = None, after: ApiKeyRow | None = None, limit: int = 100
) -> Statement:
    """The statement of :meth:`ApiKeyQueries.page`."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"limit {limit} is not between 1 and {PAGE_LIMIT}")
    c = api_keys.c
    keys = [c.exchange, c.id] if user_id is not None and exchange is None else [c.id]
    statement = sa.select(api_keys)
    if user_id is not None:
        statement = statement.where(c.user_id == user_id)
    if exchange is not None:
        statement = statement.where(c.exchange == exchange_name(exchange))
    if after is not None:
        last = [sa.literal(getattr(after, key.name), key.type) for key in keys]
        statement = statement.where(sa.tuple_(*keys) > sa.tuple_(*last))
    return statement.order_by(*keys).limit(limit)

"""Column types that mean the same on SQLite and on PostgreSQL, and the naming convention of every constraint.

SQLite tables are STRICT, which knows INTEGER, TEXT, BLOB and REAL only. Money is TEXT there: a column
declared DECIMAL would silently become a float.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from byjy_events.identifiers import uuid_of
from byjy_events.numbers import PRECISION, SCALE, canonical, spelled

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Uuid(sa.types.TypeDecorator[UUID]):
    """A UUID: 16 bytes on SQLite, ``uuid`` on PostgreSQL."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        return dialect.type_descriptor(sa.LargeBinary(16))

    def process_bind_param(self, value: UUID | None, dialect: sa.Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else value.bytes

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> UUID | None:
        return value if value is None or isinstance(value, UUID) else uuid_of(value)


class Money(sa.types.TypeDecorator[Decimal]):
    """An exact number: canonical TEXT on SQLite, NUMERIC(38, 18) on PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.NUMERIC(PRECISION, SCALE))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return spelled(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        return None if value is None else canonical(Decimal(value))


class Flag(sa.types.TypeDecorator[bool]):
    """Yes or no: 0 and 1 on SQLite, ``boolean`` on PostgreSQL."""

    impl = sa.Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.Boolean())
        return dialect.type_descriptor(sa.Integer())

    def process_bind_param(self, value: bool | None, dialect: sa.Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else int(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> bool | None:
        return None if value is None else bool(value)


BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A whole number of 64 bits."""

Nanoseconds = BigInt
"""An instant: nanoseconds since 1970-01-01T00:00:00Z."""


def word(length: int) -> sa.String:
    """A short text of bounded length: VARCHAR(n) on PostgreSQL, TEXT on SQLite."""
    return sa.String(length).with_variant(sa.Text(), "sqlite")


def one_of(column: str, values: type, name: str | None = None) -> sa.CheckConstraint:
    """A named CHECK that a column holds one of an enum's values."""
    listed = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined]
    return sa.CheckConstraint(f"{column} IN ({listed})", name=name or column)

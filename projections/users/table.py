"""The table ``users`` and its rows."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from byjy_events.columns import BigInt, Flag, Nanoseconds, Uuid, one_of, word
from byjy_events.vocabulary.users import Role
from projections.rows import Row
from projections.tables import Choice, metadata

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("username", word(255), nullable=False),
    sa.Column("email", sa.LargeBinary),
    sa.Column("email_hash", sa.LargeBinary),
    sa.Column("password_hash", sa.LargeBinary),
    sa.Column("role", Choice(Role), nullable=False),
    sa.Column("is_active", Flag, nullable=False, server_default=sa.true()),
    sa.Column("last_login_at", Nanoseconds),
    sa.Column("failed_login_count", BigInt, nullable=False, server_default="0"),
    sa.Column("locked_until", Nanoseconds),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    one_of("role", Role),
    sqlite_strict=True,
)


class UserRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``users``."""

    id: UUID
    username: str
    email: bytes | None = None
    email_hash: bytes | None = None
    password_hash: bytes | None = None
    role: Role
    is_active: bool = True
    last_login_at: int | None = None
    failed_login_count: int = 0
    locked_until: int | None = None
    created_at: int
    updated_at: int

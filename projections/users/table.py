"""The table ``users`` and its rows."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from byjy_events.columns import BigInt, Flag, Nanoseconds, Uuid, one_of, word
from byjy_events.vocabulary.users import Role
from projections.choices import Choice
from projections.rows import Row
from projections.tables import metadata

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("username", word(64), nullable=False),
    sa.Column("username_key", word(255)),
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
    # Reservations in the log see to it; whoever goes round them stops the projector here.
    sa.UniqueConstraint("username_key", name="uq_users_username_key"),
    sa.UniqueConstraint("email_hash", name="uq_users_email_hash"),
    one_of("role", Role),
    sa.CheckConstraint("failed_login_count >= 0", name="failed_login_count"),
    sa.CheckConstraint("is_active IN (0, 1)", name="flags").ddl_if(dialect="sqlite"),
    sa.Index("ix_users_role", "role", "id"),
    sqlite_strict=True,
)


class UserRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``users``. Of an erased user ``username_key`` and all that was sealed are None.

    Attributes:
        username_key: what the username is found by; see :func:`projections.users.spelling.canonical`.
        email, password_hash: sealed for the user's stream.
        email_hash: what the email is found by.
        failed_login_count: attempts to log in since the last success; one that is being checked is among them.
        locked_until: until then no password is checked, in nanoseconds UTC; it may have passed.
    """

    id: UUID
    username: str
    username_key: str | None = None
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

    @property
    def is_erased(self) -> bool:
        """Whether the user's secrets are gone for good."""
        return self.username_key is None

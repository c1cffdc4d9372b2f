"""The table ``api_keys`` and its rows."""

from __future__ import annotations

from uuid import UUID

import msgspec
import sqlalchemy as sa

from byjy_events.columns import Flag, Nanoseconds, Uuid, word
from byjy_events.vocabulary.api_keys import Permission
from projections.rows import Row
from projections.tables import metadata

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("user_id", Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("exchange", word(64), nullable=False),
    sa.Column("label", word(255), nullable=False),
    sa.Column("fingerprint", sa.LargeBinary),
    sa.Column("encrypted_key", sa.LargeBinary),
    sa.Column("encrypted_secret", sa.LargeBinary),
    sa.Column("encrypted_passphrase", sa.LargeBinary),
    sa.Column("permissions", sa.Text, nullable=False),
    sa.Column("is_active", Flag, nullable=False),
    sa.Column("expires_at", Nanoseconds),
    sa.Column("last_used_at", Nanoseconds),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    sa.Column("erased_at", Nanoseconds),
    # Reservations in the log see to it; whoever goes round them stops the projector here.
    sa.UniqueConstraint("user_id", "exchange", "fingerprint", name="uq_api_keys_user_id_exchange_fingerprint"),
    sa.CheckConstraint(
        "(fingerprint IS NULL) = (erased_at IS NOT NULL)"
        " AND (encrypted_key IS NULL) = (erased_at IS NOT NULL)"
        " AND (encrypted_secret IS NULL) = (erased_at IS NOT NULL)"
        " AND (encrypted_passphrase IS NULL OR erased_at IS NULL)",
        name="erased",
    ),
    sa.CheckConstraint("erased_at IS NULL OR NOT is_active", name="is_active"),
    sa.CheckConstraint("is_active IN (0, 1)", name="flags").ddl_if(dialect="sqlite"),
    sa.Index("ix_api_keys_user_id", "user_id", "exchange", "id"),
    sa.Index("ix_api_keys_exchange", "exchange", "id"),
    sqlite_strict=True,
)
"""One row for each API key, also for those that were revoked or erased."""


class ApiKeyRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``api_keys``. Of an erased key the fingerprint and all that was sealed are None.

    Attributes:
        fingerprint: the keyed hash of user, exchange and key.
        encrypted_key, encrypted_secret, encrypted_passphrase: sealed. Not every key has a passphrase.
        permissions: a JSON array, in alphabetical order.
        is_active: not revoked, and not erased; it may have expired all the same.
        last_used_at: not exact, see :meth:`projections.api_keys.credentials.Credentials.used`.
    """

    id: UUID
    user_id: UUID
    exchange: str
    label: str
    fingerprint: bytes | None = None
    encrypted_key: bytes | None = None
    encrypted_secret: bytes | None = None
    encrypted_passphrase: bytes | None = None
    permissions: str = "[]"
    is_active: bool = True
    expires_at: int | None = None
    last_used_at: int | None = None
    created_at: int
    updated_at: int
    erased_at: int | None = None

    @property
    def permitted(self) -> tuple[Permission, ...]:
        """The permissions, as members of the enum."""
        return msgspec.json.decode(self.permissions, type=tuple[Permission, ...])

"""The fold of ``api_keys``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from byjy_events.recorded import Recorded
from byjy_events.vocabulary.api_keys import (
    ApiKeyAdded,
    ApiKeyChanged,
    ApiKeyErased,
    ApiKeyReactivated,
    ApiKeyReplaced,
    ApiKeyRevoked,
    ApiKeyUsed,
    Permission,
)
from projections.api_keys.table import ApiKeyRow, api_keys
from projections.projection import Key, Projection, on


class ApiKeys(Projection[ApiKeyRow]):
    """``api_keys``: one row for each. An erased key stays as it is, whatever is told of it afterwards."""

    name = "api_keys"
    version = 1
    table = api_keys
    row_type = ApiKeyRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    @on(ApiKeyAdded)
    def added(self, row: ApiKeyRow | None, event: ApiKeyAdded, recorded: Recorded, key: UUID) -> ApiKeyRow:
        if row is not None:
            return row
        return ApiKeyRow(
            id=key,
            user_id=event.user_id,
            exchange=event.exchange,
            label=event.label,
            fingerprint=event.fingerprint,
            encrypted_key=event.key,
            encrypted_secret=event.secret,
            encrypted_passphrase=event.passphrase,
            permissions=_json(event.permissions),
            expires_at=event.expires_at,
            created_at=recorded.effective_at,
            updated_at=recorded.effective_at,
        )

    @on(ApiKeyChanged)
    def changed(self, row: ApiKeyRow | None, event: ApiKeyChanged, recorded: Recorded, key: UUID) -> ApiKeyRow | None:
        permissions = _json(event.permissions)
        return _with(row, recorded, label=event.label, permissions=permissions, expires_at=event.expires_at)

    @on(ApiKeyReplaced)
    def replaced(self, row: ApiKeyRow | None, event: ApiKeyReplaced, recorded: Recorded, key: UUID) -> ApiKeyRow | None:
        return _with(
            row,
            recorded,
            fingerprint=event.fingerprint,
            encrypted_key=event.key,
            encrypted_secret=event.secret,
            encrypted_passphrase=event.passphrase,
            expires_at=event.expires_at,
        )

    @on(ApiKeyRevoked)
    def revoked(self, row: ApiKeyRow | None, event: ApiKeyRevoked, recorded: Recorded, key: UUID) -> ApiKeyRow | None:
        return _with(row, recorded, is_active=False)

    @on(ApiKeyReactivated)
    def reactivated(
        self, row: ApiKeyRow | None, event: ApiKeyReactivated, recorded: Recorded, key: UUID
    ) -> ApiKeyRow | None:
        return _with(row, recorded, is_active=True)

    @on(ApiKeyUsed)
    def used(self, row: ApiKeyRow | None, event: ApiKeyUsed, recorded: Recorded, key: UUID) -> ApiKeyRow | None:
        if row is None or row.erased_at is not None:
            return row
        return replace(row, last_used_at=max(recorded.effective_at, row.last_used_at or recorded.effective_at))

    @on(ApiKeyErased)
    def erased(self, row: ApiKeyRow | None, event: ApiKeyErased, recorded: Recorded, key: UUID) -> ApiKeyRow | None:
        return _with(
            row,
            recorded,
            fingerprint=None,
            encrypted_key=None,
            encrypted_secret=None,
            encrypted_passphrase=None,
            is_active=False,
            erased_at=recorded.effective_at,
        )


def _with(row: ApiKeyRow | None, recorded: Recorded, **values: Any) -> ApiKeyRow | None:
    if row is None or row.erased_at is not None:
        return row
    return replace(row, **values, updated_at=recorded.effective_at)


def _json(permissions: Sequence[Permission]) -> str:
    return msgspec.json.encode(permissions).decode()

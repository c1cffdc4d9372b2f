"""The fold of ``users``."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from byjy_events.recorded import Recorded
from byjy_events.vocabulary.users import UserRegistered
from projections.projection import Key, Projection, on
from projections.users.table import UserRow, users


class Users(Projection[UserRow]):
    """``users``: one row for each."""

    name = "users"
    version = 1
    table = users
    row_type = UserRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    @on(UserRegistered)
    def registered(self, row: UserRow | None, event: UserRegistered, recorded: Recorded, key: UUID) -> UserRow:
        if row is not None:
            return row
        return UserRow(
            id=key,
            username=event.username,
            email=event.email,
            email_hash=event.email_hash,
            password_hash=event.password_hash,
            role=event.role,
            created_at=recorded.effective_at,
            updated_at=recorded.effective_at,
        )

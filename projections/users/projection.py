"""The fold of ``users``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from byjy_events.recorded import Recorded
from byjy_events.vocabulary import users as events
from projections.projection import Key, Projection, on
from projections.users.table import UserRow, users


class Users(Projection[UserRow]):
    """``users``: one row for each. What is told of a user that never was registered is passed over."""

    name = "users"
    version = 1
    table = users
    row_type = UserRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    @on(events.UserRegistered, makes=True)
    def registered(self, row: UserRow | None, event: events.UserRegistered, recorded: Recorded, key: UUID) -> UserRow:
        if row is not None:
            return row
        return UserRow(
            id=key,
            username=event.username,
            username_key=event.username_key,
            email=event.email,
            email_hash=event.email_hash,
            password_hash=event.password_hash,
            role=event.role,
            created_at=recorded.effective_at,
            updated_at=recorded.effective_at,
        )

    @on(events.UserRenamed)
    def renamed(self, row: UserRow | None, event: events.UserRenamed, recorded: Recorded, key: UUID) -> UserRow | None:
        return _changed(row, recorded, username=event.username, username_key=event.username_key)

    @on(events.UserEmailChanged)
    def email_changed(
        self, row: UserRow | None, event: events.UserEmailChanged, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        return _changed(row, recorded, email=event.email, email_hash=event.email_hash)

    @on(events.UserPasswordChanged)
    def password_changed(
        self, row: UserRow | None, event: events.UserPasswordChanged, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        return _changed(row, recorded, password_hash=event.password_hash)

    @on(events.UserRoleChanged)
    def role_changed(
        self, row: UserRow | None, event: events.UserRoleChanged, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        return _changed(row, recorded, role=event.role)

    @on(events.UserDeactivated)
    def deactivated(
        self, row: UserRow | None, event: events.UserDeactivated, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        return _changed(row, recorded, is_active=False)

    @on(events.UserReactivated)
    def reactivated(
        self, row: UserRow | None, event: events.UserReactivated, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        return _changed(row, recorded, is_active=True)

    @on(events.LoginReserved)
    def login_reserved(
        self, row: UserRow | None, event: events.LoginReserved, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        count, until = event.failed_login_count, event.locked_until
        return _changed(row, recorded, failed_login_count=count, locked_until=until)

    @on(events.LoginSucceeded)
    def login_succeeded(
        self, row: UserRow | None, event: events.LoginSucceeded, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        at = recorded.effective_at
        return _changed(row, recorded, last_login_at=at, failed_login_count=0, locked_until=None)

    @on(events.UserUnlocked)
    def unlocked(
        self, row: UserRow | None, event: events.UserUnlocked, recorded: Recorded, key: UUID
    ) -> UserRow | None:
        return _changed(row, recorded, failed_login_count=0, locked_until=None)

    @on(events.UserErased)
    def erased(self, row: UserRow | None, event: events.UserErased, recorded: Recorded, key: UUID) -> UserRow | None:
        gone = dict.fromkeys(("username_key", "email", "email_hash", "password_hash"))
        return _changed(row, recorded, is_active=False, **gone)


def _changed(row: UserRow | None, recorded: Recorded, **values: Any) -> UserRow | None:
    return None if row is None else replace(row, updated_at=recorded.effective_at, **values)

"""What may be done with a user as the user stands: pure functions over the row that the user's stream makes.

Each returns the event to be stored, None if it is so already, or raises why not. What is unique across users is not
decided here but by reservations, in the same append.
"""

from __future__ import annotations

from typing import NoReturn

from byjy_events.event import Event
from byjy_events.vocabulary.users import (
    LoginReserved,
    LoginSucceeded,
    Role,
    UserDeactivated,
    UserEmailChanged,
    UserErased,
    UserPasswordChanged,
    UserReactivated,
    UserRegistered,
    UserRenamed,
    UserRoleChanged,
    UserUnlocked,
)
from projections.users.errors import UserRefused
from projections.users.lockout import LockoutPolicy
from projections.users.spelling import Name
from projections.users.table import UserRow


def refuse_registered(row: UserRow | None) -> None:
    """
    Raises:
        UserRefused: the id is that of a user, perhaps of one that was erased.
    """
    if row is not None:
        _refuse(row, UserRegistered, "it was registered before")


def renamed(row: UserRow, name: Name) -> UserRenamed | None:
    """
    Raises:
        UserRefused: the user was erased.
    """
    _refuse_erased(row, UserRenamed)
    if (row.username, row.username_key) == (name.shown, name.key):
        return None
    return UserRenamed(username=name.shown, username_key=name.key)


def email_changed(row: UserRow, event: UserEmailChanged) -> UserEmailChanged:
    """
    Raises:
        UserRefused: the user was erased.
    """
    _refuse_erased(row, UserEmailChanged)
    return event


def password_changed(row: UserRow, event: UserPasswordChanged) -> UserPasswordChanged:
    """
    Raises:
        UserRefused: the user was erased.
    """
    _refuse_erased(row, UserPasswordChanged)
    return event


def role_changed(row: UserRow, role: Role) -> UserRoleChanged | None:
    """
    Raises:
        UserRefused: the user was erased.
    """
    _refuse_erased(row, UserRoleChanged)
    return None if row.role is role else UserRoleChanged(role=role)


def deactivated(row: UserRow, reason: str) -> UserDeactivated | None:
    """An erased user is inactive already."""
    return UserDeactivated(reason=reason) if row.is_active else None


def reactivated(row: UserRow, reason: str) -> UserReactivated | None:
    """
    Raises:
        UserRefused: the user was erased.
    """
    _refuse_erased(row, UserReactivated)
    return None if row.is_active else UserReactivated(reason=reason)


def unlocked(row: UserRow, reason: str) -> UserUnlocked | None:
    """A lock that ran out leaves the count of failures, which is forgotten too."""
    return UserUnlocked(reason=reason) if row.failed_login_count else None


def erased(row: UserRow, reason: str) -> UserErased | None:
    """Once."""
    return None if row.is_erased else UserErased(reason=reason)


# --- logging in -----------------------------------------------------------------------------------


def login_reserved(row: UserRow, policy: LockoutPolicy, now: int, refused: int) -> LoginReserved | None:
    """The attempt, counted as a failure before anybody knows; None: the user is locked out or inactive, and no password
    is checked.

    Args:
        refused: attempts that were refused before and are not told yet.
    """
    if not row.is_active or (row.locked_until is not None and now < row.locked_until):
        return None
    failures = row.failed_login_count + 1
    return LoginReserved(failed_login_count=failures, locked_until=policy.locked_until(failures, now), refused=refused)


def login_succeeded(row: UserRow, password_hash: bytes, rehashed: bytes | None) -> list[Event]:
    """What a right password becomes; nothing, if it is not the user's any more or the user is not active.

    Args:
        password_hash: the sealed hash that it was checked by.
        rehashed: the same password, hashed as is the custom now.
    """
    if not row.is_active or row.password_hash != password_hash:
        return []
    success = LoginSucceeded()
    return [success] if rehashed is None else [success, UserPasswordChanged(password_hash=rehashed, rehash=True)]


def _refuse_erased(row: UserRow, wanted: type[Event]) -> None:
    if row.is_erased:
        _refuse(row, wanted, "it was erased")


def _refuse(row: UserRow, wanted: type[Event], reason: str) -> NoReturn:
    raise UserRefused(row.id, wanted.__name__, reason)

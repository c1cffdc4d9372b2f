"""Users: people and programs that may do things, and how they log in.

An email address and the hash of a password are in an event as sealed bytes only. What a fold needs and somebody has to
decide, such as how long a user is locked out, stands in the event.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from byjy_events.event import Id, Intent, Text, event_type

USERNAME_CHARACTERS = 64

Username = Annotated[str, msgspec.Meta(min_length=1, max_length=USERNAME_CHARACTERS)]

Count = Annotated[int, msgspec.Meta(ge=0)]


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "ADMIN"
    TRADER = "TRADER"
    AUDITOR = "AUDITOR"
    READ_ONLY = "READ_ONLY"


@event_type()
class UserRegistered(Intent, frozen=True, kw_only=True):
    """A user came into being, active. The stream's id is the user's.

    Attributes:
        username: as people read it.
        username_key: its canonical spelling, the same for all names that count as this one; unique, by a reservation.
        email: sealed for the user's stream, field ``email``.
        email_hash: the keyed hash that it is found by; unique likewise.
        password_hash: sealed likewise, field ``password_hash``.
    """

    username: Username
    username_key: Id
    email: bytes
    email_hash: bytes
    password_hash: bytes
    role: Role


@event_type()
class UserRenamed(Intent, frozen=True, kw_only=True):
    """A user is called otherwise from now on. Fields as those of :class:`UserRegistered`."""

    username: Username
    username_key: Id


@event_type()
class UserEmailChanged(Intent, frozen=True, kw_only=True):
    """A user has another email address from now on. Fields as those of :class:`UserRegistered`."""

    email: bytes
    email_hash: bytes


@event_type()
class UserPasswordChanged(Intent, frozen=True, kw_only=True):
    """A user has another password, or the same one is hashed otherwise.

    Attributes:
        password_hash: sealed for the user's stream, field ``password_hash``.
        rehash: the password is the same; the parameters of hashing had changed.
    """

    password_hash: bytes
    rehash: bool = False


@event_type()
class UserRoleChanged(Intent, frozen=True, kw_only=True):
    """A user may do other things from now on."""

    role: Role


@event_type()
class UserDeactivated(Intent, frozen=True, kw_only=True):
    """A user cannot log in any more, until reactivated."""

    reason: Text = ""


@event_type()
class UserReactivated(Intent, frozen=True, kw_only=True):
    """A user may log in again."""

    reason: Text = ""


@event_type()
class LoginReserved(Intent, frozen=True, kw_only=True):
    """A password is about to be checked. Until a success follows it counts as wrong.

    Attributes:
        failed_login_count: attempts since the last success, this one among them.
        locked_until: the next one is refused before that, in nanoseconds UTC; None: it is not.
        refused: attempts since the last one that this process reserved, which it refused without looking at the
            password, because the user was locked out or inactive.
    """

    failed_login_count: Count
    locked_until: int | None = None
    refused: Count = 0


@event_type()
class LoginSucceeded(Intent, frozen=True, kw_only=True):
    """The password was right: the count of failures starts anew, and no lock is left."""


@event_type()
class UserUnlocked(Intent, frozen=True, kw_only=True):
    """Somebody ended a lock-out: the count of failures starts anew."""

    reason: Text = ""


@event_type()
class UserErased(Intent, frozen=True, kw_only=True):
    """The keys of all that was sealed for a user are gone. The user is inactive for good; name and email are free."""

    reason: Text = ""

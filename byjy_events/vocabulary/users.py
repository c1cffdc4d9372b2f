"""Users: people and programs that may do things."""

from __future__ import annotations

from enum import StrEnum

from byjy_events.event import Id, Intent, event_type


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
        username: as it was given; unique without regard to case and Unicode form, by a reservation.
        email: sealed for the user's stream, field ``email``.
        email_hash: the keyed hash that it is found by.
        password_hash: sealed likewise, field ``password_hash``.
    """

    username: Id
    email: bytes
    email_hash: bytes
    password_hash: bytes
    role: Role

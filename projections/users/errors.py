"""What is raised about users. No error ever holds a password or an email address.

::

    ByjyError
    ├── InvalidUserField       what was given cannot be stored            (names the field)
    │   ├── InvalidUsername
    │   ├── InvalidEmail
    │   └── InvalidPassword
    ├── UnknownUser            nobody was registered under this id
    ├── UserRefused            the user is not in a state for that        (names user and what was wanted)
    └── LoginRefused           a login failed; it says nothing more
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from byjy_events.errors import ByjyError


class InvalidUserField(ByjyError):
    """What was given cannot be stored. Nothing was, and the error does not show it.

    Attributes:
        field: what it was given for.
        reason: what is wrong with it.
    """

    field: ClassVar[str]

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{self.field}: {reason}")


class InvalidUsername(InvalidUserField):
    """This can be nobody's username."""

    field = "username"


class InvalidEmail(InvalidUserField):
    """This is no email address."""

    field = "email"


class InvalidPassword(InvalidUserField):
    """This can be nobody's password."""

    field = "password"


class UnknownUser(ByjyError):
    """Nobody was registered under this id. Nothing was stored.

    Attributes:
        user_id: the id.
    """

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        super().__init__(f"there is no user {user_id}")


class UserRefused(ByjyError):
    """The user is not in a state for what was wanted. Nothing was stored.

    Attributes:
        user_id: the user.
        wanted: what that was, e.g. ``UserRenamed``.
        reason: why not.
    """

    def __init__(self, user_id: UUID, wanted: str, reason: str) -> None:
        self.user_id = user_id
        self.wanted = wanted
        self.reason = reason
        super().__init__(f"user {user_id} refuses {wanted}: {reason}")


class LoginRefused(ByjyError):
    """A login failed. It does not say whether there is such a user, whether the password was wrong, or whether the user
    is locked out or inactive: who asks may be anybody.
    """

    def __init__(self) -> None:
        super().__init__("login refused")

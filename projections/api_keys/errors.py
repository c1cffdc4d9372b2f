"""What is raised about API keys. No error ever holds a secret.

::

    ByjyError
    ├── InvalidCredential      what was given cannot be stored            (names the field)
    ├── ApiKeyRefused          the key is not in a state for that         (names key, state and what was wanted)
    ├── OwnerRefused           its user is not known, or not active       (names the user)
    └── AlreadyTaken
        └── CredentialTaken    the user has the same key already          (names user, exchange and the other one)
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from byjy_events.errors import ByjyError
from projections.errors import AlreadyTaken


class ApiKeyState(StrEnum):
    """What may be done with an API key now."""

    UNKNOWN = "UNKNOWN"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    ERASED = "ERASED"


class InvalidCredential(ByjyError):
    """What was given cannot be stored. Nothing was.

    Attributes:
        field: what it was given for, e.g. ``secret``.
        reason: what is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


class ApiKeyRefused(ByjyError):
    """The API key is not in a state for what was wanted. Nothing was stored, and nothing given out.

    Attributes:
        api_key_id: the API key.
        state: its state when that was decided.
        intent: the type of the event that would have been stored, e.g. ``ApiKeyRevealed``.
        reason: why not.
    """

    def __init__(self, api_key_id: UUID, state: ApiKeyState, intent: str, reason: str) -> None:
        self.api_key_id = api_key_id
        self.state = state
        self.intent = intent
        self.reason = reason
        super().__init__(f"API key {api_key_id} refuses {intent}: {reason}")


class OwnerRefused(ByjyError):
    """The user may not have, or use, API keys now. Nothing was stored, and nothing given out.

    Attributes:
        user_id: the user.
        reason: why not.
    """

    def __init__(self, user_id: UUID, reason: str) -> None:
        self.user_id = user_id
        self.reason = reason
        super().__init__(f"user {user_id}: {reason}")


class CredentialTaken(AlreadyTaken):
    """The user has the same key for the same exchange already. Nothing was stored.

    Attributes:
        field: ``key``.
        user_id, exchange: of both.
        holder: the id of the API key that has it; it may be one that was revoked.
    """

    def __init__(self, user_id: UUID, exchange: str, holder: UUID) -> None:
        super().__init__(f"key of user {user_id} for {exchange}", holder)
        self.field = "key"
        self.user_id = user_id
        self.exchange = exchange

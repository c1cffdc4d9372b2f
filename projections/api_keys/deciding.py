"""What may be done with an API key as it stands: pure functions over its row.

The row is folded from the key's stream by the same fold that makes the table, so a key has one life and not two.

A revoked or expired key is not revealed: whoever wants it has to reactivate it, or to say a new expiry, and that is an
event too. It may be replaced, and stays revoked then: a key that leaked is revoked first and exchanged afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from byjy_events.event import Event
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.api_keys import (
    ApiKeyAdded,
    ApiKeyChanged,
    ApiKeyErased,
    ApiKeyReactivated,
    ApiKeyReplaced,
    ApiKeyRevealed,
    ApiKeyRevoked,
    ApiKeyUsed,
)
from projections.api_keys.errors import ApiKeyRefused, ApiKeyState
from projections.api_keys.table import ApiKeyRow
from projections.folding import FoldFailed
from projections.memory import folded_in_memory
from projections.ownership import OWNERSHIP

_UNKNOWN, _ERASED = "it was never added", "its secrets are erased"
_THERE = {ApiKeyState.UNKNOWN: _UNKNOWN, ApiKeyState.ERASED: _ERASED}

REFUSED: dict[type[Event], dict[ApiKeyState, str]] = {
    ApiKeyAdded: {state: "there is one of this id" for state in ApiKeyState if state is not ApiKeyState.UNKNOWN},
    ApiKeyChanged: _THERE,
    ApiKeyReplaced: _THERE,
    ApiKeyRevoked: {**_THERE, ApiKeyState.REVOKED: "it is revoked already"},
    ApiKeyReactivated: {**_THERE, ApiKeyState.ACTIVE: "it is active", ApiKeyState.EXPIRED: "it is not revoked"},
    ApiKeyRevealed: {**_THERE, ApiKeyState.REVOKED: "it is revoked", ApiKeyState.EXPIRED: "it has expired"},
    ApiKeyUsed: _THERE,
    ApiKeyErased: {ApiKeyState.UNKNOWN: _UNKNOWN},
}
"""For each event the states in which it is refused, and why."""


def state_of(row: ApiKeyRow | None, now: int) -> ApiKeyState:
    """What may be done with a key at an instant, in nanoseconds UTC. Revoked counts more than expired."""
    if row is None:
        return ApiKeyState.UNKNOWN
    if row.erased_at is not None:
        return ApiKeyState.ERASED
    if not row.is_active:
        return ApiKeyState.REVOKED
    return ApiKeyState.EXPIRED if row.expires_at is not None and row.expires_at <= now else ApiKeyState.ACTIVE


def decide(api_key_id: UUID, row: ApiKeyRow | None, intent: type[Event], now: int) -> None:
    """Nothing, if an event of this type may be stored now.

    Raises:
        ApiKeyRefused: the key is not in a state for it.
    """
    state = state_of(row, now)
    reason = REFUSED[intent].get(state)
    if reason is not None:
        raise ApiKeyRefused(api_key_id, state, intent.__name__, reason)


def folded_api_key(api_key_id: UUID, events: Sequence[Recorded]) -> ApiKeyRow | None:
    """The row of a key whose whole stream this is, but for what was revealed; None: its events tell of no key.

    Raises:
        UpgradeRequired: a newer program wrote one of the events.
    """
    try:
        return folded_in_memory(OWNERSHIP, events).tables[OWNERSHIP.by_row_type[ApiKeyRow]].get(api_key_id)
    except FoldFailed as failed:
        raise failed.cause from None


def superseded(events: Sequence[Recorded]) -> list[bytes]:
    """The sealed values in a key's stream that later ones took the place of."""
    sealings = [one.event for one in events if isinstance(one.event, ApiKeyAdded | ApiKeyReplaced)]
    values = [(one.key, one.secret, one.passphrase) for one in sealings[:-1]]
    return [value for three in values for value in three if value is not None]

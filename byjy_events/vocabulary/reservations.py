"""Reservations: what only one may have at a time, across streams.

Each thing that can be had has a stream of its own, named by :func:`byjy_events.stream.reservation_stream`. Taking it is
an event in the same append as what it is taken for, with the exact version of that stream; so of two who want the same
at the same moment one conflicts. The thing itself is not told, since it may be personal.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from byjy_events.event import Intent, event_type

Kind = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


@event_type()
class ReservationMade(Intent, frozen=True, kw_only=True):
    """Somebody has it from now on.

    Attributes:
        kind: what is reserved, e.g. ``username``.
        holder: who has it, e.g. a user's id.
    """

    kind: Kind
    holder: UUID


@event_type()
class ReservationReleased(Intent, frozen=True, kw_only=True):
    """Its holder gave it up, and anybody may have it."""

    kind: Kind
    holder: UUID

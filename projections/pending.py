"""The amendments of an order that the venue said are pending, by their client order ids, as they stand in its row."""

from __future__ import annotations

import msgspec

from projections.rows import OrderRow

_decoded = msgspec.json.Decoder(list[str]).decode


def pending(row: OrderRow) -> list[str]:
    """The ids, the oldest first."""
    return [] if row.pending_amends is None else _decoded(row.pending_amends)


def with_pending(names: list[str]) -> str | None:
    """The column for these ids."""
    return msgspec.json.encode(names).decode() if names else None

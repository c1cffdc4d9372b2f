"""Positions: netted holdings at average cost, one row for each pair, account and kind of money.

A fill on the same side re-weights the average price; one on the other side realises profit; one that
crosses zero does both, closing what there was and opening the rest at its own price. What was closed is kept as a
cycle, with the profit that it made.

A fee in the quote asset is realised at once. A fee in the base asset changes the held quantity and is
realised at the price of its fill, so that a position that was closed has realised exactly the money that
came in and went out. A fill that crosses zero pays its fee in parts: each holding bears it for the quantity that is its
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled
from projections.anomalies import anomaly
from projections.choices import AnomalyKind
from projections.holdings import after_fill, fee_in
from projections.pairs import trading_pair_id
from projections.projection import Evolved, Key, Projection, on
from projections.rows import AnomalyRow, PositionCycleRow, PositionRow
from projections.tables import position_cycles, positions


class Positions(Projection[PositionRow]):
    """``positions``: follows the fills alone, whatever is known of their orders."""

    name = "positions"
    version = 2
    table = positions
    row_type = PositionRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        return ((trading_pair_id(event.pair), event.account, event.is_test),)

    @on(OrderFilled)
    def filled(
        self, row: PositionRow | None, event: OrderFilled, recorded: Recorded, key: Key
    ) -> PositionRow | Evolved[PositionRow]:
        at, position = recorded.effective_at, recorded.position
        before = row if row is not None else flat(key, at)
        paid_in = fee_in(event.fee, event.fee_asset, event.pair)
        changed, closed = after_fill(before, event, paid_in, at, position)
        odd = _oddities(before, changed, event, recorded)
        if closed is not None:
            return Evolved(changed, (*odd, closed))
        return Evolved(changed, odd) if odd else changed


class PositionCycles(Projection[PositionCycleRow]):
    """``position_cycles``: :class:`Positions` adds a row whenever a holding is closed."""

    name = "position_cycles"
    version = 1
    table = position_cycles
    row_type = PositionCycleRow
    append_only = True


def flat(key: Key, at: int) -> PositionRow:
    """A position before its first fill, which happened at an instant."""
    return PositionRow(
        trading_pair_id=key[0], account=key[1], is_test=key[2], created_at=at, updated_at=at, last_position=0
    )


def _oddities(
    before: PositionRow, after: PositionRow, event: OrderFilled, recorded: Recorded
) -> tuple[AnomalyRow, ...]:
    stuck = after.fills == before.fills and after.opened_position == before.opened_position
    lost = after.realized_pnl is None and before.realized_pnl is not None
    return (_out_of_range(event, recorded, before.trading_pair_id),) if stuck or lost else ()


def _out_of_range(event: OrderFilled, recorded: Recorded, pair: UUID) -> AnomalyRow:
    message = f"{event.quantity} at {event.price} with a fee of {event.fee} takes the position out of range"
    return anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, pair)

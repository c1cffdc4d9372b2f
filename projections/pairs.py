"""Trading pairs: what was listed, and a stub for whatever an order event names besides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from byjy_events.event import Event, Fact
from byjy_events.identifiers import pair_id
from byjy_events.recorded import Recorded
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.pairs import Pair, PairDelisted, PairListed, PairStatus, PairStatusChanged
from projections.anomalies import anomaly
from projections.choices import AnomalyKind
from projections.projection import Evolved, Key, Projection, on
from projections.rows import TradingPairRow
from projections.tables import trading_pairs

NAMING_A_PAIR: tuple[type[Event], ...] = (
    events.OrderPlaced,
    events.OrderAccepted,
    events.OrderRejected,
    events.OrderTriggered,
    events.OrderFilled,
    events.OrderCancelPending,
    events.OrderCanceled,
    events.OrderExpired,
    events.OrderAmendPending,
    events.OrderAmended,
    events.OrderCancelRejected,
    events.OrderAmendRejected,
    events.OrderDoneForDay,
    events.OrderRestated,
    events.TradeBusted,
    events.TradeCorrected,
)
"""The events of orders that carry their pair."""

# Deriving an id costs a SHA-1, a log names few pairs.
_pair_id = lru_cache(maxsize=65_536)(pair_id)


def trading_pair_id(pair: Pair) -> UUID:
    """The key of a pair's row in ``trading_pairs``."""
    return _pair_id(pair.exchange, pair.symbol)


class TradingPairs(Projection[TradingPairRow]):
    """``trading_pairs``: one row for each pair that anything was said of.

    A pair that an order event names before it was listed gets a stub, ``external`` until it is listed. When it
    was a venue that named it first, that is an anomaly.
    """

    name = "trading_pairs"
    version = 1
    table = trading_pairs
    row_type = TradingPairRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        pair: Pair = event.pair
        return (_pair_id(pair.exchange, pair.symbol),)

    @on(PairListed)
    def listed(self, row: TradingPairRow | None, event: PairListed, recorded: Recorded, key: UUID) -> TradingPairRow:
        at = recorded.effective_at
        return TradingPairRow(
            id=key,
            symbol=event.pair.symbol,
            base_asset=event.pair.base_asset,
            quote_asset=event.pair.quote_asset,
            exchange=event.pair.exchange,
            status=event.status,
            min_quantity=event.min_quantity,
            max_quantity=event.max_quantity,
            step_size=event.step_size,
            min_price=event.min_price,
            max_price=event.max_price,
            tick_size=event.tick_size,
            is_active=event.status is not PairStatus.INACTIVE,
            created_at=at if row is None else row.created_at,
            updated_at=at,
        )

    @on(PairStatusChanged)
    def status_changed(
        self, row: TradingPairRow | None, event: PairStatusChanged, recorded: Recorded, key: UUID
    ) -> TradingPairRow:
        return _with_status(row or _stub(event.pair, recorded, key), event.status, recorded)

    @on(PairDelisted)
    def delisted(
        self, row: TradingPairRow | None, event: PairDelisted, recorded: Recorded, key: UUID
    ) -> TradingPairRow:
        return _with_status(row or _stub(event.pair, recorded, key), PairStatus.INACTIVE, recorded)

    @on(*NAMING_A_PAIR, makes=True)
    def named(
        self, row: TradingPairRow | None, event: events.OrderPlaced | events.OrderFact, recorded: Recorded, key: UUID
    ) -> TradingPairRow | Evolved[TradingPairRow]:
        if row is not None:
            return row
        stub = _stub(event.pair, recorded, key)
        if not isinstance(event, Fact):
            return stub
        message = f"{recorded.type} names {event.pair.symbol} at {event.pair.exchange}, which was never listed"
        return Evolved(stub, (anomaly(AnomalyKind.UNKNOWN_PAIR, recorded, message, key),))


def _stub(pair: Pair, recorded: Recorded, key: UUID) -> TradingPairRow:
    return TradingPairRow(
        id=key,
        symbol=pair.symbol,
        base_asset=pair.base_asset,
        quote_asset=pair.quote_asset,
        exchange=pair.exchange,
        status=PairStatus.TRADING,
        external=True,
        created_at=recorded.effective_at,
        updated_at=recorded.effective_at,
    )


def _with_status(row: TradingPairRow, status: PairStatus, recorded: Recorded) -> TradingPairRow:
    active = status is not PairStatus.INACTIVE
    return replace(row, status=status, is_active=active, updated_at=recorded.effective_at)

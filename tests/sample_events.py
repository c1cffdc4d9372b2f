"""One event of every type, every field filled in, for tests that care about the type and not about the story."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from byjy_events.event import Event, Fact
from byjy_events.vocabulary import orders, pairs, reservations, users, venue
from byjy_events.vocabulary.orders import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from byjy_events.vocabulary.pairs import Pair, PairStatus

PAIR = Pair(exchange="binance", symbol="BTCUSDT", base_asset="BTC", quote_asset="USDT")
ID = UUID("01932c07-9d2e-7b6a-8f10-0123456789ab")

_ORDER: dict[str, Any] = {
    "pair": PAIR,
    "account": "main",
    "exchange_order_id": "28457",
    "client_order_id": "mm-1",
    "is_test": True,
}
_UPDATE: dict[str, Any] = {**_ORDER, "update_id": "u-7"}
_PRICES: dict[str, Any] = {"price": Decimal("97123.45"), "stop_price": Decimal("96000")}

SAMPLES: dict[str, Event] = {
    type(event).__name__: event
    for event in (
        orders.OrderPlaced(
            pair=PAIR,
            account="main",
            side=Side.SELL,
            type=OrderType.STOP_LOSS_LIMIT,
            quantity=Decimal("0.000000000000000001"),
            **_PRICES,
            time_in_force=TimeInForce.IOC,
            client_order_id="mm-1",
            is_test=True,
            strategy_id=ID,
            strategy_execution_id=ID,
        ),
        orders.OrderSubmitted(client_order_id="mm-1"),
        orders.OrderDenied(reason="limit of 5 BTC reached – größer geht nicht"),
        orders.OrderCancelRequested(reason='"stale" quote'),
        orders.OrderAmendRequested(quantity=Decimal(2), **_PRICES),
        orders.OrderLinked(external_order_id=ID, reason="same client order id"),
        orders.OrderAccepted(**_UPDATE),
        orders.OrderRejected(**_UPDATE, reason="insufficient balance"),
        orders.OrderTriggered(**_UPDATE),
        orders.OrderFilled(
            **_ORDER,
            execution_id="x-1",
            side=Side.BUY,
            quantity=Decimal("0.25"),
            price=Decimal("12345678901234567890.123456789012345678"),
            fee=Decimal("-0.0001"),
            fee_asset="BNB",
            liquidity=Liquidity.MAKER,
        ),
        orders.OrderCancelPending(**_UPDATE),
        orders.OrderCanceled(**_UPDATE, reason="by user"),
        orders.OrderExpired(**_UPDATE, reason="IOC"),
        orders.OrderAmendPending(**_UPDATE),
        orders.OrderAmended(
            **_UPDATE,
            quantity=Decimal(3),
            reduced_by=Decimal("0.5"),
            **_PRICES,
            new_exchange_order_id="28458",
            new_client_order_id="mm-2",
        ),
        orders.OrderCancelRejected(**_UPDATE, reason="too late"),
        orders.OrderAmendRejected(**_UPDATE, reason="too late"),
        orders.OrderDoneForDay(**_UPDATE),
        orders.TradeBusted(**_UPDATE, execution_id="x-1", reason="erroneous"),
        orders.TradeCorrected(
            **_UPDATE,
            execution_id="x-1",
            corrected_execution_id="x-2",
            quantity=Decimal("0.2"),
            price=Decimal("97000"),
            fee=Decimal(0),
            fee_asset="BNB",
            reason="erroneous price",
        ),
        orders.OrderRestated(
            **_UPDATE,
            status=OrderStatus.PARTIALLY_FILLED,
            side=Side.BUY,
            type=OrderType.STOP_LOSS_LIMIT,
            quantity=Decimal(1),
            filled_quantity=Decimal("0.25"),
            avg_price=Decimal("97000.5"),
            **_PRICES,
            reason="snapshot",
        ),
        pairs.PairListed(
            pair=PAIR,
            status=PairStatus.MAINTENANCE,
            min_quantity=Decimal("0.00001"),
            max_quantity=Decimal(9000),
            step_size=Decimal("0.00001"),
            min_price=Decimal("0.01"),
            max_price=Decimal(1_000_000),
            tick_size=Decimal("0.01"),
        ),
        pairs.PairStatusChanged(pair=PAIR, status=PairStatus.INACTIVE),
        pairs.PairDelisted(pair=PAIR),
        venue.VenueMessageUnusable(
            exchange="binance",
            account="main",
            raw=bytes(range(256)),
            raw_length=256,
            raw_sha256="40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880",
            error="DecodeError: JSON is malformed",
        ),
        venue.FactConflicted(
            fact_event_id=ID, fact_type="OrderFilled", fact_position=7, first='{"quantity":"1"}', second="{}"
        ),
        reservations.ReservationMade(kind="username", holder=ID),
        reservations.ReservationReleased(kind="username", holder=ID),
        users.UserRegistered(
            username="ada",
            email=b"\x01sealed",
            email_hash=bytes(32),
            password_hash=b"\x01sealed",
            role=users.Role.TRADER,
        ),
    )
}
"""By the name of the type."""


def placed(quantity: str = "1.5", price: str = "100") -> orders.OrderPlaced:
    """An intent: a plain limit order."""
    return orders.OrderPlaced(
        pair=PAIR,
        account="main",
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(price),
    )


def filled(execution_id: str, quantity: str = "0.5", price: str = "100", **fields: Any) -> orders.OrderFilled:
    """A fact: one execution. The same execution id is the same fact."""
    return orders.OrderFilled(
        pair=PAIR,
        account="main",
        exchange_order_id="28457",
        execution_id=execution_id,
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal(price),
        **fields,
    )


def facts() -> list[Fact]:
    """The samples that a venue tells."""
    return [event for event in SAMPLES.values() if isinstance(event, Fact)]

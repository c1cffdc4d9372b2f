"""One event of every type, every field filled in, for tests that care about the type and not about the story."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from byjy_events.event import Event, Fact
from byjy_events.vocabulary import api_keys, configuration, orders, pairs, reservations, strategies, users, venue
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
        configuration.ConfigurationSet(
            key="risk.max_position",
            value='{"BTCUSDT":0.5}',
            sealed_value=b"",
            value_type=configuration.ValueType.OBJECT,
            description="Per pair, in the base asset.",
            is_secret=False,
            version=3,
        ),
        configuration.ConfigurationRemoved(key="risk.max_position", version=4),
        configuration.ConfigurationRevealed(key="venue.binance.api-key", version=2, reason="rotation"),
        reservations.ReservationMade(kind="username", holder=ID),
        reservations.ReservationReleased(kind="username", holder=ID),
        users.UserRegistered(
            username="Ada",
            username_key="ada",
            email=b"\x01sealed",
            email_hash=bytes(32),
            password_hash=b"\x01sealed",
            role=users.Role.TRADER,
        ),
        users.UserRenamed(username="Grace", username_key="grace"),
        users.UserEmailChanged(email=b"\x01sealed", email_hash=bytes(32)),
        users.UserPasswordChanged(password_hash=b"\x01sealed", rehash=True),
        users.UserRoleChanged(role=users.Role.AUDITOR),
        users.UserDeactivated(reason="on leave"),
        users.UserReactivated(reason="back"),
        users.LoginReserved(failed_login_count=6, locked_until=1_700_000_000_000_000_000, refused=40),
        users.LoginSucceeded(),
        users.UserUnlocked(reason="asked by telephone"),
        users.UserErased(reason="left"),
        strategies.StrategyCreated(
            user_id=ID,
            name="Größter Maker",
            name_key="grösster maker",
            kind="market_maker",
            parameters='{"levels":[1,2.5]}',
            is_test=True,
        ),
        strategies.StrategyRenamed(name="MM-BTC", name_key="mm-btc"),
        strategies.StrategyParametersChanged(parameters='{"levels":[]}', parameters_version=2, reason="calmer"),
        strategies.StrategyActivated(reason="tested"),
        strategies.StrategyPaused(reason="maintenance of the venue"),
        strategies.StrategyStopped(reason="does not pay"),
        strategies.StrategyArchived(reason="replaced"),
        strategies.StrategyExecutionStarted(strategy_id=ID, parameters_version=2, process="host pid 7", is_test=True),
        strategies.StrategyExecutionEnded(
            status=strategies.ExecutionStatus.FAILED, stop_reason="by hand", error="KeyError: 'BTCUSDT'"
        ),
        strategies.StrategyExecutionLost(reason="host is gone", last_beat_at=1_767_225_600_000_000_000),
        api_keys.ApiKeyAdded(
            user_id=ID,
            exchange="binance",
            label="Größte Börse",
            fingerprint=bytes(32),
            key=b"\x01sealed key",
            secret=b"\x01sealed secret",
            passphrase=b"\x01sealed passphrase",
            permissions=(api_keys.Permission.READ, api_keys.Permission.TRADE),
            expires_at=1_767_225_600_000_000_000,
        ),
        api_keys.ApiKeyChanged(
            label="second desk", permissions=(api_keys.Permission.READ,), expires_at=1_767_225_600_000_000_000
        ),
        api_keys.ApiKeyReplaced(
            fingerprint=bytes(32),
            key=b"\x01sealed key",
            secret=b"\x01sealed secret",
            passphrase=b"\x01sealed passphrase",
            expires_at=1_767_225_600_000_000_000,
        ),
        api_keys.ApiKeyRevoked(reason="left the desk"),
        api_keys.ApiKeyReactivated(reason="is back"),
        api_keys.ApiKeyRevealed(
            fields=(api_keys.SecretField.KEY, api_keys.SecretField.SECRET, api_keys.SecretField.PASSPHRASE),
            reason="start of mm-1",
        ),
        api_keys.ApiKeyUsed(),
        api_keys.ApiKeyErased(reason="the user asked for it"),
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

"""From a message of the venue to a fact of the log.

The client order id that the engine gives to the venue is the order's own id in hex. So a message finds its stream
without any memory of the engine, after a crash too; an order with another client order id was placed by somebody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from msgspec import Struct

from byjy_events import (
    Entry,
    Fact,
    OrderAccepted,
    OrderAmended,
    OrderAmendRejected,
    OrderCanceled,
    OrderCancelPending,
    OrderCancelRejected,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    Stream,
    TradeBusted,
    TradeCorrected,
    VenueMessageUnusable,
    external_order_id,
    order_stream,
    usable_or_kept,
    venue_stream,
)
from byjy_ops.demo.markets import EXCHANGE, MARKETS, Account
from byjy_ops.demo.messages import ExecutionReport, Kind, decode

_PAIRS = {market.pair.symbol: market.pair for market in MARKETS}


class Heard(Struct, frozen=True):
    """A message as it goes into the log: in which stream, and what it says."""

    stream: Stream
    entry: Entry


def heard(account: Account, raw: bytes) -> Heard:
    """What a message says; one that says nothing sensible is kept as it came. Never raises."""
    understood = usable_or_kept(EXCHANGE, account.name, raw, lambda raw: _understood(account, raw))
    if isinstance(understood, VenueMessageUnusable):
        return Heard(venue_stream(EXCHANGE, account.name), Entry(understood))
    return understood


def client_order_id(order_id: UUID) -> str:
    """What the engine calls an order towards the venue."""
    return order_id.hex


def _understood(account: Account, raw: bytes) -> Heard:
    report = decode(raw)
    stream = order_stream(_order_id(account, report))
    return Heard(stream, Entry(_fact(account, report), occurred_at=report.time))


def _order_id(account: Account, report: ExecutionReport) -> UUID:
    try:
        return UUID(hex=report.client)
    except ValueError:
        return external_order_id(EXCHANGE, account.name, report.symbol, report.order)


def _fact(account: Account, report: ExecutionReport) -> Fact:
    fact, details = _FACTS[report.kind]
    return fact(
        pair=_PAIRS[report.symbol],
        account=account.name,
        is_test=account.is_test,
        exchange_order_id=report.order,
        client_order_id=report.client,
        **details(report),
    )


def _reason(report: ExecutionReport) -> dict[str, Any]:
    return {"reason": report.text}


def _update(report: ExecutionReport) -> dict[str, Any]:
    return {"update_id": str(report.update)}


def _execution(report: ExecutionReport) -> dict[str, Any]:
    return {
        "execution_id": report.execution,
        "side": report.side,
        "quantity": report.quantity,
        "price": report.price,
        "fee": report.fee,
        "fee_asset": report.fee_asset,
        "liquidity": report.liquidity,
    }


def _corrected(report: ExecutionReport) -> dict[str, Any]:
    names = ("execution_id", "quantity", "price", "fee", "fee_asset")
    return {name: value for name, value in _execution(report).items() if name in names}


_FACTS: dict[Kind, tuple[Callable[..., Fact], Callable[[ExecutionReport], dict[str, Any]]]] = {
    Kind.NEW: (OrderAccepted, lambda report: {}),
    Kind.REJECTED: (OrderRejected, _reason),
    Kind.TRADE: (OrderFilled, _execution),
    Kind.PENDING_CANCEL: (OrderCancelPending, _update),
    Kind.CANCELED: (OrderCanceled, _reason),
    Kind.CANCEL_REJECTED: (OrderCancelRejected, lambda report: _update(report) | _reason(report)),
    Kind.REPLACED: (
        OrderAmended,
        lambda report: _update(report) | {"quantity": report.quantity, "price": report.price},
    ),
    Kind.REPLACE_REJECTED: (OrderAmendRejected, lambda report: _update(report) | _reason(report)),
    Kind.EXPIRED: (OrderExpired, _reason),
    Kind.TRADE_CANCELED: (TradeBusted, lambda report: _update(report) | {"execution_id": report.execution}),
    Kind.TRADE_CORRECTED: (TradeCorrected, lambda report: _update(report) | _corrected(report)),
}

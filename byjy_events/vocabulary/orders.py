"""Orders: what the engine wanted, and what the venue made of it. Names follow FIX where FIX has one.

The order itself is named by the stream, not by a field. Facts carry what identifies them at the venue;
a field ``update_id`` is the venue's update id or sequence number, and is required for every kind of fact
that can happen to one order more than once.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from byjy_events.errors import InvalidEvent
from byjy_events.event import Fact, Id, Intent, Name, Text, event_type
from byjy_events.numbers import ZERO
from byjy_events.vocabulary.pairs import Pair


class Side(StrEnum):
    """FIX 54."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """FIX 40, in the words of crypto venues."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"


class TimeInForce(StrEnum):
    """FIX 59."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Liquidity(StrEnum):
    """FIX 851: which side of the trade rested in the book."""

    MAKER = "MAKER"
    TAKER = "TAKER"


class OrderStatus(StrEnum):
    """FIX 39."""

    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    DONE_FOR_DAY = "DONE_FOR_DAY"


PRICED = frozenset({OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
"""Order types that carry a price."""

STOPPED = frozenset(
    {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)
"""Order types that wait for a stop price."""


# --- intents of the engine ------------------------------------------------------------------------


@event_type()
class OrderPlaced(Intent, frozen=True, kw_only=True):
    """The engine decided on an order. Recorded before anything is sent.

    Attributes:
        quantity: in the base asset, more than zero.
        price: per unit, in the quote asset; required for the limit types, absent for the others.
        stop_price: required for the stop types, absent for the others.
        client_order_id: what we call the order towards the venue (FIX 11).
        is_test: paper trading; never mixes with live positions.
    """

    pair: Pair
    account: Id
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    client_order_id: Id | None = None
    is_test: bool = False
    strategy_id: UUID | None = None
    strategy_execution_id: UUID | None = None

    def _check(self) -> None:
        _positive(self, "quantity", self.quantity)
        _present_when(self, "price", self.price, self.type in PRICED)
        _present_when(self, "stop_price", self.stop_price, self.type in STOPPED)


@event_type()
class OrderSubmitted(Intent, frozen=True, kw_only=True):
    """The order is about to be sent to the venue, or was."""

    client_order_id: Id | None = None


@event_type()
class OrderDenied(Intent, frozen=True, kw_only=True):
    """The engine itself refused the order, e.g. a risk limit; it never left."""

    reason: Text


@event_type()
class OrderCancelRequested(Intent, frozen=True, kw_only=True):
    """The engine wants the order cancelled; the venue has yet to answer."""

    reason: Text = ""


@event_type()
class OrderAmendRequested(Intent, frozen=True, kw_only=True):
    """The engine wants the order amended; None leaves a value as it is."""

    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None

    def _check(self) -> None:
        if self.quantity is None and self.price is None and self.stop_price is None:
            raise InvalidEvent(type(self).__name__, "quantity", "nothing to amend: give quantity, price or stop_price")
        if self.quantity is not None:
            _positive(self, "quantity", self.quantity)


@event_type()
class OrderLinked(Intent, frozen=True, kw_only=True):
    """An order the venue reported under its own id turned out to be this one; both fold into this row.

    Attributes:
        external_order_id: the order id that was derived from the venue's order id.
    """

    external_order_id: UUID
    reason: Text = ""


# --- facts of the venue ---------------------------------------------------------------------------


class OrderFact(Fact, frozen=True, kw_only=True):
    """What every venue fact about an order carries.

    Attributes:
        exchange_order_id: the venue's id of the order (FIX 37); may be absent only where the venue gave none,
            and then the client order id has to be there.
        client_order_id: our id of the order (FIX 11), where the venue repeats it.
    """

    pair: Pair
    account: Id
    exchange_order_id: Id | None = None
    client_order_id: Id | None = None
    is_test: bool = False

    def identity(self) -> tuple[str, ...]:
        """Venue, account, instrument, venue order id, discriminator; and whether it was on paper.

        A simulated venue numbers as it likes: its fact must never be taken for a retelling of a real one.
        """
        return self.identity_with(self._discriminator())

    def identity_with(self, discriminator: str) -> tuple[str, ...]:
        """The identity that another fact about the same order would have, named alike."""
        order = ("venue", self.exchange_order_id) if self.exchange_order_id else ("client", self.client_order_id or "")
        paper = ("paper",) if self.is_test else ()
        return (self.pair.exchange, self.account, self.pair.symbol, *order, discriminator, *paper)

    def _discriminator(self) -> str:
        raise NotImplementedError

    def _check(self) -> None:
        if self.exchange_order_id is None and self.client_order_id is None:
            raise InvalidEvent(
                type(self).__name__, "exchange_order_id", "neither exchange_order_id nor client_order_id is given"
            )


class _OnceFact(OrderFact, frozen=True, kw_only=True):
    """A fact that happens to an order at most once, unless the venue numbers its updates."""

    update_id: Name = ""

    def _discriminator(self) -> str:
        return self.update_id


class _RepeatableFact(OrderFact, frozen=True, kw_only=True):
    """A fact that can happen to one order many times, told apart by the venue's update id."""

    update_id: Id

    def _discriminator(self) -> str:
        return self.update_id


@event_type()
class OrderAccepted(_OnceFact, frozen=True, kw_only=True):
    """The venue took the order into its book (FIX ExecType New)."""


@event_type()
class OrderRejected(_OnceFact, frozen=True, kw_only=True):
    """The venue refused the order (FIX ExecType Rejected)."""

    reason: Text = ""


@event_type()
class OrderTriggered(_OnceFact, frozen=True, kw_only=True):
    """The stop price was reached (FIX ExecType Triggered)."""


@event_type()
class OrderFilled(OrderFact, frozen=True, kw_only=True):
    """One execution (FIX ExecType Trade): one event, one row in ``trades``. Stands on its own.

    Attributes:
        execution_id: the venue's id of the execution (FIX 17).
        quantity: executed now, in the base asset (FIX LastQty).
        price: of this execution (FIX LastPx).
        fee: paid for it in ``fee_asset``; negative for a rebate.
        liquidity: whether our order rested in the book or took from it.
    """

    execution_id: Id
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    fee_asset: Id | None = None
    liquidity: Liquidity | None = None

    def _discriminator(self) -> str:
        return self.execution_id

    def _check(self) -> None:
        OrderFact._check(self)
        if self.fee and self.fee_asset is None:
            raise InvalidEvent(type(self).__name__, "fee_asset", "a fee needs its asset")


@event_type()
class OrderCancelPending(_RepeatableFact, frozen=True, kw_only=True):
    """The venue received the cancel request (FIX ExecType Pending Cancel)."""


@event_type()
class OrderCanceled(_OnceFact, frozen=True, kw_only=True):
    """The rest of the order was cancelled (FIX ExecType Canceled)."""

    reason: Text = ""


@event_type()
class OrderExpired(_OnceFact, frozen=True, kw_only=True):
    """The order's time ran out (FIX ExecType Expired)."""

    reason: Text = ""


@event_type()
class OrderAmendPending(_RepeatableFact, frozen=True, kw_only=True):
    """The venue received the amend request (FIX ExecType Pending Replace)."""


@event_type()
class OrderAmended(_RepeatableFact, frozen=True, kw_only=True):
    """The order's terms changed (FIX ExecType Replaced).

    Attributes:
        quantity: the new total quantity (FIX 38); None: unchanged.
        reduced_by: for venues that report the difference: how much smaller the total became.
        price, stop_price: the new ones; None: unchanged.
        new_exchange_order_id, new_client_order_id: where the venue renames an order that it replaces.
    """

    quantity: Decimal | None = None
    reduced_by: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    new_exchange_order_id: Id | None = None
    new_client_order_id: Id | None = None


@event_type()
class OrderCancelRejected(_RepeatableFact, frozen=True, kw_only=True):
    """The venue refused to cancel (FIX Order Cancel Reject in answer to a cancel)."""

    reason: Text = ""


@event_type()
class OrderAmendRejected(_RepeatableFact, frozen=True, kw_only=True):
    """The venue refused to amend (FIX Order Cancel Reject in answer to a replace)."""

    reason: Text = ""


@event_type()
class OrderDoneForDay(_RepeatableFact, frozen=True, kw_only=True):
    """The order rests until the next session (FIX ExecType Done For Day)."""


@event_type()
class TradeBusted(_RepeatableFact, frozen=True, kw_only=True):
    """An execution never was (FIX ExecType Trade Cancel).

    Attributes:
        execution_id: the execution that is taken back (FIX ExecRefID).
    """

    execution_id: Id
    reason: Text = ""


@event_type()
class TradeCorrected(_RepeatableFact, frozen=True, kw_only=True):
    """An execution was otherwise than first told (FIX ExecType Trade Correct).

    Attributes:
        execution_id: the execution that is corrected (FIX ExecRefID).
        corrected_execution_id: what the venue calls the corrected one; None: as before.
        quantity, price, fee, fee_asset: as they should have been all along.
    """

    execution_id: Id
    corrected_execution_id: Id | None = None
    quantity: Decimal
    price: Decimal
    fee: Decimal | None = None
    fee_asset: Id | None = None
    reason: Text = ""


@event_type()
class OrderRestated(_RepeatableFact, frozen=True, kw_only=True):
    """The order as a venue snapshot shows it, found by reconciliation (FIX ExecType Restated).

    Attributes:
        status: as the venue has it.
        quantity: total; None: not told.
        filled_quantity, avg_price: as the venue has them; None: not told.
    """

    status: OrderStatus
    side: Side | None = None
    type: OrderType | None = None
    quantity: Decimal | None = None
    filled_quantity: Decimal | None = None
    avg_price: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    reason: Text = ""


def _positive(event: Intent, field: str, value: Decimal) -> None:
    if value <= 0:
        raise InvalidEvent(type(event).__name__, field, f"{value} is not more than zero")


def _present_when(event: OrderPlaced, field: str, value: Decimal | None, wanted: bool) -> None:
    if wanted and value is None:
        raise InvalidEvent(type(event).__name__, field, f"required for a {event.type} order")
    if wanted and value is not None and value <= 0:
        raise InvalidEvent(type(event).__name__, field, f"{value} is not more than zero")
    if not wanted and value is not None:
        raise InvalidEvent(type(event).__name__, field, f"not allowed for a {event.type} order")

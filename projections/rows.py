"""Rows of the read side's tables: frozen, typed, fields named and ordered as the table's columns.

Instants are integer nanoseconds UTC; ``position`` and ``last_position`` are places in the log.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from msgspec import Struct

from byjy_events.numbers import CONTEXT, ZERO
from byjy_events.vocabulary.orders import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from byjy_events.vocabulary.pairs import PairStatus
from projections.choices import AliasKind, AnomalyKind, FeeIn, PositionSide, TradeStatus

CLOSED = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED})
"""Statuses of orders that are not in the market any more."""


class Row(Struct, frozen=True, kw_only=True, gc=False):
    """What every row has in common: it is a value, equal when its columns are."""


class TradingPairRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``trading_pairs``. ``external``: only named by an order event; its filters are not known."""

    id: UUID
    symbol: str
    base_asset: str
    quote_asset: str
    exchange: str
    status: PairStatus
    min_quantity: Decimal = ZERO
    max_quantity: Decimal | None = None
    step_size: Decimal = ZERO
    min_price: Decimal = ZERO
    max_price: Decimal | None = None
    tick_size: Decimal = ZERO
    is_active: bool = True
    external: bool = False
    created_at: int
    updated_at: int


class OrderRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``orders``. Of an external order, whatever the venue did not tell is None.

    Attributes:
        filled_notional: the sum of quantity times price of the fills; None: not known exactly, and then
            ``avg_price`` is None too, unless the venue told it.
        traded_quantity, traded_notional: the sums of the trades alone. What is filled is something else only where a
            snapshot of the venue, the last one at ``restated_at``, told more or less than the trades do.
        commission: in ``commission_asset``; both None: several assets, see ``order_fees``.
        pending_cancel, pending_replace, done_for_day: what the venue said last; the status follows.
        cancel_requested_at, amend_requested_at: since when the venue owes an answer, to ``cancels_unanswered`` and
            ``amends_unanswered`` requests.
        pending_amends: the client order ids of amendments that the venue said are pending, as a JSON list.
    """

    id: UUID
    exchange_order_id: str | None = None
    client_order_id: str | None = None
    trading_pair_id: UUID
    account: str
    side: Side | None = None
    type: OrderType | None = None
    status: OrderStatus
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal | None = ZERO
    avg_price: Decimal | None = None
    commission: Decimal | None = ZERO
    commission_asset: str | None = None
    exchange: str
    time_in_force: TimeInForce | None = None
    is_test: bool = False
    external: bool = False
    pending_cancel: bool = False
    pending_replace: bool = False
    done_for_day: bool = False
    reject_reason: str | None = None
    strategy_id: UUID | None = None
    strategy_execution_id: UUID | None = None
    submitted_at: int | None = None
    accepted_at: int | None = None
    cancel_requested_at: int | None = None
    amend_requested_at: int | None = None
    executed_at: int | None = None
    canceled_at: int | None = None
    created_at: int
    updated_at: int
    last_position: int
    cancels_unanswered: int = 0
    amends_unanswered: int = 0
    pending_amends: str | None = None
    traded_quantity: Decimal = ZERO
    traded_notional: Decimal | None = ZERO
    restated_at: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the order may still trade."""
        return self.status not in CLOSED

    @property
    def leaves_quantity(self) -> Decimal | None:
        """What is still open for execution (FIX 151); None: the order's quantity is not known."""
        if not self.is_open:
            return ZERO
        if self.quantity is None:
            return None
        # The operands have up to 38 digits, more than the default context keeps.
        return max(CONTEXT.subtract(self.quantity, self.filled_quantity), ZERO)


class OrderAliasRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``order_aliases``: an external id and the order that claimed it first."""

    exchange: str
    account: str
    trading_pair_id: UUID
    kind: AliasKind
    external_id: str
    order_id: UUID
    claimed_at: int


class OrderFeeRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``order_fees``."""

    order_id: UUID
    asset: str
    amount: Decimal


class TradeRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``trades``: one execution, as the venue told it last. ``id`` is the event id of the fill.

    Attributes:
        strategy_execution_id: the execution of a strategy that its order was placed by; None: none is known.
    """

    id: UUID
    order_id: UUID
    trading_pair_id: UUID
    account: str
    is_test: bool = False
    execution_id: str
    exchange_order_id: str | None = None
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    fee_asset: str | None = None
    liquidity: Liquidity | None = None
    executed_at: int
    position: int
    status: TradeStatus = TradeStatus.EXECUTED
    revised_position: int | None = None
    fee_in: FeeIn | None = None
    strategy_execution_id: UUID | None = None


class PositionRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``positions``: ``quantity`` is signed, ``avg_price`` None when flat.

    Attributes:
        realized_pnl: over the row's whole life, in the quote asset, after fees in the quote and base assets;
            None: it left the range of money.
        fills, opened_at, closed_at, opened_position, peak_quantity, cycle_realized_pnl: of the holding that is open,
            or of the last one when flat.
    """

    trading_pair_id: UUID
    account: str
    is_test: bool = False
    quantity: Decimal = ZERO
    avg_price: Decimal | None = None
    realized_pnl: Decimal | None = ZERO
    fills: int = 0
    opened_at: int | None = None
    closed_at: int | None = None
    created_at: int
    updated_at: int
    last_position: int
    opened_position: int | None = None
    peak_quantity: Decimal = ZERO
    cycle_realized_pnl: Decimal | None = ZERO


class PositionCycleRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``position_cycles``: a holding that was closed.

    Attributes:
        avg_price: the average cost of what was held when it closed.
        realized_pnl: by this holding alone, fees in the quote and base asset included; None: out of range.
        total_realized_pnl: by the position over its whole life until then.
        reversed: the closing fill went through zero and opened the next holding.
    """

    trading_pair_id: UUID
    account: str
    is_test: bool = False
    closed_position: int
    opened_position: int
    side: PositionSide
    peak_quantity: Decimal
    avg_price: Decimal | None
    realized_pnl: Decimal | None
    total_realized_pnl: Decimal | None
    fills: int
    reversed: bool = False
    opened_at: int
    closed_at: int


class PositionFeeRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``position_fees``."""

    trading_pair_id: UUID
    account: str
    is_test: bool = False
    asset: str
    amount: Decimal


class ExecutionTotalsRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``strategy_execution_totals``: what an execution of a strategy traded of one pair on one account.

    Attributes:
        orders, fills: how many it placed, and how many trades count: none that was busted.
        volume: the sum of quantity times price, in the quote asset; None: it left the range of money.
        quantity, avg_price: what it still holds, signed, and at what average cost; None when flat.
        realized_pnl: in the quote asset, after fees in the quote and base assets; None: it left the range of money.
    """

    strategy_execution_id: UUID
    trading_pair_id: UUID
    account: str
    is_test: bool = False
    orders: int = 0
    fills: int = 0
    volume: Decimal | None = ZERO
    quantity: Decimal = ZERO
    avg_price: Decimal | None = None
    realized_pnl: Decimal | None = ZERO
    created_at: int
    updated_at: int
    last_position: int


class ExecutionFeeRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``strategy_execution_fees``."""

    strategy_execution_id: UUID
    asset: str
    amount: Decimal


class AnomalyRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``anomalies``: what was odd about the event at ``position``, as a sentence."""

    position: int
    kind: AnomalyKind
    order_id: UUID | None = None
    trading_pair_id: UUID | None = None
    message: str
    recorded_at: int

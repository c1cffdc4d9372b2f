"""The group of everything about orders, trades and positions."""

from __future__ import annotations

from projections.aliases import OrderAliases
from projections.anomalies import Anomalies
from projections.execution_totals import ExecutionTotals
from projections.fees import ExecutionFees, OrderFees, PositionFees
from projections.order_link import OrderLinks
from projections.orders import Orders
from projections.pairs import TradingPairs
from projections.positions import PositionCycles, Positions
from projections.projection import Group
from projections.trade_revision import TradeRevisions
from projections.trades import Trades

TRADING = Group(
    "trading",
    [
        TradingPairs(),
        Orders(),
        OrderAliases(),
        OrderFees(),
        Trades(),
        Positions(),
        PositionCycles(),
        PositionFees(),
        ExecutionTotals(),
        ExecutionFees(),
        Anomalies(),
    ],
    [TradeRevisions(), OrderLinks()],
)
"""``trading_pairs`` and all that refers to it, advancing together."""

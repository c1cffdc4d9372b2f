"""The read side: tables that follow the log, exactly once, and can be folded again from nothing but the log."""

from projections.catching_up import catch_up
from projections.checkpoints import GroupState, GroupStatus, group_statuses
from projections.errors import GroupOutdated, ProjectionStopped, TablesUnusable, WaitTimeout
from projections.projection import Evolved, Group, Key, Projection, on
from projections.projector import Projector
from projections.queries import Queries
from projections.rows import (
    AnomalyRow,
    OrderAliasRow,
    OrderFeeRow,
    OrderRow,
    PositionFeeRow,
    PositionRow,
    Row,
    TradeRow,
    TradingPairRow,
)
from projections.tables import AliasKind, AnomalyKind
from projections.trading import TRADING

__all__ = [
    "TRADING",
    "AliasKind",
    "AnomalyKind",
    "AnomalyRow",
    "Evolved",
    "Group",
    "GroupOutdated",
    "GroupState",
    "GroupStatus",
    "Key",
    "OrderAliasRow",
    "OrderFeeRow",
    "OrderRow",
    "PositionFeeRow",
    "PositionRow",
    "Projection",
    "ProjectionStopped",
    "Projector",
    "Queries",
    "Row",
    "TablesUnusable",
    "TradeRow",
    "TradingPairRow",
    "WaitTimeout",
    "catch_up",
    "group_statuses",
    "on",
]

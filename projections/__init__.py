"""The read side: tables that follow the log, exactly once, and can be folded again from nothing but the log."""

from projections.catching_up import catch_up
from projections.checkpoints import GroupState, GroupStatus, group_statuses
from projections.creating import create_tables
from projections.difference import DifferenceKind, RowDifference, TableDifference
from projections.errors import (
    BrokenEntryPoint,
    GroupOutdated,
    GroupRebuilding,
    GroupsCollide,
    ProjectionStopped,
    RebuildRunning,
    ReplayFailed,
    TablesUnusable,
    TemporarySpaceShort,
    UnknownGroup,
    WaitTimeout,
)
from projections.past import Clock, Instant, InvalidMoment, Past, position_at, projections_as_of
from projections.projection import Evolved, Group, Key, Projection, on
from projections.projector import Projector
from projections.queries import Queries
from projections.rebuilding import Rebuilt, rebuild
from projections.registry import group_named, installed_groups
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
from projections.verifying import Verification, verify

__all__ = [
    "TRADING",
    "AliasKind",
    "AnomalyKind",
    "AnomalyRow",
    "BrokenEntryPoint",
    "Clock",
    "DifferenceKind",
    "Evolved",
    "Group",
    "GroupOutdated",
    "GroupRebuilding",
    "GroupState",
    "GroupStatus",
    "GroupsCollide",
    "Instant",
    "InvalidMoment",
    "Key",
    "OrderAliasRow",
    "OrderFeeRow",
    "OrderRow",
    "Past",
    "PositionFeeRow",
    "PositionRow",
    "Projection",
    "ProjectionStopped",
    "Projector",
    "Queries",
    "RebuildRunning",
    "Rebuilt",
    "ReplayFailed",
    "Row",
    "RowDifference",
    "TableDifference",
    "TablesUnusable",
    "TemporarySpaceShort",
    "TradeRow",
    "TradingPairRow",
    "UnknownGroup",
    "Verification",
    "WaitTimeout",
    "catch_up",
    "create_tables",
    "group_named",
    "group_statuses",
    "installed_groups",
    "on",
    "position_at",
    "projections_as_of",
    "rebuild",
    "verify",
]

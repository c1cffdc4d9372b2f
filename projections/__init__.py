"""The read side: tables that follow the log, exactly once, and can be folded again from nothing but the log."""

from projections.catching_up import catch_up
from projections.checkpoints import GroupState, GroupStatus, group_statuses
from projections.creating import create_tables
from projections.desk import OrderDesk
from projections.difference import DifferenceKind, RowDifference, TableDifference
from projections.doubt import Doubt, doubts_of
from projections.errors import (
    BrokenEntryPoint,
    FilterViolated,
    GroupOutdated,
    GroupRebuilding,
    GroupsCollide,
    IntentRefused,
    ProjectionStopped,
    RebuildRunning,
    ReplayFailed,
    TablesUnusable,
    TemporarySpaceShort,
    UnknownGroup,
    WaitTimeout,
)
from projections.marks import InvalidMark, MarkedPosition, marked, unrealized_pnl
from projections.past import Clock, Instant, InvalidMoment, Past, position_at, projections_as_of
from projections.projection import EVERY_EVENT, Evolved, Group, Key, Projection, on
from projections.projector import Projector
from projections.queries import Queries
from projections.rebuilding import Rebuilt, rebuild
from projections.registry import group_named, installed_groups
from projections.revision import Ask, Revised, Revising, Revision
from projections.rows import (
    AnomalyRow,
    OrderAliasRow,
    OrderFeeRow,
    OrderRow,
    PositionCycleRow,
    PositionFeeRow,
    PositionRow,
    Row,
    TradeRow,
    TradingPairRow,
)
from projections.tables import AliasKind, AnomalyKind, PositionSide, TradeStatus
from projections.trading import TRADING
from projections.trail import TRAIL, Trail, TrailRow
from projections.verifying import Verification, verify

__all__ = [
    "EVERY_EVENT",
    "TRADING",
    "TRAIL",
    "AliasKind",
    "AnomalyKind",
    "AnomalyRow",
    "Ask",
    "BrokenEntryPoint",
    "Clock",
    "DifferenceKind",
    "Doubt",
    "Evolved",
    "FilterViolated",
    "Group",
    "GroupOutdated",
    "GroupRebuilding",
    "GroupState",
    "GroupStatus",
    "GroupsCollide",
    "Instant",
    "IntentRefused",
    "InvalidMark",
    "InvalidMoment",
    "Key",
    "MarkedPosition",
    "OrderAliasRow",
    "OrderDesk",
    "OrderFeeRow",
    "OrderRow",
    "Past",
    "PositionCycleRow",
    "PositionFeeRow",
    "PositionRow",
    "PositionSide",
    "Projection",
    "ProjectionStopped",
    "Projector",
    "Queries",
    "RebuildRunning",
    "Rebuilt",
    "ReplayFailed",
    "Revised",
    "Revising",
    "Revision",
    "Row",
    "RowDifference",
    "TableDifference",
    "TablesUnusable",
    "TemporarySpaceShort",
    "TradeRow",
    "TradeStatus",
    "TradingPairRow",
    "Trail",
    "TrailRow",
    "UnknownGroup",
    "Verification",
    "WaitTimeout",
    "catch_up",
    "create_tables",
    "doubts_of",
    "group_named",
    "group_statuses",
    "installed_groups",
    "marked",
    "on",
    "position_at",
    "projections_as_of",
    "rebuild",
    "unrealized_pnl",
    "verify",
]

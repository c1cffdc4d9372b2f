"""The read side: tables that follow the log, exactly once, and can be folded again from nothing but the log."""

from projections.api_keys.credential import Credential
from projections.api_keys.credentials import Credentials
from projections.api_keys.errors import ApiKeyRefused, ApiKeyState, CredentialTaken, InvalidCredential, OwnerRefused
from projections.api_keys.queries import ApiKeyQueries
from projections.api_keys.table import ApiKeyRow
from projections.catching_up import catch_up
from projections.checkpoints import GroupState, GroupStatus, group_statuses
from projections.choices import AliasKind, AnomalyKind, PositionSide, TradeStatus
from projections.configuration.configuration import Configuration
from projections.configuration.projection import CONFIGURATION
from projections.configuration.setting import Setting
from projections.configuration.table import ConfigurationRow
from projections.configuration.writing import Json
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
from projections.ownership import OWNERSHIP
from projections.past import Clock, Instant, InvalidMoment, Past, position_at, projections_as_of
from projections.projection import EVERY_EVENT, Evolved, Group, Key, Projection, on
from projections.projector import Projector
from projections.queries import Queries
from projections.rebuilding import Rebuilt, rebuild
from projections.registry import group_named, installed_groups
from projections.revision import Ask, Revised, Revising, Revision
from projections.rows import (
    AnomalyRow,
    ExecutionFeeRow,
    ExecutionTotalsRow,
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
from projections.strategies.desk import StrategyDesk
from projections.strategies.errors import ExecutionRefused, StrategyRefused, StrategyRunning, UserUnfit
from projections.strategies.parameters import ParametersVersion
from projections.strategies.queries import ExecutionSeen, StrategyQueries
from projections.strategies.running import Execution
from projections.strategies.table import StrategyExecutionRow, StrategyRow
from projections.traded import Traded, Turnover
from projections.trading import TRADING
from projections.trail import TRAIL, Trail, TrailRow
from projections.users.directory import UserDirectory
from projections.users.errors import (
    InvalidEmail,
    InvalidPassword,
    InvalidUsername,
    LoginRefused,
    UnknownUser,
    UserRefused,
)
from projections.users.lockout import LockoutPolicy
from projections.users.login import Authenticated, Logins
from projections.users.queries import UserQueries
from projections.users.table import UserRow
from projections.verifying import Verification, verify

__all__ = [
    "CONFIGURATION",
    "EVERY_EVENT",
    "OWNERSHIP",
    "TRADING",
    "TRAIL",
    "AliasKind",
    "AnomalyKind",
    "AnomalyRow",
    "ApiKeyQueries",
    "ApiKeyRefused",
    "ApiKeyRow",
    "ApiKeyState",
    "Ask",
    "Authenticated",
    "BrokenEntryPoint",
    "Clock",
    "Configuration",
    "ConfigurationRow",
    "Credential",
    "CredentialTaken",
    "Credentials",
    "DifferenceKind",
    "Doubt",
    "Evolved",
    "Execution",
    "ExecutionFeeRow",
    "ExecutionRefused",
    "ExecutionSeen",
    "ExecutionTotalsRow",
    "FilterViolated",
    "Group",
    "GroupOutdated",
    "GroupRebuilding",
    "GroupState",
    "GroupStatus",
    "GroupsCollide",
    "Instant",
    "IntentRefused",
    "InvalidCredential",
    "InvalidEmail",
    "InvalidMark",
    "InvalidMoment",
    "InvalidPassword",
    "InvalidUsername",
    "Json",
    "Key",
    "LockoutPolicy",
    "LoginRefused",
    "Logins",
    "MarkedPosition",
    "OrderAliasRow",
    "OrderDesk",
    "OrderFeeRow",
    "OrderRow",
    "OwnerRefused",
    "ParametersVersion",
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
    "Setting",
    "StrategyDesk",
    "StrategyExecutionRow",
    "StrategyQueries",
    "StrategyRefused",
    "StrategyRow",
    "StrategyRunning",
    "TableDifference",
    "TablesUnusable",
    "TemporarySpaceShort",
    "TradeRow",
    "TradeStatus",
    "Traded",
    "TradingPairRow",
    "Trail",
    "TrailRow",
    "Turnover",
    "UnknownGroup",
    "UnknownUser",
    "UserDirectory",
    "UserQueries",
    "UserRefused",
    "UserRow",
    "UserUnfit",
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

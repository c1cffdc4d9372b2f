"""Projections and groups: how they are declared, and what is refused before anything runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
import pytest
import sqlalchemy as sa

from byjy_events.columns import Money, Uuid, word
from byjy_events.numbers import CONTEXT, ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled
from projections.orders import Orders
from projections.pairs import TradingPairs
from projections.projection import Group, Key, Projection, on
from projections.rows import Row
from projections.trading import TRADING
from tests.folding import Folded, log_of
from tests.lifecycles import lifecycles

volumes = sa.Table(
    "volumes", sa.MetaData(), sa.Column("symbol", word(255), primary_key=True), sa.Column("quantity", Money)
)


class VolumeRow(Row, frozen=True, kw_only=True):
    symbol: str
    quantity: Decimal


class Volumes(Projection[VolumeRow]):
    name = "volumes"
    version = 3
    table = volumes
    row_type = VolumeRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        return [event.pair.symbol]

    @on(OrderFilled)
    def filled(self, row: VolumeRow | None, event: OrderFilled, recorded: Recorded, key: str) -> VolumeRow:
        before = ZERO if row is None else row.quantity
        return VolumeRow(symbol=key, quantity=CONTEXT.add(before, event.quantity))


def test_a_projection_of_one_s_own_is_a_table_a_row_and_a_method() -> None:
    """It sees the events that it marked, and no others."""
    log = log_of(lifecycles(3, 50))
    folded = Folded(Group("volume", [Volumes()])).fold_all(log)
    fills = [entry.event for entry in log if isinstance(entry.event, OrderFilled)]
    assert sum(row.quantity for row in folded.of(VolumeRow)) == sum(fill.quantity for fill in fills)
    assert Volumes.handles == {OrderFilled}


@pytest.mark.parametrize("projection", TRADING.projections, ids=lambda projection: projection.name)
def test_rows_are_named_and_ordered_as_their_columns(projection: Projection[Any]) -> None:
    """And a field may be None exactly where a column may be null."""
    columns = projection.table.columns
    hints = {field.name: field.type for field in msgspec.structs.fields(projection.row_type)}
    assert list(hints) == [column.name for column in columns]
    optional = [name for name, hint in hints.items() if type(None) in getattr(hint, "__args__", ())]
    assert optional == [column.name for column in columns if column.nullable]


def test_a_group_knows_who_is_concerned_parents_first() -> None:
    """Nobody is asked about an event that is nothing to them."""
    concerned = [projection.name for projection in TRADING.by_event[OrderFilled]]
    assert concerned[:2] == ["trading_pairs", "orders"]
    assert "anomalies" not in concerned
    both = Group("both", [TradingPairs(), Volumes()])
    assert both.declared_version == "trading_pairs=1 volumes=3"
    assert re.fullmatch(r"trading_pairs=1 volumes=3 fold=[0-9a-f]{16}", both.version)


class Renamed(Volumes):
    name = "renamed"


class Wrong(Projection[VolumeRow]):
    """A projection that marks nothing."""

    name = "wrong"
    table = volumes
    row_type = VolumeRow


class Mismatched(Volumes):
    table = sa.Table("mismatched", sa.MetaData(), sa.Column("symbol", Uuid, primary_key=True))


class Keyless(Volumes):
    table: ClassVar[sa.Table] = sa.Table("keyless", sa.MetaData(), sa.Column("symbol", Uuid))


@pytest.mark.parametrize(
    ("projections", "reason"),
    [
        ([], "without projections"),
        ([Volumes(), Volumes()], "name volumes belongs to two"),
        ([Volumes(), Renamed()], "table volumes belongs to two"),
        ([Wrong()], "handles no event"),
        ([Mismatched()], "columns differ in .'quantity'"),
        ([Keyless()], "no primary key"),
        ([Orders(), TradingPairs()], "orders refers to trading_pairs, which has to come before"),
    ],
)
def test_a_group_that_cannot_work_is_refused_when_it_is_made(projections: list[Projection[Any]], reason: str) -> None:
    """The error names the projection or the group, and what is wrong."""
    with pytest.raises(TypeError, match=reason):
        Group("odd", projections)


class LongNamed(Volumes):
    name = "v" * 255


@pytest.mark.parametrize(
    ("name", "projection", "reason"),
    [("g" * 129, Volumes(), "a name of 129 characters"), ("long", LongNamed(), "a version of 257 characters")],
)
def test_a_group_that_a_checkpoint_cannot_hold_is_refused(name: str, projection: Volumes, reason: str) -> None:
    """PostgreSQL would refuse its checkpoint, and SQLite would not: better nowhere, and at once."""
    with pytest.raises(TypeError, match=reason):
        Group(name, [projection])

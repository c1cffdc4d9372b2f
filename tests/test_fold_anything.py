"""Arbitrary facts: whatever a venue says, in whatever order, folds to rows that the tables take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from byjy_events.event import Event
from byjy_events.numbers import canonical
from byjy_events.stream import Stream, order_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import Liquidity, OrderStatus, OrderType, Side
from byjy_events.vocabulary.pairs import Pair
from projections.choices import TradeStatus
from projections.rows import OrderRow, PositionRow, TradeRow
from projections.tables import metadata
from projections.trading import TRADING
from tests.folding import Folded, log_of, recorded
from tests.lifecycles import SUBJECTS, Step, any_moves, lifecycles

BOUND = 10**38 - 1

amounts = st.one_of(
    st.integers(-BOUND, BOUND).map(lambda digits: Decimal(f"{digits}e-18")),
    st.integers(-3, 3).map(Decimal),
    st.sampled_from([Decimal("99999999999999999999.999999999999999999"), Decimal("1E-18"), Decimal("-1E-18")]),
)
letters = st.characters(codec="utf-8", exclude_characters="\x00")
ids = st.one_of(st.sampled_from(["1", "2", "' OR 1=1", "ß" * 255]), st.text(letters, min_size=1, max_size=30))
texts = st.text(letters, max_size=30)
assets = st.sampled_from(["BTC", "USDT", "BNB"])
pairs = st.builds(Pair, exchange=st.sampled_from(["a", "b"]), symbol=ids, base_asset=assets, quote_asset=assets)

KINDS: list[type[events.OrderFact]] = [
    events.OrderAccepted,
    events.OrderRejected,
    events.OrderTriggered,
    events.OrderCancelPending,
    events.OrderCanceled,
    events.OrderExpired,
    events.OrderAmendPending,
    events.OrderAmended,
    events.OrderCancelRejected,
    events.OrderAmendRejected,
    events.OrderDoneForDay,
    events.OrderRestated,
    events.OrderFilled,
    events.TradeBusted,
    events.TradeCorrected,
]

BY_FIELD: dict[str, st.SearchStrategy[Any]] = {
    "pair": pairs,
    "account": ids,
    "exchange_order_id": ids,
    "client_order_id": st.none() | ids,
    "new_exchange_order_id": st.none() | ids,
    "new_client_order_id": st.none() | ids,
    "is_test": st.booleans(),
    "update_id": ids,
    "execution_id": ids,
    "corrected_execution_id": st.none() | ids,
    "side": st.sampled_from(Side),
    "type": st.none() | st.sampled_from(OrderType),
    "status": st.sampled_from(OrderStatus),
    "liquidity": st.none() | st.sampled_from(Liquidity),
    "fee_asset": assets,
    "reason": texts,
}

REQUIRED: set[tuple[type, str]] = {
    (events.OrderFilled, "quantity"),
    (events.OrderFilled, "price"),
    (events.OrderFilled, "fee"),
    (events.TradeCorrected, "quantity"),
    (events.TradeCorrected, "price"),
}
"""The amounts that a fact always tells."""


@st.composite
def facts(draw: st.DrawFn) -> Event:
    """Any fact about an order."""
    kind: Any = draw(st.sampled_from(KINDS))
    return kind(**{name: draw(_field(kind, name)) for name in kind.__struct_fields__})


def _field(kind: type[events.OrderFact], name: str) -> st.SearchStrategy[Any]:
    if name in BY_FIELD:
        return BY_FIELD[name]
    return amounts if (kind, name) in REQUIRED else st.none() | amounts


streams = st.sampled_from([subject.stream for subject in SUBJECTS])
arbitrary: st.SearchStrategy[list[Step]] = st.lists(st.tuples(streams, facts()), max_size=25)


@pytest.fixture(scope="module")
def database() -> Iterator[sa.Engine]:
    """An SQLite database with all tables and foreign keys enforced, for their constraints alone."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        metadata.create_all(connection)
    yield engine
    engine.dispose()


def taken(database: sa.Engine, folded: Folded) -> bool:
    """Insert every row, parents first, and take it all back; a constraint that fails raises."""
    with database.connect() as connection:
        for projection in TRADING.projections:
            rows = [msgspec.structs.asdict(row) for row in folded.of(projection.row_type)]
            if rows:
                connection.execute(sa.insert(projection.table), rows)
        connection.rollback()
    return True


def amounts_of(folded: Folded) -> Iterator[Decimal]:
    for rows in folded.rows.values():
        for row in rows.values():
            yield from (value for value in msgspec.structs.astuple(row) if isinstance(value, Decimal))


def folded_log(steps: Iterable[tuple[Stream, Event]]) -> Folded:
    return Folded().fold_all(log_of(steps))


@given(steps=arbitrary)
@settings(max_examples=200, deadline=None)
def test_no_fact_stops_a_fold_and_every_row_fits_its_table(database: sa.Engine, steps: list[Step]) -> None:
    """Extreme numbers, strange ids, any order: rows keep every CHECK, NOT NULL and foreign key."""
    folded = folded_log(steps)
    assert taken(database, folded)
    assert all(str(canonical(value)) == str(value) for value in amounts_of(folded))


@given(steps=any_moves)
@settings(max_examples=200, deadline=None)
def test_no_sequence_of_moves_stops_a_fold(database: sa.Engine, steps: list[Step]) -> None:
    """Intents and facts on a few orders, interleaved and out of order."""
    assert taken(database, folded_log(steps))


@given(steps=any_moves)
@settings(max_examples=100, deadline=None)
def test_a_row_survives_being_stored_between_any_two_events(steps: list[Step]) -> None:
    """A fold from copies, as a database would give them back, ends where one from live objects ends."""
    straight, copied = Folded(), Folded()
    for entry in log_of(steps):
        straight.fold(entry)
        copied.fold(entry)
        for name, rows in copied.rows.items():
            copied.rows[name] = {key: msgspec.structs.replace(row) for key, row in rows.items()}
    assert straight.rows == copied.rows


@given(steps=any_moves)
@settings(max_examples=100, deadline=None)
def test_trades_positions_and_orders_agree(steps: list[Step]) -> None:
    """Every fill is one trade; positions hold what was traded and not busted, less the fees paid in the base asset."""
    folded = folded_log(steps)
    fills = [entry.event for entry in log_of(steps) if isinstance(entry.event, events.OrderFilled)]
    assert len(folded.of(TradeRow)) == len(fills)
    counted = [trade for trade in folded.of(TradeRow) if trade.status is not TradeStatus.BUSTED]
    bases = {fill.pair.id: fill.pair.base_asset for fill in fills}
    for position in folded.of(PositionRow):
        key = (position.trading_pair_id, position.account, position.is_test)
        mine = [trade for trade in counted if (trade.trading_pair_id, trade.account, trade.is_test) == key]
        assert mine
        bought = sum(trade.quantity if trade.side is Side.BUY else -trade.quantity for trade in mine)
        assert position.quantity == bought - sum(one.fee for one in mine if one.fee_asset == bases[one.trading_pair_id])


def test_sensible_lives_leave_no_order_in_doubt() -> None:
    """No anomaly but late fills, and what they overfill; every filled quantity is the sum of its trades."""
    folded = folded_log(lifecycles(seed=11, orders=300))
    kinds = {row.kind for row in folded.rows["anomalies"].values()}
    assert kinds <= {"LATE_FILL", "OVERFILL"}
    for order in folded.of(OrderRow):
        trades = [one for one in folded.of(TradeRow) if one.order_id == order.id and one.status != TradeStatus.BUSTED]
        assert order.filled_quantity == sum(trade.quantity for trade in trades)


def test_clocks_of_any_size_fit() -> None:
    """A venue's clock may be before 1970, or far ahead."""
    order = SUBJECTS[0]
    for at in (-(2**63), 2**63 - 1):
        folded = Folded()
        folded.fold(recorded(order.filled("1", Decimal(1), Decimal(1)), 1, order_stream(order.stream.id), at=at))
        assert folded.one(OrderRow).executed_at == at

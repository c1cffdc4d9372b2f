"""Arbitrary events through the real log into the real tables: nothing that can be appended stops a group."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byjy_events.event import Event
from byjy_events.log import EventLog
from byjy_events.recorded import Entry, Outcome
from byjy_events.stream import Stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from byjy_events.vocabulary.pairs import Pair, PairDelisted, PairListed, PairStatus, PairStatusChanged
from byjy_events.vocabulary.venue import FactConflicted, VenueMessageUnusable
from projections import TRADING, AnomalyKind, GroupState, catch_up
from tests.replay import assert_rows_are_the_log, checkpoint, stored
from tests.sample_events import filled
from tests.test_fold_anything import amounts, facts


def longest(number: int) -> str:
    """A name of the greatest length, four bytes a character, that no database can compress."""
    return "".join(chr(0x1_0000 + (number * 7919 + n * 104_729) % 0xF_0000) for n in range(255))


LONGEST = st.integers(0, 0xFFFF).map(longest)

names = st.one_of(st.sampled_from(["1", "2", "'; --", "ß" * 255, " ", "\u202e", "%"]), LONGEST)
instants = st.one_of(st.none(), st.sampled_from([-(2**63), 2**63 - 1, 0]), st.integers(-(2**63), 2**63 - 1))
assets = st.one_of(st.sampled_from(["BTC", "USDT", "BNB"]), names)
venues = names.map(lambda name: name[:64])
pairs = st.builds(Pair, exchange=venues, symbol=names, base_asset=assets, quote_asset=assets)
positive = amounts.map(lambda amount: amount.copy_abs()).filter(bool)
streams = st.builds(
    Stream,
    st.sampled_from(["order", "pair", "venue", "x" * 64, "Ω"]),
    st.sampled_from([UUID(int=0), UUID(int=2**128 - 1), UUID(int=1), UUID(int=2)]),
)


@st.composite
def placings(draw: st.DrawFn) -> Event:
    """Any order that the engine may place."""
    kind = draw(st.sampled_from(OrderType))
    return events.OrderPlaced(
        pair=draw(pairs),
        account=draw(names),
        side=draw(st.sampled_from(Side)),
        type=kind,
        quantity=draw(positive),
        price=draw(positive) if kind in events.PRICED else None,
        stop_price=draw(positive) if kind in events.STOPPED else None,
        time_in_force=draw(st.sampled_from(TimeInForce)),
        client_order_id=draw(st.none() | names),
        is_test=draw(st.booleans()),
    )


fills: st.SearchStrategy[Event] = st.builds(
    events.OrderFilled,
    pair=pairs,
    account=names,
    exchange_order_id=names,
    client_order_id=st.none() | names,
    is_test=st.booleans(),
    execution_id=names,
    side=st.sampled_from(Side),
    quantity=amounts,
    price=amounts,
    fee=amounts,
    fee_asset=assets,
    liquidity=st.none() | st.sampled_from(Liquidity),
)

others: st.SearchStrategy[Event] = st.one_of(
    st.builds(events.OrderSubmitted, client_order_id=st.none() | names),
    st.builds(events.OrderDenied, reason=names),
    st.builds(events.OrderCancelRequested),
    st.builds(events.OrderAmendRequested, quantity=positive, price=amounts),
    st.builds(events.OrderLinked, external_order_id=st.uuids()),
    st.builds(PairListed, pair=pairs, status=st.sampled_from(PairStatus), max_price=amounts, tick_size=amounts),
    st.builds(PairStatusChanged, pair=pairs, status=st.sampled_from(PairStatus)),
    st.builds(PairDelisted, pair=pairs),
    st.builds(
        VenueMessageUnusable,
        exchange=venues,
        account=names,
        raw=st.binary(max_size=20),
        raw_length=st.integers(-(2**63), 2**63 - 1),
        raw_sha256=names,
        error=names,
    ),
    st.builds(
        FactConflicted,
        fact_event_id=st.uuids(),
        fact_type=names,
        fact_position=st.integers(-(2**63), 2**63 - 1),
        first=st.just("{}"),
        second=st.just("{}"),
    ),
    st.builds(
        events.OrderRestated,
        pair=pairs,
        account=names,
        exchange_order_id=names,
        update_id=names,
        status=st.sampled_from(OrderStatus),
        filled_quantity=amounts,
        avg_price=amounts,
    ),
)

anything = st.one_of(placings(), fills, facts(), others)
batches = st.lists(st.tuples(streams, st.builds(Entry, anything, instants, instants)), min_size=1, max_size=25)


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for all examples, so that the log is opened once."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def log(loop: asyncio.Runner, database: str) -> Iterator[EventLog]:
    opened = EventLog.open(database)
    loop.run(opened.start())
    yield opened
    loop.run(opened.close())


def test_nothing_that_can_be_appended_stops_a_group(loop: asyncio.Runner, log: EventLog) -> None:
    """Extreme numbers, the longest names, any order, any stream: the group reaches the head, and its rows are right."""

    @given(batch=batches)
    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    def project(batch: list[tuple[Stream, Entry]]) -> None:
        loop.run(_append_and_project(log, batch))

    project()
    assert loop.run(assert_rows_are_the_log(log)) > 80


async def _append_and_project(log: EventLog, batch: list[tuple[Stream, Entry]]) -> None:
    await asyncio.gather(*(log.append(stream, [entry]) for stream, entry in batch))
    assert await catch_up(log, TRADING) == await log.head()
    assert (await checkpoint(log)).status is GroupState.RUNNING


async def test_names_of_the_greatest_length_fit_every_index(database: str) -> None:
    """Four bytes a character in every name at once; an index row of PostgreSQL holds 2,704 bytes."""
    asset, other, account, first, second, execution = map(longest, range(6))
    pair = Pair(exchange=longest(6)[:64], symbol=longest(7), base_asset=asset, quote_asset=other)
    fill = events.OrderFilled(
        pair=pair,
        account=account,
        exchange_order_id=first,
        client_order_id=second,
        execution_id=execution,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(1),
        fee=Decimal(1),
        fee_asset=longest(8),
    )
    async with EventLog.open(database) as log:
        await log.append(Stream("x" * 64, UUID(int=1)), [fill])
        assert await catch_up(log, TRADING) == 1
        await assert_rows_are_the_log(log)


async def test_a_contradiction_may_be_told_again_on_any_stream(database: str) -> None:
    """A fact never raises for what it says, nor for where; each stream keeps the contradiction once."""
    streams = [Stream("order", UUID(int=number)) for number in range(3)]
    async with EventLog.open(database) as log:
        await log.append(streams[0], [filled("x", "1")])
        told = [stream for stream in streams for _ in range(2)]
        receipts = await asyncio.gather(*(log.append(stream, [filled("x", "2")]) for stream in told))
        assert {receipt.events[0].outcome for receipt in receipts} == {Outcome.CONFLICTED}
        assert await catch_up(log, TRADING) == await log.head() == 4
        tables = await stored(log)
        assert {row.kind for row in tables["anomalies"].values()} >= {AnomalyKind.FACT_CONFLICTED}  # type: ignore[attr-defined]
        assert len(tables["trades"]) == 1

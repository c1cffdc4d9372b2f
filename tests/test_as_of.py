"""The past answers the same questions as the present did then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from byjy_events.errors import CorruptLog
from byjy_events.identifiers import external_order_id, pair_id
from byjy_events.log import EventLog
from byjy_events.recorded import Entry
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderFilled, OrderLinked, OrderStatus, Side
from projections import (
    TRADING,
    Clock,
    Instant,
    InvalidMoment,
    Projector,
    Queries,
    catch_up,
    position_at,
    projections_as_of,
)
from tests.lifecycles import BTC, ETH, Subject, lifecycles
from tests.own_groups import create_tables, placings, placings_group
from tests.replay import events_of, folded, stored
from tests.rows import writable_engine
from tests.sample_events import placed
from tests.story import place, tell, tell_lives

Question = Callable[[Queries], Awaitable[Any]]
ORDER = Subject(number=3).stream.id

QUESTIONS: dict[str, Question] = {
    "order": lambda queries: queries.order(ORDER),
    "trades of an order": lambda queries: queries.trades(order=ORDER),
    "fees of an order": lambda queries: queries.order_fees(ORDER),
    "order by a venue's id": lambda queries: queries.order_by_exchange_id(BTC.exchange, "main", BTC.symbol, "v3"),
    "order by our id": lambda queries: queries.order_by_client_id(ETH.exchange, "second", ETH.symbol, "c4"),
    "open orders of a pair": lambda queries: queries.open_orders(pair_id(BTC.exchange, BTC.symbol)),
    "open orders": lambda queries: queries.open_orders(),
    "orders of a pair": lambda queries: queries.orders(pair_id(ETH.exchange, ETH.symbol), newest_first=True),
    "canceled orders": lambda queries: queries.orders(status=OrderStatus.CANCELED),
    "trades of a pair": lambda queries: queries.trades(pair=pair_id(BTC.exchange, BTC.symbol)),
    "trades": lambda queries: queries.trades(limit=1000),
    "a position": lambda queries: queries.position(pair_id(BTC.exchange, BTC.symbol), "main"),
    "positions of a pair": lambda queries: queries.positions(pair_id(BTC.exchange, BTC.symbol)),
    "positions": lambda queries: queries.positions(),
    "a pair": lambda queries: queries.pair(pair_id(BTC.exchange, BTC.symbol)),
    "pairs": lambda queries: queries.pairs(),
    "anomalies": lambda queries: queries.anomalies(),
    "anomalies of an order": lambda queries: queries.anomalies(order=ORDER),
}


async def answers(queries: Queries) -> dict[str, Any]:
    return {name: await question(queries) for name, question in QUESTIONS.items()}


async def test_every_question_has_the_answer_it_had_then(database: str) -> None:
    """At several positions of a log: asked alone, and all of one past; the first ones differ from the last ones."""
    async with EventLog.open(database) as log:
        then: dict[int, dict[str, Any]] = {}
        steps = lifecycles(seed=1, orders=60)
        for start in range(0, len(steps), len(steps) // 3):
            await tell(log, steps[start : start + len(steps) // 3])
            position = await catch_up(log, TRADING)
            then[position] = await answers(Queries(log.engine))
        for position, expected in then.items():
            async with projections_as_of(log, position) as past:
                assert past.position == position
                assert await answers(past.queries) == expected
            for name, question in QUESTIONS.items():
                async with projections_as_of(log, position) as past:
                    assert await question(past.queries) == expected[name], name
        first, *_, last = then.values()
        assert sum(first[name] != last[name] for name in QUESTIONS) >= 10


async def test_what_is_not_projected_yet_has_a_past_too(database: str) -> None:
    """Nothing was ever projected; the past needs no more than the log."""
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=2, orders=30)
        async with projections_as_of(log, head) as past:
            found = await answers(past.queries)
        await catch_up(log, TRADING)
        assert found == await answers(Queries(log.engine))


async def test_the_present_is_left_alone(database: str) -> None:
    """While a past is open, projectors go on and live queries see live rows."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        await projector.wait_for(await tell_lives(log, seed=3, orders=20), timeout_seconds=20)
        async with projections_as_of(log, 10) as past:
            before = await past.queries.orders(limit=1000)
            position = await place(log)
            await projector.wait_for(position, timeout_seconds=20)
            live = await projector.queries.orders(limit=1000)
            assert await past.queries.orders(limit=1000) == before
            assert len(live) > len(before)


async def test_an_order_is_answered_from_its_own_stream(database: str) -> None:
    """An event of another order that cannot be read is in nobody's way; asked about everything, it is."""
    async with EventLog.open(database) as log:
        await tell(log, lifecycles(seed=4, orders=20))
        await catch_up(log, TRADING)
        expected = await Queries(log.engine).order(ORDER)
        assert expected is not None
    await spoil_an_event_of_another_pair(database)
    async with EventLog.open(database) as log, projections_as_of(log, await log.head()) as past:
        assert await past.queries.order(ORDER) == expected
        assert await past.queries.trades(order=ORDER) is not None
        with pytest.raises(CorruptLog):
            await past.queries.orders()


async def spoil_an_event_of_another_pair(url: str) -> None:
    engine = writable_engine(url)
    disarm = {"sqlite": "DROP TRIGGER events_no_update", "postgresql": "ALTER TABLE events DISABLE TRIGGER ALL"}
    async with engine.begin() as connection:
        await connection.exec_driver_sql(disarm[engine.dialect.name])
        own = ORDER.bytes if engine.dialect.name == "sqlite" else ORDER
        statement = "UPDATE events SET actor = 'x' WHERE stream_category = 'order' AND stream_id <> :own"
        await connection.execute(sa.text(statement), {"own": own})
    await engine.dispose()


async def test_an_instant_means_what_was_recorded_by_then(database: str) -> None:
    """Up to and including it; before the first event there is nothing, behind the last one everything."""
    async with EventLog.open(database) as log:
        head = await tell(log, lifecycles(seed=5, orders=20), at_once=3)
        events = await events_of(log)
        for recorded in events[:: len(events) // 7]:
            last = max(one.position for one in events if one.recorded_at <= recorded.recorded_at)
            assert await position_at(log, recorded.recorded_at) == last
            async with projections_as_of(log, Instant(recorded.recorded_at)) as past:
                assert past.position == last
        assert await position_at(log, events[0].recorded_at - 1) == 0
        assert await position_at(log, events[-1].recorded_at + 1) == head
        async with projections_as_of(log, datetime.now(UTC) + timedelta(hours=1)) as past:
            assert past.position == head
        async with projections_as_of(log, datetime(2000, 1, 1, tzinfo=UTC)) as past:
            assert (past.position, await past.queries.orders()) == (0, [])


async def test_the_venues_clock_picks_events_wherever_they_lie(database: str) -> None:
    """What had happened by then, as it was told up to now, the late-told included."""
    async with EventLog.open(database) as log:
        orders = [uuid4() for _ in range(4)]
        for order, hour in zip(orders, (4, 1, 3, 2), strict=True):
            await log.append(order_stream(order), [Entry(placed(), occurred_at=hour)])
        async with projections_as_of(log, Instant(2), clock=Clock.VENUE) as past:
            assert {row.id for row in await past.queries.orders()} == {orders[1], orders[3]}
            assert await past.queries.order(orders[0]) is None
        async with projections_as_of(log, Instant(4), clock=Clock.VENUE) as past:
            assert {row.id for row in await past.queries.orders()} == set(orders)


async def test_a_past_before_the_first_event_is_empty(database: str) -> None:
    """Position 0 is a moment too."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=6, orders=5)
        async with projections_as_of(log, 0) as past:
            assert not any((await answers(past.queries)).values())


@pytest.mark.parametrize("when", [-1, 10_000, True, "2026-01-01", datetime(2026, 1, 1), 1.5])  # noqa: DTZ001
async def test_what_is_no_moment_of_the_log_is_refused(database: str, when: Any) -> None:
    """With what was given, and what would have been right."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=7, orders=3)
        with pytest.raises(InvalidMoment) as raised:
            async with projections_as_of(log, when):
                pass
        assert raised.value.when == when


async def test_a_position_is_not_of_the_venues_clock(database: str) -> None:
    """It takes an instant."""
    async with EventLog.open(database) as log:
        await place(log)
        with pytest.raises(InvalidMoment, match="instant"):
            async with projections_as_of(log, 1, clock=Clock.VENUE):
                pass


async def test_a_users_own_tables_have_a_past(database: str) -> None:
    """Any SELECT over them is answered from the log alone."""
    await create_tables(database)
    async with EventLog.open(database) as log:
        for _ in range(5):
            await place(log)
        async with projections_as_of(log, 3, group=placings_group()) as past:
            rows = await past.fetch(sa.select(placings.c.position).order_by(placings.c.position))
            assert [row.position for row in rows] == [1, 2, 3]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_all_tables_equal_a_fold_of_the_prefix(database: str, share: float) -> None:
    """Row by row, whatever is live."""
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=8, orders=50)
        await catch_up(log, TRADING)
        position = int(head * share)
        expected = folded(await events_of(log, position))
        async with projections_as_of(log, position) as past:
            for projection in TRADING.projections:
                names = [column.name for column in projection.table.columns]
                found = await past.fetch(sa.select(projection.table))
                rows = [projection.row_type(**dict(zip(names, values, strict=True))) for values in found]
                assert {projection.key_of(row): row for row in rows} == expected[projection.table.name]
        assert await stored(log) == folded(await events_of(log))


async def test_two_orders_that_turned_out_to_be_one_were_two_before(database: str) -> None:
    """Asked for either of them, before and after the link; the streams of both are read, whichever is asked for."""
    own, other = Subject(number=1), external_order_id("binance", "main", "BTCUSDT", "v9")
    fill = own.fact(
        OrderFilled, exchange_order_id="v9", client_order_id=None, execution_id="1", side=Side.BUY,
        quantity=Decimal(2), price=Decimal(100),
    )  # fmt: skip
    async with EventLog.open(database) as log:
        await log.append(order_stream(other), [fill])
        await log.append(own.stream, [own.placed(Decimal(5), Decimal(100)), OrderLinked(external_order_id=other)])
        for position, expected in ((2, {own.stream.id: 0, other: 2}), (3, {own.stream.id: 2, other: None})):
            for order_id, filled in expected.items():
                async with projections_as_of(log, position) as past:
                    row = await past.queries.order(order_id)
                    assert (None if row is None else row.filled_quantity) == filled
        async with projections_as_of(log, 3) as past:
            assert [trade.execution_id for trade in await past.queries.trades(own.stream.id)] == ["1"]

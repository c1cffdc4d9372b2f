"""Traces: all that came of one signal, found by the trail or without it, and what each event changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from msgspec.structs import asdict

from byjy_events import EventLog, new_event_id, new_order_id, order_stream
from byjy_events.identifiers import external_order_id
from byjy_events.recorded import Entry
from byjy_events.stream import Stream
from byjy_events.vocabulary import orders as events
from byjy_ops.tracing.events import Trace, traced
from byjy_ops.tracing.states import states_of
from byjy_ops.tracing.tree import tree_of, walked
from projections import TRADING, TRAIL, TrailRow, catch_up, entities
from projections.changes import changes_of
from projections.trail import trail, trail_of
from tests.lifecycles import BTC, Subject
from tests.replay import events_of
from tests.rows import writable_engine
from tests.sample_events import SAMPLES
from tests.story import tell_lives
from tests.test_query_plans import plan_of, sorts_or_scans

SIGNAL, OTHER_SIGNAL = UUID(int=0xAA), UUID(int=0xBB)
BUYING, SELLING = Subject(number=9_001), Subject(number=9_002, side=events.Side.SELL)
STREAM = Stream("signal", UUID(int=0xCC))


async def said(
    log: EventLog, stream: Stream, event: Any, cause: UUID | None = None, correlation: UUID | None = None
) -> UUID:
    """Append an event; its id."""
    receipt = await log.append(stream, [event], correlation_id=correlation, causation_id=cause)
    return receipt.events[0].event_id


async def a_signal(log: EventLog) -> dict[str, UUID]:
    """A signal, two orders that came of it, and what the venue made of them: the facts carry no correlation."""
    ids = {"signal": await said(log, STREAM, SAMPLES["UserRegistered"], None, SIGNAL)}
    for name, order in (("buy", BUYING), ("sell", SELLING)):
        placed = order.placed(Decimal(5), Decimal("100.5"))
        ids[name] = await said(log, order.stream, placed, ids["signal"], SIGNAL)
    await said(log, BUYING.stream, BUYING.fact(events.OrderAccepted))
    ids["fill"] = await said(log, BUYING.stream, BUYING.filled("f1", Decimal(2), Decimal(100)))
    await said(log, SELLING.stream, SELLING.filled("f2", Decimal(3), Decimal(101)))
    ids["cancel"] = await said(log, BUYING.stream, events.OrderCancelRequested(), ids["fill"], SIGNAL)
    await said(log, BUYING.stream, BUYING.fact(events.OrderCanceled), ids["cancel"])
    return ids


async def found(log: EventLog, named: UUID, limit: int = 0) -> Trace:
    trace = await traced(log, named, limit)
    assert trace is not None
    return trace


def types(trace: Trace) -> list[str]:
    return [trace.events[position].type for position in sorted(trace.events)]


async def project(log: EventLog) -> None:
    for group in (TRADING, TRAIL):
        await catch_up(log, group)


@pytest.mark.parametrize("projected", ["nothing", "half", "all"])
async def test_a_signal_leads_to_its_orders_and_their_fills(database: str, projected: str) -> None:
    """However far the trail is: what it lacks is read from the log. Events of others are left out."""
    async with EventLog.open(database) as log:
        await tell_lives(log, 1, 5)
        ids = await a_signal(log)
        if projected == "half":
            await project(log)
        late = await said(log, BUYING.stream, BUYING.filled("f3", Decimal(1), Decimal(100)), None, SIGNAL)
        if projected == "all":
            await project(log)
        trace = await found(log, SIGNAL)
        whole = [one for one in await events_of(log) if one.stream in (STREAM, BUYING.stream, SELLING.stream)]
        assert [trace.events[position] for position in sorted(trace.events)] == whole
        assert trace.unprojected == {"nothing": await log.head(), "half": 1, "all": 0}[projected]
        assert whole[-1].event_id == late
        parents = {node.recorded.event_id: node.parent for node, _ in walked(tree_of(list(trace.events.values())))}
        assert parents[ids["signal"]] is None
        assert parents[ids["fill"]].recorded.event_id == ids["buy"]  # type: ignore[union-attr]
        assert parents[ids["cancel"]].recorded.event_id == ids["fill"]  # type: ignore[union-attr]


async def test_an_event_or_an_order_leads_to_its_correlation(database: str) -> None:
    """The fill itself carries none, but then its own stream is told."""
    async with EventLog.open(database) as log:
        ids = await a_signal(log)
        await project(log)
        expected = await found(log, SIGNAL)
        for named in (ids["buy"], ids["cancel"], BUYING.stream.id, SELLING.stream.id):
            trace = await found(log, named)
            assert (trace.correlation_id, trace.events) == (SIGNAL, expected.events)
        alone = await found(log, ids["fill"])
        assert alone.correlation_id is None
        assert "OrderFilled" in types(alone)
        assert await traced(log, uuid4(), 0) is None


async def test_an_order_without_any_correlation_is_told_whole(database: str) -> None:
    """Its own events, and no others."""
    async with EventLog.open(database) as log:
        await said(log, BUYING.stream, BUYING.placed(Decimal(5), Decimal(100)))
        await said(log, BUYING.stream, BUYING.fact(events.OrderAccepted))
        await said(log, SELLING.stream, SELLING.placed(Decimal(5), Decimal(100)))
        assert types(await found(log, BUYING.stream.id)) == ["OrderPlaced", "OrderAccepted"]


async def test_a_link_brings_what_was_told_under_the_other_name(database: str) -> None:
    """The fill that came before the order was known stands beneath its placing, with what it changed."""
    other = order_stream(external_order_id("binance", "main", "BTCUSDT", "v9001"))
    async with EventLog.open(database) as log:
        await said(log, other, BUYING.filled("f1", Decimal(2), Decimal(100)))
        await said(log, BUYING.stream, BUYING.placed(Decimal(5), Decimal(100)), None, SIGNAL)
        await said(log, BUYING.stream, events.OrderLinked(external_order_id=other.id), None, SIGNAL)
        trace = await found(log, SIGNAL)
        (root,) = tree_of(list(trace.events.values()), trace.outside, trace.same)
        assert root.position == 2
        assert [one.position for one in root.children] == [1, 3]
        states = await states_of(log, trace)
        assert [one.columns["filled_quantity"] for one in states[3] if one.of == "order"] == [(0, 2)]


async def test_causes_elsewhere_are_shown_as_such(database: str) -> None:
    """As far up as they go; what follows from an event here and belongs elsewhere, too."""
    async with EventLog.open(database) as log:
        far = await said(log, STREAM, SAMPLES["UserRegistered"])
        near = await said(log, STREAM, SAMPLES["UserRegistered"], far, OTHER_SIGNAL)
        placed = await said(log, BUYING.stream, BUYING.placed(Decimal(5), Decimal(100)), near, SIGNAL)
        await said(log, BUYING.stream, events.OrderCancelRequested(), placed, OTHER_SIGNAL)
        await said(log, BUYING.stream, events.OrderCancelRequested(), None, OTHER_SIGNAL)
        trace = await found(log, SIGNAL)
        assert sorted(trace.events) == [1, 2, 3, 4]
        assert trace.outside == {1, 2, 4}
        assert dict(trace.elsewhere) == {OTHER_SIGNAL: 2}


async def test_causes_in_a_circle_come_to_an_end(database: str) -> None:
    """Two events that name each other, one of them elsewhere, and one that names nothing there is."""
    one, other = new_event_id(), new_event_id()
    async with EventLog.open(database) as log:
        intent = events.OrderSubmitted()
        await log.append(STREAM, [Entry(intent, event_id=one)], correlation_id=SIGNAL, causation_id=other)
        await log.append(STREAM, [Entry(intent, event_id=other)], causation_id=one)
        await said(log, STREAM, intent, uuid4(), SIGNAL)
        trace = await found(log, SIGNAL)
        assert sorted(trace.events) == [1, 2, 3]
        notes = [node.note for node, _ in walked(tree_of(list(trace.events.values())))]
        assert [bool(note) for note in notes] == [True, False, True]


async def test_a_limit_is_of_the_events_that_carry_the_correlation(database: str) -> None:
    """The first ones; whether there are more is told."""
    async with EventLog.open(database) as log:
        await a_signal(log)
        for _ in range(2):
            trace = await found(log, SIGNAL, 2)
            assert (trace.more, types(trace)[:2]) == (True, ["UserRegistered", "OrderPlaced"])
            assert SELLING.stream not in trace.orders
            assert not (await found(log, SIGNAL, 4)).more
            await project(log)


@pytest.mark.parametrize("projected", [False, True])
async def test_what_a_fill_changed_is_what_was_known_then(database: str, projected: bool) -> None:
    """By the tables or by the log: the position's history says the same, also of fills that were busted later."""
    position = entities.position(BTC.exchange, BTC.symbol, "main")
    async with EventLog.open(database) as log:
        await tell_lives(log, 2, 12)
        await a_signal(log)
        await tell_lives(log, 2, 3)
        for revised in (False, True):
            if revised:
                busted = BUYING.fact(events.TradeBusted, update_id="b", execution_id="f1")
                await said(log, BUYING.stream, busted, None, SIGNAL)
            if projected:
                await project(log)
            trace = await found(log, SIGNAL)
            states = await states_of(log, trace)
            told = {one.recorded.position: one async for one in changes_of(log, position)}
            here = {at: one for at, one in told.items() if at in trace.events}
            assert len(here) == 2 + revised
            for at, change in here.items():
                (state,) = [one for one in states[at] if one.of == "position"]
                assert state.columns["quantity"] == (change.before.quantity, change.after.quantity)
                gained = change.after.realized_pnl - change.before.realized_pnl
                assert state.columns.get("realized", (None, 0))[1] == gained
            orders = [one.columns for at in sorted(states) for one in states[at] if one.of == "order"]
            assert {"status": (None, "PENDING_NEW")}.items() <= orders[0].items()


async def test_the_tables_answer_only_where_they_know_what_was_known(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else everything of the pair is folded, which takes its time."""
    folded: list[Any] = []

    async def from_log(*arguments: Any) -> dict[int, Any]:
        folded.append(arguments)
        return {}

    monkeypatch.setattr("byjy_ops.tracing.states._from_log", from_log)
    async with EventLog.open(database) as log:
        await a_signal(log)
        await states_of(log, await found(log, SIGNAL))
        assert len(folded) == 1, "nothing is projected yet"
        await project(log)
        await states_of(log, await found(log, SIGNAL))
        assert len(folded) == 1
        await said(log, BUYING.stream, BUYING.fact(events.TradeBusted, update_id="b", execution_id="f1"))
        await project(log)
        await states_of(log, await found(log, SIGNAL))
        assert len(folded) == 2, "a fill was busted since"


async def test_the_trail_finds_a_correlation_by_its_index(database: str, backend: str) -> None:
    """Which holds no event without one."""
    engine = writable_engine(database)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.insert(trail), list(_trail_rows()))
            if backend == "postgresql":
                await connection.exec_driver_sql("ANALYZE trail")
                await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            plan = await plan_of(connection, trail_of(UUID(int=7), 50))
            places = [row.position for row in (await connection.execute(trail_of(UUID(int=7), 50))).all()]
    finally:
        await engine.dispose()
    assert re.findall(r"\b(?:pk|ix)_\w+", plan) == ["ix_trail_correlation_id"], plan
    assert not sorts_or_scans(plan), plan
    assert places == list(range(407, 5_001, 400))


def _trail_rows() -> Iterable[dict[str, Any]]:
    for at in range(1, 5_001):
        correlation = UUID(int=at % 400) if at % 2 else None
        row = TrailRow(
            position=at, recorded_at=at, actor="a", category="order", stream_id=new_order_id(), type="T",
            correlation_id=correlation,
        )  # fmt: skip
        yield asdict(row)

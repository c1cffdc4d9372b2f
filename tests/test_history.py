"""The history of an entity with its states: folded from the log, and the same rows as the tables have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from byjy_events import EventLog, configuration_stream, new_order_id, order_stream
from byjy_events.errors import CorruptLog
from byjy_events.identifiers import external_order_id, pair_id
from byjy_events.recorded import Recorded
from byjy_events.stream import Stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.configuration import ConfigurationRemoved, ConfigurationRevealed, ConfigurationSet
from projections import CONFIGURATION, TRADING, catch_up, entities, projections_as_of
from projections.changes import Change, changes_among, changes_of
from projections.entities import Entity
from projections.folding import Changes
from projections.spilled import Spilled
from tests.folding import log_of
from tests.lifecycles import BTC, ETH, SUBJECTS, TWIN, Step, Subject, any_moves, lifecycles
from tests.replay import folded, stored
from tests.sample_events import SAMPLES
from tests.story import tell
from tests.test_cli_replay import alter_event

ONE = Subject(number=1)
PLACE = ONE.placed(Decimal(10), Decimal("100.5"))


async def history(log: EventLog, entity: Entity, **bounds: int) -> list[Change]:
    return [one async for one in changes_of(log, entity, **bounds)]


def revised(seed: int, orders: int) -> list[Step]:
    """Lives of orders, among them busts, corrections, and an order that turns out to be another."""
    steps = lifecycles(seed, orders)
    own, other = Subject(number=901), Subject(number=902)
    more = [
        own.placed(Decimal(5), Decimal("100.5")),
        other.filled("1", Decimal(2), Decimal("99.5"), client_order_id="x", fee=Decimal("0.5"), fee_asset="BNB"),
        other.fact(events.TradeCorrected, update_id="k", execution_id="1", quantity=Decimal(3), price=Decimal(98)),
        events.OrderLinked(external_order_id=other.stream.id),
        own.fact(events.TradeBusted, update_id="b", execution_id="1", exchange_order_id="v902"),
        own.filled("2", Decimal(1), Decimal(97)),
    ]
    for number, event in enumerate(more):
        stream = other.stream if isinstance(event, events.OrderFilled | events.TradeCorrected) else own.stream
        stream = own.stream if number == len(more) - 1 else stream
        steps.insert(len(steps) * (number + 1) // 7, (stream, event))
    return steps


def every_entity(tables: dict[str, dict[Any, Any]]) -> list[Entity]:
    """Of every row that there is."""
    known = {pair_id(pair.exchange, pair.symbol): pair for pair in (BTC, ETH)}
    found = [entities.order(key) for key in tables["orders"]]
    found += [entities.pair(known[key].exchange, known[key].symbol) for key in tables["trading_pairs"]]
    for pair, account, is_test in tables["positions"]:
        found.append(entities.position(known[pair].exchange, known[pair].symbol, account, is_test=is_test))
    return found


@pytest.mark.parametrize("kept", [20_000, 3])
async def test_the_row_after_the_last_change_is_the_row_in_the_table(
    database: str, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """For every order, pair and position, through busts, corrections and a link; also with hardly any row in memory."""
    monkeypatch.setattr("projections.spilled.ROWS_KEPT", kept)
    async with EventLog.open(database) as log:
        await tell(log, revised(seed=3, orders=60 if kept > 3 else 25))
        await catch_up(log, TRADING)
        tables = await stored(log)
        found = every_entity(tables)
        assert {one.kind for one in found} == {"order", "pair", "position"}
        revisions = 0
        for entity in found:
            told = await history(log, entity)
            assert told[-1].after == tables[entity.projection.table.name][entity.key], entity
            assert told[0].before is None
            assert all(one.after == other.before for one, other in pairwise(told))
            revisions += sum(type(one.recorded.event) in TRADING.revisions for one in told)
        assert revisions > 5


async def test_it_says_the_same_when_there_are_too_many_orders_to_look_them_up(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the log is read through."""
    entity = entities.position(BTC.exchange, BTC.symbol, "main")
    async with EventLog.open(database) as log:
        await tell(log, revised(seed=4, orders=25))
        looked_up = await history(log, entity)
        monkeypatch.setattr("projections.entities.EVENTS_AT_ONCE", 3)
        assert await history(log, entity) == looked_up
        assert len(looked_up) > 5


async def test_every_state_is_what_the_past_says_it_was(database: str) -> None:
    """After each event of a position and of an order, also of those that were taken back later."""
    order, pair = Subject(number=901).stream.id, pair_id(BTC.exchange, BTC.symbol)
    async with EventLog.open(database) as log:
        await tell(log, revised(seed=5, orders=8))
        for one in await history(log, entities.order(order)):
            async with projections_as_of(log, one.recorded.position) as past:
                assert await past.queries.order(order) == one.after
        for one in (await history(log, entities.position(BTC.exchange, BTC.symbol, "main")))[-4:]:
            async with projections_as_of(log, one.recorded.position) as past:
                assert await past.queries.position(pair, "main") == one.after


@given(any_moves)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_told_every_step_is_that_of_the_fold(steps: list[Step]) -> None:
    """Nonsense too: the states of every entity are those that a fold of the log up to there makes."""
    log = log_of(steps)
    found = [entities.order(subject.stream.id) for subject in SUBJECTS]
    found += [entities.position(BTC.exchange, BTC.symbol, "main"), entities.pair(ETH.exchange, ETH.symbol)]
    states = [folded(log[:number]) for number in range(len(log) + 1)]
    for entity in found:
        told = {one.recorded.position: one for one in asyncio.run(all_among(entity, log))}
        for one in log:
            before, after = (
                states[at][entity.projection.table.name].get(entity.key) for at in (one.position - 1, one.position)
            )
            if one.position in told:
                assert (told[one.position].before, told[one.position].after) == (before, after)
            else:
                assert before == after


async def all_among(entity: Entity, log: Sequence[Recorded]) -> list[Change]:
    async def events_in_order() -> AsyncIterator[Recorded]:
        for one in log:
            yield one

    return [one async for one in changes_among(entity, events_in_order())]


async def test_a_bust_shows_what_it_takes_back(database: str) -> None:
    """In the order's history the order and its trade; in the position's the position, its trade and its holding."""
    async with EventLog.open(database) as log:
        busted = ONE.fact(events.TradeBusted, update_id="b", execution_id="1")
        sold = Subject(number=2, side=events.Side.SELL)
        await log.append(ONE.stream, [PLACE, ONE.filled("1", Decimal(4), Decimal(100))])
        await log.append(sold.stream, [sold.filled("2", Decimal(4), Decimal(110))])
        await log.append(ONE.stream, [busted])
        last = (await history(log, entities.order(ONE.stream.id)))[-1]
        assert (last.before.filled_quantity, last.after.filled_quantity) == (4, 0)
        assert [(one.table, one.before.status, one.after.status) for one in last.also] == [
            ("trades", "EXECUTED", "BUSTED")
        ]
        last = (await history(log, entities.position(BTC.exchange, BTC.symbol, "main")))[-1]
        assert (last.before.quantity, last.after.quantity) == (0, -4)
        assert (last.before.realized_pnl, last.after.realized_pnl) == (40, 0)
        assert [(one.table, one.after is None) for one in last.also] == [("trades", False), ("position_cycles", True)]


async def test_an_order_that_turns_out_to_be_another_ends_there(database: str) -> None:
    """The link is the last that is told of the one, and brings the other its trades."""
    own, other = order_stream(new_order_id()), order_stream(external_order_id("binance", "main", "BTCUSDT", "v5"))
    async with EventLog.open(database) as log:
        await log.append(own, [PLACE])
        await log.append(other, [TWIN.filled("1", Decimal(4), Decimal(100))])
        link = await log.append(own, [events.OrderLinked(external_order_id=other.id)])
        gone = (await history(log, entities.order(other.id)))[-1]
        linked = (await history(log, entities.order(own.id)))[-1]
        assert linked.recorded.position == link.position
        assert (linked.before.filled_quantity, linked.after.filled_quantity) == (0, 4)
        assert [(one.table, one.before.order_id, one.after.order_id) for one in linked.also] == [
            ("trades", other.id, own.id)
        ]
        assert gone is None or gone.after is None


async def test_an_event_that_changes_nothing_is_told_all_the_same(database: str) -> None:
    """If it is of the entity's own stream; the pair is left alone by orders that name it again."""
    async with EventLog.open(database) as log:
        await log.append(ONE.stream, [PLACE])
        await log.append(ONE.stream, [SAMPLES["FactConflicted"]])
        placed, conflicted = await history(log, entities.order(ONE.stream.id))
        assert conflicted.before is conflicted.after == placed.after
        await log.append(Subject(number=2).stream, [PLACE])
        (named,) = await history(log, entities.pair(BTC.exchange, BTC.symbol))
        assert (named.before, named.after.external, named.recorded.position) == (None, True, 1)
        assert await history(log, entities.pair(BTC.exchange, "BTC")) == []


async def test_bounds_cut_the_telling_and_not_the_fold(database: str) -> None:
    """``since`` begins with the state there was; ``upto`` ends with it."""
    async with EventLog.open(database) as log:
        await log.append(ONE.stream, [PLACE])
        await log.append(ONE.stream, [ONE.fact(events.OrderAccepted)])
        await log.append(ONE.stream, [ONE.filled("1", Decimal(4), Decimal(100))])
        everything = await history(log, entities.order(ONE.stream.id))
        assert (
            await history(log, entities.order(ONE.stream.id), since=everything[2].recorded.recorded_at)
            == everything[2:]
        )
        assert await history(log, entities.order(ONE.stream.id), upto=2) == everything[:2]
        async with aclosing(changes_of(log, entities.position(BTC.exchange, BTC.symbol, "main"))) as changes:
            assert (await anext(changes)).after.quantity == 4  # and nothing is left open


async def test_a_configuration_key_has_a_history(database: str) -> None:
    """Set, shown to somebody, removed: the row is that of the table."""
    stream: Stream = configuration_stream("risk.limit")
    told: dict[str, Any] = {"key": "risk.limit", "sealed_value": b"", "description": "", "is_secret": False}
    async with EventLog.open(database) as log:
        for version, value in enumerate(("1", "2"), 1):
            await log.append(stream, [ConfigurationSet(value=value, value_type="INTEGER", version=version, **told)])  # type: ignore[arg-type]
        await log.append(stream, [ConfigurationRevealed(key="risk.limit", version=2, reason="audit")])
        await log.append(stream, [ConfigurationRemoved(key="risk.limit", version=3)])
        await catch_up(log, CONFIGURATION)
        found = await history(log, entities.setting("risk.limit"))
        assert [one.after.version for one in found] == [1, 2, 2, 3]
        assert found[-1].after == (await stored(log, CONFIGURATION))["configurations"]["risk.limit"]


async def test_an_altered_event_is_found_out(database: str) -> None:
    """A history is worth no more than the log it comes from."""
    async with EventLog.open(database) as log:
        await log.append(ONE.stream, [PLACE])
        await log.append(ONE.stream, [ONE.fact(events.OrderAccepted)])
    await asyncio.to_thread(alter_event, database, 2)
    async with EventLog.open(database) as log:
        with pytest.raises(CorruptLog):
            await history(log, entities.order(ONE.stream.id))


async def test_however_long_a_history_is_few_rows_are_in_memory(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a position: its trades come and go, and are there again when one of them is busted."""
    most = 0
    keep = Spilled.keep

    async def watched(self: Spilled, changes: Sequence[Changes]) -> None:
        nonlocal most
        await keep(self, changes)
        most = max(most, sum(map(len, self._known.values())))

    monkeypatch.setattr("projections.spilled.ROWS_KEPT", 50)
    monkeypatch.setattr(Spilled, "keep", watched)
    async with EventLog.open(database) as log:
        fills = [ONE.filled(str(number), Decimal(1), Decimal(100)) for number in range(1, 301)]
        await log.append(ONE.stream, [PLACE, *fills])
        await log.append(ONE.stream, [ONE.fact(events.TradeBusted, update_id="b", execution_id="7")])
        told = await history(log, entities.position(BTC.exchange, BTC.symbol, "main"))
    assert [one.after.quantity for one in told[-2:]] == [300, 299]
    assert len(told) == 301
    assert 0 < most <= 50

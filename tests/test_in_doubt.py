"""Orders in doubt: what the venue never answered is found after a crash, named, and resolved by events."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from msgspec.structs import asdict

from byjy_events import EventLog
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus
from byjy_events.vocabulary.pairs import PairStatus
from byjy_ops.listing import age
from projections import (
    TRADING,
    Doubt,
    OrderRow,
    Projector,
    Queries,
    TradingPairRow,
    catch_up,
    doubts_of,
    projections_as_of,
)
from projections.checkpoints import GroupState, projection_checkpoints
from projections.tables import orders, trading_pairs
from tests.cli import byjy, rows
from tests.folding import columns
from tests.lifecycles import BTC, Step, Subject
from tests.rows import writable_engine
from tests.story import tell

PLACED, SUBMITTED, CANCELING, AMENDING, RESTING, FILLED = (Subject(number=number) for number in range(1, 7))
OTHERS = Subject(number=7, account="second")

ONE, PRICE = Decimal(1), Decimal(100)


def _placed(order: Subject) -> list[Step]:
    return [(order.stream, order.placed(ONE, PRICE))]


def _submitted(order: Subject) -> list[Step]:
    return [*_placed(order), (order.stream, events.OrderSubmitted())]


def _accepted(order: Subject) -> list[Step]:
    return [*_submitted(order), (order.stream, order.fact(events.OrderAccepted))]


BEFORE_THE_CRASH: list[Step] = [
    *_placed(PLACED),
    *_submitted(SUBMITTED),
    *_accepted(CANCELING),
    (CANCELING.stream, events.OrderCancelRequested()),
    *_accepted(AMENDING),
    (AMENDING.stream, events.OrderAmendRequested(quantity=Decimal(2))),
    (AMENDING.stream, events.OrderCancelRequested()),
    *_accepted(RESTING),
    *_accepted(FILLED),
    (FILLED.stream, FILLED.filled("1", ONE, PRICE)),
    *_submitted(OTHERS),
]
"""What the engine had recorded when it died."""

EXPECTED = {
    PLACED: {Doubt.PLACED},
    SUBMITTED: {Doubt.SUBMITTED},
    CANCELING: {Doubt.CANCEL},
    AMENDING: {Doubt.CANCEL, Doubt.AMEND},
    OTHERS: {Doubt.SUBMITTED},
}


def _restated(order: Subject, status: OrderStatus, **fields: Any) -> Step:
    return order.stream, order.fact(events.OrderRestated, update_id="snapshot", status=status, **fields)


SNAPSHOT: list[Step] = [
    _restated(PLACED, OrderStatus.REJECTED, exchange_order_id=None, reason="the venue never had it"),
    _restated(SUBMITTED, OrderStatus.NEW),
    _restated(CANCELING, OrderStatus.CANCELED),
    _restated(AMENDING, OrderStatus.PARTIALLY_FILLED, quantity=Decimal(2), filled_quantity=ONE, avg_price=PRICE),
    _restated(OTHERS, OrderStatus.FILLED, filled_quantity=ONE, avg_price=PRICE),
]
"""What the venue says of each order in doubt when it is asked."""


# --- what of an order is in doubt -------------------------------------------------------------------------


def row(number: int = 1, **fields: Any) -> OrderRow:
    """An order placed at 10."""
    known: dict[str, Any] = {
        "id": UUID(int=number),
        "trading_pair_id": BTC.id,
        "account": f"a{number % 3}",
        "status": OrderStatus.PENDING_NEW,
        "exchange": "binance",
        "created_at": 10,
        "updated_at": 99,
        "last_position": number,
    }
    return OrderRow(**{**known, **fields})


@pytest.mark.parametrize(
    ("fields", "doubts"),
    [
        ({}, {Doubt.PLACED: 10}),
        ({"submitted_at": 20}, {Doubt.SUBMITTED: 20}),
        ({"exchange_order_id": "v1"}, {Doubt.SUBMITTED: 10}),
        ({"submitted_at": 20, "cancel_requested_at": 30}, {Doubt.SUBMITTED: 20, Doubt.CANCEL: 30}),
        ({"status": OrderStatus.NEW}, {}),
        ({"status": OrderStatus.NEW, "submitted_at": 20}, {}),
        ({"status": OrderStatus.NEW, "cancel_requested_at": 30}, {Doubt.CANCEL: 30}),
        ({"status": OrderStatus.PARTIALLY_FILLED, "amend_requested_at": 40}, {Doubt.AMEND: 40}),
        (
            {"status": OrderStatus.NEW, "cancel_requested_at": 30, "amend_requested_at": 40},
            {Doubt.CANCEL: 30, Doubt.AMEND: 40},
        ),
        ({"status": OrderStatus.FILLED, "cancel_requested_at": 30}, {}),
        ({"status": OrderStatus.FILLED, "amend_requested_at": 40}, {Doubt.AMEND: 40}),
        ({"status": OrderStatus.CANCELED, "cancel_requested_at": 30, "amend_requested_at": 40}, {}),
        ({"status": OrderStatus.REJECTED, "submitted_at": 20}, {}),
    ],
)
def test_what_is_in_doubt_and_since_when(fields: dict[str, Any], doubts: dict[Doubt, int]) -> None:
    """The order itself until the venue has it, requests until they are answered, nothing once it has ended."""
    assert doubts_of(row(**fields)) == doubts


LISTED = TradingPairRow(
    id=BTC.id,
    symbol=BTC.symbol,
    base_asset="BTC",
    quote_asset="USDT",
    exchange=BTC.exchange,
    status=PairStatus.TRADING,
    created_at=1,
    updated_at=1,
)


async def test_the_tables_find_exactly_the_orders_in_doubt(database: str) -> None:
    """Of every status and every request, those of which something is in doubt; page by page, by account and id."""
    times = (None, 5)
    made = [
        row(number, status=status, submitted_at=submitted, cancel_requested_at=cancel, amend_requested_at=amend)
        for number, (status, submitted, cancel, amend) in enumerate(product(OrderStatus, times, times, times), 1)
    ]
    engine = writable_engine(database)
    async with engine.begin() as connection:
        await connection.execute(sa.insert(trading_pairs).values(asdict(LISTED)))
        await connection.execute(sa.insert(orders), [asdict(one) for one in made])
    queries = Queries(engine)
    expected = sorted((one for one in made if doubts_of(one)), key=lambda one: (one.account, one.id.bytes))
    assert 0 < len(expected) < len(made)
    assert await queries.in_doubt() == expected
    first = await queries.in_doubt(limit=10)
    assert first + await queries.in_doubt(after=first[-1]) == expected
    of_one = [one for one in expected if one.account == "a1"]
    first = await queries.in_doubt("a1", limit=5)
    assert first + await queries.in_doubt("a1", after=first[-1]) == of_one
    assert await queries.in_doubt("nobody") == []
    await engine.dispose()


# --- after a crash ----------------------------------------------------------------------------------------


async def test_after_a_crash_the_orders_in_doubt_are_listed_and_resolved(database: str) -> None:
    """Intents are in the log before the venue is called; a snapshot of the venue answers for each of them."""
    async with EventLog.open(database) as log:
        await tell(log, BEFORE_THE_CRASH)  # nothing is projected when the engine dies
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        await projector.wait_for(await log.head())
        queries = Queries(log.engine)
        found = await queries.in_doubt()
        assert {one.id: set(doubts_of(one)) for one in found} == {
            order.stream.id: doubts for order, doubts in EXPECTED.items()
        }
        for one in found:
            assert one.client_order_id is not None
            assert all(one.created_at <= since <= time.time_ns() for since in doubts_of(one).values())
        assert [one.id for one in await queries.in_doubt("second")] == [OTHERS.stream.id]
        crashed_at = await log.head()
        for number, (stream, event) in enumerate(SNAPSHOT, 1):
            receipt = await log.append(stream, [event])
            await projector.wait_for(receipt.position)
            assert len(await queries.in_doubt()) == len(EXPECTED) - number
        resting = {one.id for one in await queries.open_orders()}
        assert resting == {order.stream.id for order in (SUBMITTED, AMENDING, RESTING)}
        async with projections_as_of(log, crashed_at) as past:
            assert await past.queries.in_doubt() == found


async def test_open_orders_say_all_that_an_engine_resumes_with(database: str) -> None:
    """Ids, terms, what is filled and what is left, whose it is, and which requests are unanswered."""
    strategy, execution = UUID(int=7), UUID(int=8)
    order = Subject(number=1)
    placed = events.OrderPlaced(
        pair=BTC,
        account="main",
        side=events.Side.BUY,
        type=events.OrderType.STOP_LOSS_LIMIT,
        quantity=Decimal(5),
        price=PRICE,
        stop_price=Decimal(99),
        time_in_force=events.TimeInForce.IOC,
        client_order_id="c1",
        strategy_id=strategy,
        strategy_execution_id=execution,
    )
    life: list[Step] = [
        (order.stream, placed),
        (order.stream, events.OrderSubmitted()),
        (order.stream, order.fact(events.OrderAccepted)),
        (order.stream, order.filled("1", Decimal(2), PRICE)),
        (order.stream, events.OrderAmendRequested(price=Decimal(101))),
        (order.stream, events.OrderCancelRequested()),
    ]
    async with EventLog.open(database) as log:
        await tell(log, life, at_once=1)
        await catch_up(log, TRADING)
        [found] = await Queries(log.engine).open_orders()
    assert (found.id, found.exchange_order_id, found.client_order_id) == (order.stream.id, "v1", "c1")
    assert (found.trading_pair_id, found.exchange, found.account, found.is_test) == (BTC.id, "binance", "main", False)
    assert (found.side, found.type, found.time_in_force) == (placed.side, placed.type, placed.time_in_force)
    assert columns(found, "quantity filled_quantity leaves_quantity avg_price") == (5, 2, 3, PRICE)
    assert columns(found, "price stop_price") == (PRICE, 99)
    assert (found.strategy_id, found.strategy_execution_id) == (strategy, execution)
    assert list(doubts_of(found)) == [Doubt.CANCEL, Doubt.AMEND]
    assert found.submitted_at is not None
    assert found.accepted_at is not None
    [listed] = await asyncio.to_thread(rows, "orders", "--open", database=database)
    assert listed.keys() == {*OrderRow.__struct_fields__, "symbol", "leaves_quantity"}
    assert (listed["leaves_quantity"], listed["stop_price"], listed["time_in_force"]) == ("3", "99", "IOC")
    assert listed["cancel_requested_at"] == found.cancel_requested_at
    assert listed["strategy_id"] == str(strategy)


# --- for operators ----------------------------------------------------------------------------------------


def told(database: str, steps: list[Step], *, project: bool = True) -> None:
    """Append to the log, and bring the tables up to it if so wanted."""

    async def work() -> None:
        async with EventLog.open(database) as log:
            await tell(log, steps)
            if project:
                await catch_up(log, TRADING)

    asyncio.run(work())


def test_the_command_lists_orders_in_doubt_until_there_are_none(database: str) -> None:
    """Exit status 1 while there are some; what is in doubt and for how long, for programs and for people."""
    told(database, BEFORE_THE_CRASH)
    done = byjy("in-doubt", "--json", database=database)
    assert (done.returncode, done.stderr) == (1, "")
    told_of = {UUID(found["id"]): found for found in map(json.loads, done.stdout.splitlines())}
    assert {order: set(found["in_doubt"]) for order, found in told_of.items()} == {
        order.stream.id: doubts for order, doubts in EXPECTED.items()
    }
    submitted = told_of[SUBMITTED.stream.id]
    assert submitted.keys() == {
        *OrderRow.__struct_fields__,
        "symbol",
        "leaves_quantity",
        "in_doubt",
        "in_doubt_since",
        "age_seconds",
    }
    assert submitted["in_doubt_since"] == submitted["submitted_at"]
    assert 0 <= submitted["age_seconds"] < 600
    amending = told_of[AMENDING.stream.id]
    assert amending["in_doubt_since"] == min(amending["amend_requested_at"], amending["cancel_requested_at"])
    people = byjy("in-doubt", "--account", "main", "--limit", "3", database=database)
    assert people.returncode == 1
    assert people.stderr == "byjy: 3 shown, there are more: --limit N, or 0 for all\n"
    heading, first, *_ = people.stdout.splitlines()
    assert heading.split()[:5] == ["id", "in_doubt", "age", "symbol", "client_order_id"]
    assert first.split()[:2] == [str(PLACED.stream.id), "PLACED"]
    assert first.split()[3:5] == ["BTCUSDT", "c1"]
    told(database, SNAPSHOT)
    done = byjy("in-doubt", database=database)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "byjy: no order is in doubt\n")


def test_the_command_never_says_none_before_the_tables_know_the_log(database: str) -> None:
    """Behind the log the answer is 1, and standard error says how far and what to do."""
    assert byjy("in-doubt", database=database).returncode == 0
    told(database, BEFORE_THE_CRASH, project=False)
    done = byjy("in-doubt", "--json", database=database)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"byjy: the tables are {len(BEFORE_THE_CRASH)} events and " in done.stderr
    hint = done.stderr.partition(" s behind the log: byjy ")[2]
    assert byjy(*shlex.split(hint)).returncode == 0
    assert len(byjy("in-doubt", "--json", database=database).stdout.splitlines()) == len(EXPECTED)


def test_the_command_never_says_none_of_rows_that_are_being_rebuilt(database: str) -> None:
    """At the head of the log or not: such rows may be of any moment."""
    told(database, [*BEFORE_THE_CRASH, *SNAPSHOT])
    assert byjy("in-doubt", database=database).returncode == 0

    async def mark() -> None:
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.execute(projection_checkpoints.update().values(status=GroupState.REBUILDING))
        await engine.dispose()

    asyncio.run(mark())
    done = byjy("in-doubt", database=database)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the tables may be wrong: its rows are being rebuilt" in done.stderr


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0s"),
        (12.34, "12.3s"),
        (59.94, "59.9s"),
        (60, "1m00s"),
        (252, "4m12s"),
        (3599.9, "59m59s"),
        (3 * 3600 + 300, "3h05m"),
        (86_399, "23h59m"),
        (52 * 3600, "2d04h"),
    ],
)
def test_ages_are_said_in_two_units(seconds: float, said: str) -> None:
    """Short enough for a column, and exact enough to act on."""
    assert age(seconds) == said

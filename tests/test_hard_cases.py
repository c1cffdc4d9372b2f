"""Hard cases: whatever the venue tells, in whatever order, the tables say what the page of order truth says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import Struct

from byjy_events.log import EventLog
from byjy_events.stream import pair_stream
from byjy_events.vocabulary.pairs import PairListed
from projections import TRADING, Queries, catch_up, verify
from projections.choices import TradeStatus
from projections.rows import AnomalyRow, OrderRow, PositionRow, TradeRow
from projections.tables import position_cycles, position_fees
from tests.fix_matrices import DEPARTURES, LEFT_OUT
from tests.hard_cases import CASES, Case
from tests.lifecycles import BTC, Subject
from tests.moves import Cast

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "order-truth.md"
_ACCOUNT: sa.BindParameter[str] = sa.bindparam("account")
_CLOSED = (
    sa.select(position_cycles.c.realized_pnl)
    .where(position_cycles.c.account == _ACCOUNT)
    .order_by(position_cycles.c.closed_position)
)
_FEES = sa.select(position_fees.c.amount, position_fees.c.asset).where(position_fees.c.account == _ACCOUNT)
ODD = [case for case in CASES if case.odd != "none"]
CASTS = {case.name: Cast.of(number) for number, case in enumerate(CASES, 1)}


class Outcome(Struct):
    """What the tables say of a case, as the case spells it; and the anomalies as they are."""

    case: Case
    anomalies: list[AnomalyRow]
    told_at: list[int]


class Told(Struct):
    """All cases, told to one log."""

    outcomes: dict[str, Outcome]
    differences: int


_told: dict[str, Told] = {}


@pytest.fixture
def told(backend: str, request: pytest.FixtureRequest) -> Told:
    """All cases on one database, told by whichever test comes first."""
    if backend not in _told:
        _told[backend] = asyncio.run(_tell_all(request.getfixturevalue("database")))
    return _told[backend]


async def _tell_all(url: str) -> Told:
    """To the log, move by move and case by case; projected at once."""
    async with EventLog.open(url) as log:
        await log.append(pair_stream(BTC.exchange, BTC.symbol), [PairListed(pair=BTC)])
        told_at = {case.name: [await _position(log, *step) for step in _steps(case)] for case in CASES}
        await catch_up(log, TRADING)
        outcomes = {case.name: await _outcome(log, case, told_at[case.name]) for case in CASES}
        return Told(outcomes, (await verify(log, TRADING)).differences)


def _steps(case: Case) -> Iterator[tuple[Subject, object]]:
    return (CASTS[case.name].told(move, number) for number, move in enumerate(case.moves, 1))


async def _position(log: EventLog, order: Subject, event: object) -> int:
    """Where a move is in the log, or what was kept of it."""
    receipt = await log.append(order.stream, [event])  # type: ignore[list-item]
    (one,) = receipt.events
    return one.position if one.conflict_position is None else one.conflict_position


# --- what the tables say, as a case spells it -----------------------------------------------------


async def _outcome(log: EventLog, case: Case, told_at: list[int]) -> Outcome:
    queries, cast = Queries(log.engine), CASTS[case.name]
    orders = [cast.buy, cast.sell, cast.venue]
    buy, sell, venue = [await queries.order(order.stream.id) for order in orders]
    trades = [trade for order in orders for trade in await queries.trades(order=order.stream.id)]
    anomalies = [row for order in orders for row in await queries.anomalies(order=order.stream.id)]
    anomalies.sort(key=lambda row: (row.position, row.kind))
    by_kind = [f"{row.kind} {told_at.index(row.position) + 1}" for row in anomalies]
    spelled = Case(
        name=case.name,
        told=case.told,
        order=_order(buy),
        sell=_order(sell),
        venue=_order(venue),
        trades=_listed(map(_trade, sorted(trades, key=lambda trade: trade.position))),
        position=_holding(await queries.position(BTC.id, cast.buy.account)),
        closed=_listed([_number(profit) for (profit,) in await _read(log, _CLOSED, cast.buy.account)]),
        fees=_listed([f"{_number(row.amount)} {row.asset}" for row in await queries.order_fees(cast.buy.stream.id)]),
        position_fees=_listed([f"{_number(sum_)} {of}" for sum_, of in await _read(log, _FEES, cast.buy.account)]),
        odd=_listed(by_kind),
        waits="0 0" if buy is None else f"{buy.cancels_unanswered} {buy.amends_unanswered}",
    )
    return Outcome(spelled, anomalies, told_at)


async def _read(log: EventLog, statement: sa.Select[Any], account: str) -> Sequence[Any]:
    async with log.engine.connect() as connection:
        return (await connection.execute(statement, {"account": account})).all()


def _order(row: OrderRow | None) -> str:
    if row is None:
        return "none"
    numbers = (row.quantity, row.filled_quantity, row.leaves_quantity, row.avg_price)
    return " ".join([row.status, *map(_number, numbers)])


def _trade(row: TradeRow) -> str:
    became = "" if row.status is TradeStatus.EXECUTED else f" {row.status}"
    return f"{row.execution_id} {_number(row.quantity)} @ {_number(row.price)}{became}"


def _holding(row: PositionRow | None) -> str:
    if row is None:
        return "none"
    return f"{_number(row.quantity)} @ {_number(row.avg_price)} made {_number(row.realized_pnl)}"


def _number(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:f}"


def _listed(parts: Iterator[str] | list[str]) -> str:
    return ", ".join(parts) or "none"


# --- the cases ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_tables_say_what_is_written_by_hand(told: Told, case: Case) -> None:
    """Orders, trades, position, closed holdings, and which move was odd in what way."""
    assert told.outcomes[case.name].case == case


@pytest.mark.parametrize("case", ODD, ids=lambda case: case.name)
def test_every_anomaly_says_where_and_what_it_is(told: Told, case: Case) -> None:
    """At the event's place in the log, with its order and its pair, in a sentence."""
    outcome, cast = told.outcomes[case.name], CASTS[case.name]
    for row in outcome.anomalies:
        order, _ = cast.told(case.moves[outcome.told_at.index(row.position)], 1)
        assert row.order_id == order.stream.id
        assert len(row.message.split()) >= 5, row.message


def test_a_rebuild_from_the_log_says_the_same(told: Told) -> None:
    """All cases in one log, row by row."""
    assert told.differences == 0


# --- the page -------------------------------------------------------------------------------------


def test_the_page_has_the_same_cases() -> None:
    """Each once, in the same order, by the names of the tests."""
    assert [row[-1].strip("`") for row in _rows()] == [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_page_says_of_a_case_what_its_test_wants(case: Case) -> None:
    """The same status and quantities of the order that buys, and the same kinds of anomalies."""
    (row,) = [row for row in _rows() if row[-1] == f"`{case.name}`"]
    _, says, odd, _ = row
    kinds = [] if case.odd == "none" else [one.split()[0] for one in case.odd.split(", ")]
    assert set(re.findall(r"`(\w+)`", odd)) == set(kinds)
    if case.order == "none":
        assert says.startswith("no order")
        return
    status, quantity, filled, *_ = case.order.split()
    found = re.match(r"`(\w+)`, ([\d-]+) of ([\d-]+|\?)", says)
    assert found is not None, says
    assert found.groups() == (status, filled, "?" if quantity == "-" else quantity)


@pytest.mark.parametrize("matrix", [*DEPARTURES, *LEFT_OUT])
def test_the_page_says_where_we_depart_from_fix(matrix: str) -> None:
    """Every matrix that is otherwise with us, or left out, is named there."""
    assert matrix.partition(",")[0] in PAGE.read_text()


def _rows() -> list[list[str]]:
    """The cells of every row of the page whose last one names a test."""
    lines = [line for line in PAGE.read_text().splitlines() if re.fullmatch(r"\|.*\| `\w+` \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

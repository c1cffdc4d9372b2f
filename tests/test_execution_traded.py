"""What executions show of what they traded: summed by quote asset, in queries and on the command line."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import structlog

from byjy_events import EventLog, new_event_id
from byjy_ops.cli import answered
from projections import OWNERSHIP, TRADING, Queries, StrategyDesk, StrategyQueries, Traded, Turnover, catch_up, queries
from projections.rows import ExecutionFeeRow
from projections.traded import NOTHING, summed
from tests.lifecycles import ETH, Step, Subject, execution_of
from tests.story import tell
from tests.strategies import active, user

ONE = Subject(number=1)
OTHER_ACCOUNT = Subject(number=4, account="second")
IN_BTC = Subject(number=7, pair=ETH)
ON_PAPER = Subject(number=10, is_test=True)
OF_THE_OTHER = Subject(number=2, is_test=True)


class Runs(NamedTuple):
    """Executions: two that traded, and one that did not."""

    one: UUID
    other: UUID
    idle: UUID


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


async def traded_in(log: EventLog) -> Runs:
    """The orders of two executions, on two accounts, in two quote assets, live and on paper; all is projected."""
    desk, owner = StrategyDesk(log), await user(log)
    first, second = execution_of(1), execution_of(2)
    assert first is not None
    assert second is not None
    keys = Runs(first, second, new_event_id())
    for number, key in enumerate(keys):
        await desk.start(await active(desk, owner, f"s{number}"), execution_id=key, is_test=key == second)
    await tell(log, [*_steps()])
    for group in (OWNERSHIP, TRADING):
        await catch_up(log, group)
    return keys


def _steps() -> Iterator[Step]:
    for order in (ONE, OTHER_ACCOUNT, IN_BTC, ON_PAPER, OF_THE_OTHER):
        yield order.stream, order.placed(Decimal(10), Decimal(100))
    fills: tuple[tuple[Subject, str, str], ...] = (
        (ONE, "2", "0.5"), (OTHER_ACCOUNT, "1", "-0.1"), (IN_BTC, "0.000000000000000001", "0"), (OF_THE_OTHER, "3", "0")
    )  # fmt: skip
    for order, quantity, fee in fills:
        paid = {"fee": Decimal(fee), "fee_asset": "BNB"}
        yield order.stream, order.filled("a", Decimal(quantity), Decimal(100), **paid)
    yield ONE.stream, ONE.filled("b", Decimal(1), Decimal(100), fee=Decimal("1.5"), fee_asset="USDT")


def turnover(execution: UUID, quote: str, *told: Any, is_test: bool = False) -> Turnover:
    orders, fills, volume, profit = told
    return Turnover(
        strategy_execution_id=execution,
        quote_asset=quote,
        is_test=is_test,
        orders=orders,
        fills=fills,
        volume=None if volume is None else Decimal(volume),
        realized_pnl=None if profit is None else Decimal(profit),
    )


async def test_executions_come_with_what_they_traded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over accounts and pairs, by quote asset, never paper with live; however many are asked for at once."""
    async with EventLog.open(database) as log:
        keys = await traded_in(log)
        ask = StrategyQueries(log.engine)
        for at_once in (1, 1_000):
            monkeypatch.setattr(queries, "EXECUTIONS_AT_ONCE", at_once)
            rows = {row.id: row.traded for row in await ask.executions()}
            assert rows == await Queries(log.engine).traded(keys)
            assert rows[keys.one].turnovers == (
                turnover(keys.one, "BTC", 1, 1, "0.0000000000000001", "0"),
                turnover(keys.one, "USDT", 2, 3, "400", "-1.5"),
                turnover(keys.one, "USDT", 1, 0, "0", "0", is_test=True),
            )
            assert {one.asset: one.amount for one in rows[keys.one].fees} == {
                "BNB": Decimal("0.4"),
                "USDT": Decimal("1.5"),
            }
            assert (rows[keys.one].orders, rows[keys.one].fills) == (4, 4)
            assert rows[keys.other].turnovers == (turnover(keys.other, "USDT", 1, 1, "300", "0", is_test=True),)
            assert rows[keys.idle] == NOTHING
        assert await ask.execution(keys.one) == next(row for row in await ask.executions() if row.id == keys.one)


def test_a_sum_with_what_is_unknown_is_unknown() -> None:
    """Of the same quote asset; and one that two addends take out of range."""
    key, far = UUID(int=1), "90000000000000000000"
    given = [
        turnover(key, "A", 1, 1, None, "1"),
        turnover(key, "A", 1, 1, "1", "1"),
        turnover(key, "B", 1, 1, far, far),
        turnover(key, "B", 1, 1, far, f"-{far}"),
    ]
    for addends in (given, given[::-1]):
        assert summed(addends, []) == {
            key: Traded(turnovers=(turnover(key, "A", 2, 2, None, "2"), turnover(key, "B", 2, 2, None, "0")))
        }
    fee = ExecutionFeeRow(strategy_execution_id=key, asset="A", amount=Decimal(1))
    assert summed([], [fee]) == {key: Traded(fees=(fee,))}


def test_executions_are_listed_and_shown_with_what_they_traded(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exact for programs; for people one cell for each sum, which tells where paper is among live."""

    async def work() -> Runs:
        async with EventLog.open(database) as log:
            return await traded_in(log)

    def said(*arguments: str) -> str:
        status, (out, err) = answered(["--database", database, "executions", *arguments]), capsys.readouterr()
        assert (status, err) == (0, "")
        return out

    keys = asyncio.run(work())
    listed = {row["id"]: row for row in map(json.loads, said("--json").splitlines())}
    assert listed[str(keys.one)]["turnovers"] == [
        {"quote_asset": "BTC", "is_test": False, "orders": 1, "fills": 1, "volume": "0.0000000000000001",
         "realized_pnl": "0"},
        {"quote_asset": "USDT", "is_test": False, "orders": 2, "fills": 3, "volume": "400", "realized_pnl": "-1.5"},
        {"quote_asset": "USDT", "is_test": True, "orders": 1, "fills": 0, "volume": "0", "realized_pnl": "0"},
    ]  # fmt: skip
    assert listed[str(keys.one)]["fees"] == {"BNB": "0.4", "USDT": "1.5"}
    assert (listed[str(keys.idle)]["turnovers"], listed[str(keys.idle)]["fees"]) == ([], {})
    table = said()
    assert "0.0000000000000001 BTC, 400 USDT, 0 USDT (paper)" in table
    assert "0 BTC, -1.5 USDT, 0 USDT (paper)  0.4 BNB, 1.5 USDT" in table
    assert re.search("300 USDT +0 USDT ", table)
    shown = json.loads(said("show", str(keys.one), "--json"))
    totals = shown.pop("totals")
    assert shown == listed[str(keys.one)]
    assert {(one["pair"], one["account"], one["is_test"], one["quantity"]) for one in totals} == {
        ("binance:BTCUSDT", "main", False, "3"),
        ("binance:BTCUSDT", "second", False, "1"),
        ("binance:BTCUSDT", "main", True, "0"),
        ("kucoin:ETH-BTC", "main", False, "0.000000000000000001"),
    }
    text = said("show", str(keys.one))
    assert "RUNNING" in text
    assert "kucoin:ETH-BTC" in text
    assert "binance" not in said("show", str(keys.idle))
    assert answered(["--database", database, "executions", "show", str(UUID(int=1))]) == 2
    assert f"EXECUTION: there is no execution {UUID(int=1)}" in capsys.readouterr().err

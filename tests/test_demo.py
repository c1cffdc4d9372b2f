"""The demo: a simulated engine that proves itself against its venue."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from byjy_events import (
    EventLog,
    OrderAccepted,
    Side,
    VenueMessageUnusable,
    external_order_id,
    new_order_id,
    venue_stream,
)
from byjy_ops.demo import LogNotEmpty, messages, run_demo
from byjy_ops.demo.adapter import client_order_id, heard
from byjy_ops.demo.books import disagreements
from byjy_ops.demo.ledger import new_ledger
from byjy_ops.demo.markets import ACCOUNTS, MARKETS
from byjy_ops.demo.measurements import percentile
from byjy_ops.demo.messages import ExecutionReport, Kind
from byjy_ops.demo.strategy import MarketMaker
from projections import AnomalyKind, Queries, TradeStatus

EVENTS = 400
WHILE_TRADING_SECONDS = 0.7
RUN = "import sys; from byjy_ops.demo import run_demo; sys.exit(run_demo(*map(int, sys.argv[1:3]), *sys.argv[3:]))"


def run(database: str | None, seed: int = 1) -> tuple[int, str]:
    """The exit status and everything printed."""
    out = io.StringIO()
    status = run_demo(EVENTS, seed, database, Console(file=out, width=160))
    return status, out.getvalue()


def test_the_books_agree_with_the_venue_and_every_mishap_was_caught(database: str) -> None:
    """A short run already holds every bad manner of the venue, and tables and venue tell the same at its end."""
    status, printed = run(database)
    assert status == 0, printed
    assert "books agree with the venue" in printed
    expected = {"LATE_FILL", "OVERFILL", "FACT_CONFLICTED", "MESSAGE_UNUSABLE", "UNKNOWN_ORDER"}
    assert {kind for kind in AnomalyKind if kind in printed} == expected


async def test_the_venue_takes_trades_back_and_corrects_them(database: str) -> None:
    """And the books agree all the same."""
    status, printed = await asyncio.to_thread(run, database)
    assert status == 0, printed
    async with EventLog.open(database) as log:
        trades = await Queries(log.engine).trades(limit=10_000)
    assert {trade.status for trade in trades} == set(TradeStatus)


def test_the_summary_shows_figures_positions_a_history_and_where_to_look_next(database: str) -> None:
    """All that the last page promises is there."""
    _, printed = run(database)
    for text in ("a second", "duplicates", "p50", "p99", "BTCUSDT", "paper", "OrderPlaced", "OrderFilled"):
        assert text in printed
    assert "orders --limit 5" in printed
    assert "byjy --database '" in printed


def test_where_to_look_next_can_be_typed_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an environment that is not on the path, the program is named by where it lies."""
    monkeypatch.setattr(sys, "argv", [".venv/bin/byjy", "demo"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "\n  .venv/bin/byjy --database '" in run(f"sqlite:///{tmp_path / 'x.db'}")[1]


async def test_a_trade_that_the_venue_does_not_know_is_found(database: str) -> None:
    """The check of the books can fail: held against empty books, every traded pair disagrees."""
    await asyncio.to_thread(run, database)
    async with EventLog.open(database) as log:
        found = await disagreements(Queries(log.engine), new_ledger())
    assert any("number of trades" in sentence for sentence in found)
    assert any("position" in sentence for sentence in found)


async def test_a_log_that_holds_events_is_refused_and_left_alone(database: str) -> None:
    """The demo never mixes with anything real."""
    await asyncio.to_thread(run, database)
    async with EventLog.open(database) as log:
        before = await log.head()
    with pytest.raises(LogNotEmpty, match=f"holds {before} event") as refused:
        await asyncio.to_thread(run, database)
    assert refused.value.head == before
    async with EventLog.open(database) as log:
        assert await log.head() == before


def test_without_a_database_it_takes_a_new_file_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays, for the commands that the last page names."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    status, printed = run(None)
    (file,) = tmp_path.glob("byjy-demo-*/demo.db")
    assert status == 0
    assert str(file) in printed


def test_an_interrupt_ends_it_cleanly_and_the_log_is_whole(tmp_path: Path) -> None:
    """Ctrl-C: status 130, no traceback, no progress bar in a pipe, and what was acknowledged can be read."""
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "1000000", "1", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "1,000,000 events" in process.stdout.readline()
        time.sleep(WHILE_TRADING_SECONDS)
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (130, "")
    assert "Interrupted" in printed
    assert asyncio.run(_count(url)) > 0


async def _count(url: str) -> int:
    async with EventLog.open(url) as log:
        count = len([recorded async for recorded in log.read()])
        assert count == await log.head()
        return count


@pytest.mark.parametrize("seed", [1, 2])
def test_what_a_strategy_decides_depends_on_the_seed_alone(seed: int) -> None:
    """The same seed, the same orders; another seed, others."""
    assert _orders(seed) == _orders(seed)
    assert _orders(seed) != _orders(seed + 1)


def _orders(seed: int) -> list[Any]:
    class Desk:
        def price(self, market: Any) -> Decimal:
            return Decimal(100)

    strategy = MarketMaker(Desk(), MARKETS[0], ACCOUNTS[0], 1, seed)  # type: ignore[arg-type]
    return [strategy.order() for _ in range(10)]


def _report(client: str) -> bytes:
    report = ExecutionReport(
        kind=Kind.NEW, time=7, update=1, symbol="BTCUSDT", order="X1", client=client, side=Side.BUY
    )
    return messages.encode(report)


def test_a_message_finds_the_stream_of_its_order_without_any_memory() -> None:
    """The client order id is the order's id; an order with another one was placed by somebody else."""
    order_id, account = new_order_id(), ACCOUNTS[0]
    own = heard(account, _report(client_order_id(order_id)))
    assert own.stream.id == order_id
    assert isinstance(own.entry.event, OrderAccepted)
    assert own.entry.occurred_at == 7
    other = heard(account, _report("web-1"))
    assert other.stream.id == external_order_id("simex", account.name, "BTCUSDT", "X1")


def test_a_message_that_cannot_be_read_is_kept_as_it_came() -> None:
    """Whatever bytes come, the adapter answers with something to store."""
    random = Random(1)
    for length in range(64):
        raw = random.randbytes(length)
        kept = heard(ACCOUNTS[0], raw)
        assert isinstance(kept.entry.event, VenueMessageUnusable)
        assert kept.entry.event.raw == raw
        assert kept.stream == venue_stream("simex", ACCOUNTS[0].name)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 5.0), (51, 6.0), (99, 10.0), (100, 10.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: int, expected: float) -> None:
    """By the nearest rank."""
    assert percentile([float(value) for value in range(10, 0, -1)], percent) == expected

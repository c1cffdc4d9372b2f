"""Importing order flow: equal to the oracle, once however often, complete after any interruption."""

from __future__ import annotations

import asyncio
import gzip
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from byjy_events import (
    EventLog,
    Fact,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    PairListed,
    Recorded,
    Side,
    pair_stream,
)
from byjy_events.identifiers import pair_id
from byjy_ops.errors import InvalidInput
from byjy_ops.lobster.day import TradingDay
from byjy_ops.lobster.message import MessageType
from projections import AnomalyKind
from projections.tables import anomalies, orders, positions, trades
from tests.cli import EVENTS, LINES, byjy, command, environment, imported, sample
from tests.shared import oracle, shared_path

FILES = {
    "AAPL": "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz",
    "AMZN": "AMZN_2012-06-21_34200000_57600000_message_1.csv.gz",
}
TOLERANCE = Decimal("1e-9")


async def _events(database: str) -> list[Recorded]:
    async with EventLog.open(database) as log:
        return [recorded async for recorded in log.read()]


def events(database: str) -> list[Recorded]:
    """The whole log."""
    return asyncio.run(_events(database))


def query(database: str, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
    """The rows of a statement."""

    async def work() -> list[sa.Row[Any]]:
        async with EventLog.open(database) as log, log.engine.connect() as connection:
            return list((await connection.execute(statement)).all())

    return asyncio.run(work())


@pytest.mark.timeout(300)
def test_real_order_flow_comes_out_as_the_oracle_says(database: str, backend: str) -> None:
    """Both files on SQLite, the one with the many orphans on PostgreSQL: orders, trades, positions, anomalies."""
    symbols = ["AAPL", "AMZN"] if backend == "sqlite" else ["AMZN"]
    done = imported(database, *(shared_path(f"data/lobster/{FILES[symbol]}") for symbol in symbols))
    for symbol, result in zip(symbols, done, strict=True):
        expected = oracle("lobster.json")[symbol]
        assert result.lines == expected["messages"]
        assert result.skipped == {MessageType.HIDDEN_EXECUTION: expected["hidden"]}
        # A submission is two events; the pair is one more.
        assert result.stored == expected["messages"] - expected["hidden"] + expected["submitted"] + 1
        pair = pair_id("nasdaq", symbol)
        assert end_states(database, pair) == expected["submitted_orders_end_state"]
        assert traded(database, pair) == expected["trades"]
        assert_position(database, pair, expected["position"])
        kinds = Counter(
            row.kind for row in query(database, sa.select(anomalies.c.kind).where(anomalies.c.trading_pair_id == pair))
        )
        assert kinds == {AnomalyKind.UNKNOWN_ORDER: sum(expected["orphans"].values())}


def end_states(database: str, pair: Any) -> dict[str, int]:
    """How the orders ended that the file submitted, in the words of the oracle."""
    c = orders.c
    statement = sa.select(c.status, c.filled_quantity).where(c.trading_pair_id == pair, ~c.external)
    states: Counter[str] = Counter()
    for row in query(database, statement):
        if row.status is OrderStatus.CANCELED:
            states["CANCELED after partial fill" if row.filled_quantity else "CANCELED unfilled"] += 1
        else:
            states[row.status] += 1
    return dict(states)


def traded(database: str, pair: Any) -> dict[str, Any]:
    """How many trades, and by side how much for how much."""
    c = trades.c
    rows = query(database, sa.select(c.side, c.quantity, c.price).where(c.trading_pair_id == pair))
    sums: dict[str, Any] = {"count": len(rows)}
    for side in Side:
        mine = [row for row in rows if row.side is side]
        notional = sum((row.quantity * row.price for row in mine), Decimal(0))
        sums[side] = {"quantity": str(sum(row.quantity for row in mine)), "notional": f"{notional.normalize():f}"}
    return sums


def assert_position(database: str, pair: Any, expected: dict[str, str]) -> None:
    """The one position of the pair is as expected, to a billionth."""
    [row] = query(database, sa.select(positions).where(positions.c.trading_pair_id == pair))
    assert row.quantity == Decimal(expected["quantity"])
    for found, wanted in ((row.avg_price, expected["average_price"]), (row.realized_pnl, expected["realized_pnl"])):
        assert abs(found - Decimal(wanted)) <= TOLERANCE * abs(Decimal(wanted))


def test_a_second_import_stores_nothing(database: str, tmp_path: Path) -> None:
    """Every event is recognised, and the tables stay as they are."""
    path = sample(tmp_path)
    [first] = imported(database, path)
    before = [query(database, sa.select(table)) for table in (orders, trades, positions, anomalies)]
    [second] = imported(database, path)
    assert (first.stored, first.duplicates) == (EVENTS, 0)
    assert (second.stored, second.duplicates, second.contradicting) == (0, EVENTS, 0)
    assert before == [query(database, sa.select(table)) for table in (orders, trades, positions, anomalies)]


def test_events_lie_in_the_order_of_the_lines(database: str, tmp_path: Path) -> None:
    """Across orders, too: whatever the import groups, positions follow line numbers."""
    lines = []
    for order in range(1, 400):
        lines += [f"{34200 + order},1,{order},2,100,1", f"{34200 + order},4,{max(1, order - order % 7)},1,100,1"]
    imported(database, sample(tmp_path, lines), project=False)
    told = [line_of(recorded) for recorded in events(database)[1:]]
    assert told == sorted(told)
    assert len(set(told)) == len(lines)


def line_of(recorded: Recorded) -> int:
    """The line of the file that an event came from."""
    if isinstance(recorded.event, OrderPlaced):
        return recorded.event_id.int & (2**48 - 1)
    assert isinstance(recorded.event, Fact)
    told = recorded.event.execution_id if isinstance(recorded.event, OrderFilled) else recorded.event.update_id  # type: ignore[attr-defined]
    return int(told.partition(".")[2])


def test_an_import_that_was_killed_is_completed_by_running_it_again(tmp_path: Path) -> None:
    """After kill -9 in the middle, repeatedly, the log is what one undisturbed import makes of the file."""
    lines = [f"34200.{n:09},{1 if n % 2 else 3},{(n + 1) // 2},1,100,1" for n in range(1, 12_001)]
    path = sample(tmp_path, lines)
    whole, killed = (tmp_path / name for name in ("whole.db", "killed.db"))
    imported(f"sqlite:///{whole}", path, project=False)
    heads = [0]
    for _ in range(2):
        heads.append(killed_beyond(killed, path, heads[-1] + 1_500))
    assert heads == sorted(set(heads))
    assert heads[-1] < len(events(f"sqlite:///{whole}"))
    done = byjy("import", "lobster", str(path), database=f"sqlite:///{killed}")
    assert done.returncode == 0, done.stderr
    assert content(killed) == content(whole)


def killed_beyond(database: Path, path: Path, position: int) -> int:
    """Start an import, kill it once the log has passed a position, and return the log's head."""
    process = subprocess.Popen(
        command("import", "lobster", str(path)), env=environment(f"sqlite:///{database}"), stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while head(database) < position:
        assert time.monotonic() < deadline
        assert process.poll() is None, "the import ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return head(database)


def head(database: Path) -> int:
    """The position of the last event; 0: none, or no log yet."""
    if not database.exists():
        return 0
    connection = sqlite3.connect(database)
    try:
        found = connection.execute("SELECT max(position) FROM events").fetchone()[0]
        return int(found or 0)
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def content(database: Path) -> list[tuple[Any, ...]]:
    """The log without the clock of its own and what hangs on it."""
    return [
        (
            r.position,
            r.event_id_bytes,
            r.stream_id_bytes,
            r.stream_version,
            r.type,
            r.payload,
            r.occurred_at,
            r.received_at,
        )
        for r in events(f"sqlite:///{database}")
    ]


def test_a_line_that_is_no_message_stops_the_import_there(database: str, tmp_path: Path) -> None:
    """What came before is stored, nothing after; with the line mended, running it again completes the import."""
    path = sample(tmp_path, [*LINES[:4], "34203,9,5,1,1,1", *LINES[5:]])
    with pytest.raises(InvalidInput, match="type: expected one of") as refused:
        imported(database, path)
    assert (refused.value.path, refused.value.line, refused.value.field) == (path, 5, "type")
    assert line_of(events(database)[-1]) == 4
    [mended] = imported(database, sample(tmp_path))
    assert mended.stored + mended.duplicates == EVENTS
    assert len(events(database)) == EVENTS


def test_compressed_data_that_end_early_stop_the_import_there(database: str, tmp_path: Path) -> None:
    """The lines that could be read are stored; the whole file completes the import."""
    lines = [f"34200.{n},1,{n},1,100,1" for n in range(1, 3_000)]
    packed = gzip.compress(sample(tmp_path, lines).read_bytes())
    path = tmp_path / "XYZ_2024-01-02_34200000_57600000_message_10.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InvalidInput, match="end early"):
        imported(database, path, project=False)
    path.write_bytes(packed)
    [done] = imported(database, path, project=False)
    assert done.stored + done.duplicates == 2 * len(lines) + 1


def test_another_file_of_the_same_day_is_refused(database: str, tmp_path: Path) -> None:
    """Its lines would be taken for those of the first; the error names the submission where they differ."""
    imported(database, sample(tmp_path), project=False)
    before = events(database)
    other = sample(tmp_path, ["34200.5,1,102,50,1010000,-1"], name="XYZ_2024-01-02_1_2_message_1.csv")
    with pytest.raises(InvalidInput, match="XYZ of 2024-01-02 was imported from another file before") as refused:
        imported(database, other, project=False)
    assert refused.value.line == 1
    assert events(database)[:EVENTS] == before


def test_a_pair_that_is_listed_already_keeps_its_filters(database: str, tmp_path: Path) -> None:
    """Who trades it knows them better than an importer."""
    pair = TradingDay("XYZ", date(2024, 1, 2), "lobster").pair

    async def list_pair() -> None:
        async with EventLog.open(database) as log:
            await log.append(pair_stream("nasdaq", "XYZ"), [PairListed(pair=pair, tick_size=Decimal("0.05"))])

    asyncio.run(list_pair())
    imported(database, sample(tmp_path))
    listed = [recorded.event for recorded in events(database) if isinstance(recorded.event, PairListed)]
    assert [event.tick_size for event in listed] == [Decimal("0.05")]

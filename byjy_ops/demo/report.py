"""The demo's last page: figures, positions, anomalies, one order's story, and where to look next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byjy_events import EventLog, Recorded, order_stream
from byjy_events.numbers import ZERO, spelled
from byjy_ops.demo.ledger import Ledger
from byjy_ops.demo.markets import ACCOUNTS, MARKETS, Market
from byjy_ops.demo.measurements import Latencies, Measurements
from byjy_ops.demo.venue import Venue
from projections import AnomalyKind, AnomalyRow, PositionRow, Queries

PAGE = 1_000
NANOSECONDS = 1_000_000_000
TELLING = (AnomalyKind.LATE_FILL, AnomalyKind.FACT_CONFLICTED, AnomalyKind.OVERFILL)
"""Anomalies that make an order's story worth reading, the best first."""

STORIES = 20
"""Orders among which the longest story is chosen."""

WHOLE = ("event", "kind")
"""Columns that a narrow terminal must not cut."""

SHOWN = ("side", "type", "quantity", "price", "execution_id", "reason")


async def print_report(
    console: Console, log: EventLog, queries: Queries, venue: Venue, measured: Measurements, found: list[str]
) -> None:
    """Everything there is to say, read from the tables and the log like anybody would."""
    anomalies = await _all_anomalies(queries)
    console.print(_figures(measured))
    console.print(await _positions(queries, venue))
    console.print(_anomalies(anomalies))
    story = await _most_telling(log, anomalies)
    if story:
        console.print(_history(story))
    _print_verdict(console, venue.ledger, found)
    _print_where_next(console, log.url, story[0].stream_id if story else None)


# --- figures --------------------------------------------------------------------------------------


def _figures(measured: Measurements) -> Table:
    table = _table("What it did", "", "")
    rate = measured.events / measured.seconds
    table.add_row("events", f"{measured.events:,} in {measured.seconds:.1f} s: {rate:,.0f} a second")
    table.add_row("told again", f"{measured.duplicates:,} duplicates, {measured.conflicts:,} with other content")
    table.add_row("append until acknowledged as durable", _spread(measured.acknowledgements))
    table.add_row("from there until the row is visible", _spread(measured.lags))
    return table


def _spread(latencies: Latencies) -> str:
    p50, p99 = latencies.percentile_ms(50), latencies.percentile_ms(99)
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, of {len(latencies.seconds):,}"


# --- positions ------------------------------------------------------------------------------------


async def _positions(queries: Queries, venue: Venue) -> Table:
    table = _table("Positions", "pair", "account", ">quantity", ">average price", ">realised", ">open", "in")
    for market in MARKETS:
        for account in ACCOUNTS:
            row = await queries.position(market.pair.id, account.name, account.is_test)
            if row is not None:
                table.add_row(*_position(row, market, venue.price(market)))
    return table


def _position(row: PositionRow, market: Market, price: Decimal) -> tuple[str, ...]:
    unrealized = ZERO if row.avg_price is None else (price - row.avg_price) * row.quantity
    money = (row.avg_price, row.realized_pnl, unrealized)
    return (
        market.pair.symbol,
        row.account,
        spelled(row.quantity),
        *("" if amount is None else f"{amount.quantize(market.tick):,}" for amount in money),
        market.pair.quote_asset,
    )


# --- anomalies ------------------------------------------------------------------------------------


async def _all_anomalies(queries: Queries) -> list[AnomalyRow]:
    found: list[AnomalyRow] = []
    while page := await queries.anomalies(after=found[-1] if found else None, limit=PAGE):
        found += page
    return found


def _anomalies(anomalies: list[AnomalyRow]) -> Table:
    table = _table("Anomalies caught", "kind", ">count", "for example")
    first = {row.kind: row for row in reversed(anomalies)}
    for kind, count in Counter(row.kind for row in anomalies).most_common():
        table.add_row(kind, f"{count:,}", first[kind].message)
    return table


async def _most_telling(log: EventLog, anomalies: list[AnomalyRow]) -> list[Recorded]:
    """The events of the order with the best story; empty: nothing odd happened to any."""
    odd = [row.order_id for kind in TELLING for row in anomalies if row.kind is kind and row.order_id is not None]
    stories = [[event async for event in log.read(stream=order_stream(order_id))] for order_id in odd[:STORIES]]
    return max(stories, key=len, default=[])


# --- one order's history --------------------------------------------------------------------------


def _history(story: list[Recorded]) -> Table:
    placed_at = datetime.fromtimestamp(story[0].recorded_at / NANOSECONDS, UTC)
    title = f"Order {story[0].stream_id}, placed {placed_at:%Y-%m-%d %H:%M:%S} UTC"
    table = _table(title, ">position", ">version", ">ms", "event", "actor", "content")
    for recorded in story:
        table.add_row(
            str(recorded.position),
            str(recorded.stream_version),
            f"{(recorded.recorded_at - story[0].recorded_at) / 1_000_000:.1f}",
            recorded.type,
            recorded.actor.removeprefix("strategy:"),
            _content(recorded),
        )
    return table


def _content(recorded: Recorded) -> str:
    fields = msgspec.json.decode(recorded.payload)
    return " ".join(str(fields[name]) for name in SHOWN if fields.get(name) not in (None, ""))


# --- the last lines -------------------------------------------------------------------------------


def _print_verdict(console: Console, ledger: Ledger, found: list[str]) -> None:
    if not found:
        trades = sum(book.executions for book in ledger.values())
        console.print(f"books agree with the venue: {trades:,} trades, {len(ledger)} positions\n", style="green")
        return
    console.print("books do not agree with the venue:", style="bold red")
    for sentence in found:
        console.print(f"  {sentence}", style="red")


def _print_where_next(console: Console, url: str, order_id: UUID | None) -> None:
    byjy = f"{_program()} --database '{url}'"
    console.print("Look further:")
    commands = ["status", "orders --limit 5", "trades --limit 5", "positions", "anomalies --limit 5"]
    if order_id is not None:
        commands.append(f"history {order_id}")
    for command in commands:
        console.print(Text(f"  {byjy} {command}"), soft_wrap=True)


def _program() -> str:
    """The command as it can be typed here; ``make demo`` has it in an environment that is not on the path."""
    if sys.argv[0].endswith("byjy") and shutil.which("byjy") is None:
        return shlex.quote(sys.argv[0])
    return "byjy"


def _table(title: str, *headers: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=any(headers), box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(
            header.lstrip(">"), justify="right" if header.startswith(">") else "left", no_wrap=header in WHOLE
        )
    return table

"""One run of the demo, from the fresh log to the summary."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from byjy_events import EventLog
from byjy_ops.demo.books import disagreements
from byjy_ops.demo.engine import Engine
from byjy_ops.demo.errors import LogNotEmpty
from byjy_ops.demo.markets import ACCOUNTS, MARKETS
from byjy_ops.demo.report import print_report
from byjy_ops.demo.strategy import MarketMaker, Strategy, Taker
from byjy_ops.demo.venue import Venue
from byjy_ops.progress import progress
from projections import TRADING, Projector

DEFAULT_EVENTS = 25_000
"""About 20 seconds at the pace of the venue, which two cores follow with ease."""

DEFAULT_SEED = 1

MAKERS, TAKERS = 3, 1
"""Strategies for each market and account."""

BOOKS_DIFFER = 1
INTERRUPTED = 130

WATCH_SECONDS = 0.05
SETTLE_SECONDS = 60.0


def run_demo(
    events: int = DEFAULT_EVENTS,
    seed: int = DEFAULT_SEED,
    database: str | None = None,
    console: Console | None = None,
) -> int:
    """Run the simulated engine until about so many events are stored, and print a summary.

    Args:
        events: stored at least; orders that are at work then are brought to their end.
        seed: decides what the strategies and the venue do; when they do it depends on the machine.
        database: a URL; None: a new SQLite file in a temporary folder, which stays.

    Returns:
        The exit status: 0; 1: tables and venue do not agree; 130: interrupted by Ctrl-C.

    Raises:
        LogNotEmpty: the database holds events; it was left as it is.
        InvalidDatabaseUrl, SchemaMismatch: see ``EventLog.open``.
    """
    console = Console(markup=False, highlight=False) if console is None else console
    url = f"sqlite:///{Path(tempfile.mkdtemp(prefix='byjy-demo-')) / 'demo.db'}" if database is None else database
    try:
        return asyncio.run(_session(events, seed, url, console))
    except ExceptionGroup as group:
        raise _first(group) from group
    except KeyboardInterrupt:
        console.print(f"Interrupted. What was acknowledged is stored in {url}", style="yellow", soft_wrap=True)
        return INTERRUPTED


def _first(error: Exception) -> Exception:
    """What ended a group of tasks; the others were only cancelled."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _session(events: int, seed: int, url: str, console: Console) -> int:
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(EventLog.open(url, actor="engine"))
        if head := await log.head():
            raise LogNotEmpty(log.url, head)
        console.print(f"A simulated engine, seed {seed}, {events:,} events, on\n{log.url}", soft_wrap=True)
        projector = await stack.enter_async_context(Projector(log, TRADING))
        venue = Venue(seed)
        engine = await _traded(log, projector, venue, events, seed)
        await projector.wait_for(await log.head(), timeout_seconds=SETTLE_SECONDS)
        found = await disagreements(projector.queries, venue.ledger)
        await print_report(console, log, projector.queries, venue, engine.measurements, found)
        return BOOKS_DIFFER if found else 0


async def _traded(log: EventLog, projector: Projector, venue: Venue, events: int, seed: int) -> Engine:
    """Let the strategies trade until it is enough, and hear the venue out."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as background:
        engine = Engine(log, projector, venue, background)
        await engine.list_markets()
        for account in ACCOUNTS:
            background.create_task(engine.listen(account))
        watching = background.create_task(_watch(engine, events, enough))
        async with asyncio.TaskGroup() as trading:
            for strategy in _strategies(engine, seed):
                trading.create_task(strategy.run(enough))
        await venue.close()
        await watching
    engine.measurements.finish()
    return engine


def _strategies(engine: Engine, seed: int) -> list[Strategy]:
    places = [(market, account) for market in MARKETS for account in ACCOUNTS]
    kinds: list[type[Strategy]] = [MarketMaker] * MAKERS + [Taker] * TAKERS
    return [
        kind(engine, market, account, number, seed)
        for number, (kind, (market, account)) in enumerate(((kind, place) for kind in kinds for place in places), 1)
    ]


async def _watch(engine: Engine, events: int, enough: asyncio.Event) -> None:
    """Show how far it is, and say when it is enough."""
    with progress("trading", events) as show:
        while engine.measurements.events < events:
            show(engine.measurements.events)
            await asyncio.sleep(WATCH_SECONDS)
    enough.set()

"""Exports hold what the database holds, of one moment, whatever the format and however they are chosen."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from byjy_events import NO_STREAM, Entry, EventLog, Recorded
from byjy_events.errors import CorruptLog
from byjy_events.identifiers import derived_id, new_order_id
from byjy_events.schema import SCHEMA_REVISION, events
from byjy_events.stream import ORDER, PAIR, order_stream
from byjy_events.vocabulary.orders import OrderAccepted, OrderDenied, OrderFilled, Side
from byjy_ops.errors import InvalidArgument
from byjy_ops.exporting import Filters, Format, Kind, Manifest, check, export, manifest_path, read_manifest
from byjy_ops.exporting.columns import LAYOUTS
from byjy_ops.exporting.exporter import ALL
from byjy_ops.exporting.table_rows import live_rows
from projections import TRADING, GroupOutdated, GroupRebuilding, Instant, InvalidMoment, catch_up
from projections.checkpoints import projection_checkpoints
from projections.tables import trading_pairs
from tests.exported import Rows, comparable, nanoseconds, read_back
from tests.lifecycles import BTC, ETH, lifecycles
from tests.rows import writable_engine
from tests.sample_events import ID, SAMPLES, placed
from tests.story import tell_lives

TABLES = [Kind.ORDERS, Kind.TRADES, Kind.POSITIONS, Kind.ANOMALIES]
ODD = 'a "reason", with\r\ntwo lines\u2028and =1+1'


@pytest.fixture
async def filled(database: str) -> str:
    """A log with the lives of some orders, every type of event with every field set, and odd texts; all projected."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=1, orders=25)
        order = order_stream(new_order_id())
        await log.append(order, [placed(), OrderDenied(reason=ODD)], actor="strategy:mm-1", correlation_id=ID)
        for event in SAMPLES.values():
            await log.append(order_stream(new_order_id()), [event], actor="venue's feed", causation_id=ID)
        await catch_up(log, TRADING)
    return database


async def stored(url: str, kind: Kind) -> Rows:
    """What a plain query finds, in the order of the export, with the names of pairs where it has them."""
    layout = LAYOUTS[kind]
    async with EventLog.open(url, read_only=True) as log, log.engine.connect() as connection:
        rows = [comparable(row) for row in await connection.execute(sa.select(layout.table))]
        found = (await connection.execute(sa.select(trading_pairs))).all()
    names = {str(row.id): (row.exchange, row.symbol) for row in found}
    for row in rows:
        if "trading_pair_id" in row:
            exchange, row["symbol"] = names.get(row["trading_pair_id"], (None, None))
            row.setdefault("exchange", exchange)
        if "payload" in row:
            row["payload"] = bytes.fromhex(row["payload"]).decode()
    return sorted(rows, key=lambda row: [row[name] for name in layout.key])


async def exported(
    url: str, kind: Kind, path: Path, filters: Filters = ALL, as_of: Any = None
) -> tuple[Manifest, Rows]:
    """An export that holds by its check, and its rows."""
    async with EventLog.open(url, read_only=True) as log:
        manifest = await export(log, kind, path, filters=filters, as_of=as_of, force=True)
    verdict = check(path)
    assert (verdict.problems, verdict.rows, verdict.manifest) == ((), manifest.rows, manifest)
    return manifest, read_back(path, manifest.columns)


async def test_every_format_holds_what_the_database_holds(filled: str, tmp_path: Path) -> None:
    """Every row with every column, in the order of the key, by readers that are not ours."""
    for kind in list(Kind):
        expected = await stored(filled, kind)
        assert len(expected) >= 6
        async with EventLog.open(filled, read_only=True) as log:
            head = await log.head()
        position = LAYOUTS[kind].position
        for file_format in Format:
            path = tmp_path / f"rows.{file_format}"
            manifest, rows = await exported(filled, kind, path)
            assert rows == [{column.name: row[column.name] for column in manifest.columns} for row in expected]
            assert (manifest.rows, manifest.size) == (len(expected), path.stat().st_size)
            positions = [row[position] for row in expected]
            told = manifest.positions
            assert (told.first, told.last, told.as_of, told.head) == (min(positions), max(positions), head, head)
            assert manifest.group == (None if kind is Kind.EVENTS else told_group(manifest))
            assert (manifest.schema_revision, manifest.checkpoint) == (SCHEMA_REVISION, None)
            assert nanoseconds(manifest.created_at) >= max(row[LAYOUTS[kind].time] for row in expected)
            assert read_manifest(manifest_path(path)) == manifest


def told_group(manifest: Manifest) -> Any:
    assert manifest.group is not None
    assert (manifest.group.name, manifest.group.version) == (TRADING.name, TRADING.version)
    return manifest.group


async def test_payloads_are_the_stored_bytes(filled: str, tmp_path: Path) -> None:
    """Not JSON made of JSON: whoever hashes them gets the leaf hash."""
    _, rows = await exported(filled, Kind.EVENTS, tmp_path / "events.jsonl")
    async with EventLog.open(filled, read_only=True) as log:
        payloads = [recorded.payload async for recorded in log.read()]
    assert [row["payload"].encode() for row in rows] == payloads
    assert ODD in {json.loads(payload).get("reason") for payload in payloads}


async def test_the_past_is_exported_as_it_was_then(database: str, tmp_path: Path) -> None:
    """To the byte what was exported then; by position, by instant, and of one pair."""
    of_pair = Filters(pair="binance:BTCUSDT")
    async with EventLog.open(database) as log:

        async def sums(filters: Filters = ALL, as_of: Any = None) -> dict[Kind, str]:
            """The hashes of exports of everything."""
            made = {}
            for kind in Kind:
                path = tmp_path / f"{kind}.jsonl"
                manifest = await export(log, kind, path, filters=filters, as_of=as_of, force=True)
                assert manifest.rows or filters is of_pair
                assert check(path).holds
                made[kind] = manifest.sha256
            return made

        position = await tell_lives(log, seed=1, orders=30)
        await catch_up(log, TRADING)
        recorded_at = [one.recorded_at async for one in log.read(after=position - 1)]
        then, then_of_pair = await sums(), await sums(of_pair)
        await tell_lives(log, seed=2, orders=30)
        await catch_up(log, TRADING)
        now = await sums()
        assert all(now[kind] != then[kind] for kind in Kind)
        assert await sums(as_of=position) == then == await sums(as_of=Instant(recorded_at[0]))
        assert await sums(of_pair, as_of=position) == then_of_pair != then


async def test_before_the_first_event_there_is_nothing(filled: str, tmp_path: Path) -> None:
    """An export without rows is one too, in every format."""
    for kind, file_format in zip([Kind.EVENTS, Kind.ORDERS, Kind.ANOMALIES], Format, strict=True):
        manifest, rows = await exported(filled, kind, tmp_path / f"none.{file_format}", as_of=0)
        assert (manifest.rows, rows, manifest.positions.first, manifest.positions.last) == (0, [], None, None)


async def test_exports_one_after_the_other_hold_every_row_once(filled: str, tmp_path: Path) -> None:
    """What one is asked for until, the next has since."""
    for kind in list(Kind):
        path, time = tmp_path / "rows.csv", LAYOUTS[kind].time
        expected = await stored(filled, kind)
        times = sorted({row[time] for row in expected})
        cuts = [None, times[len(times) // 3], times[len(times) // 2] + 1, times[-1], None]
        found: Rows = []
        for since, until in itertools.pairwise(cuts):
            _, rows = await exported(filled, kind, path, Filters(since, until))
            assert all((since is None or row[time] >= since) and (until is None or row[time] < until) for row in rows)
            found += rows
        key = LAYOUTS[kind].key
        assert sorted([row[name] for name in key] for row in found) == [[row[name] for name in key] for row in expected]


async def test_rows_of_a_pair_and_of_an_account(filled: str, tmp_path: Path) -> None:
    """By the name of the pair; and both at once."""
    for kind in TABLES:
        path, expected = tmp_path / "rows.jsonl", await stored(filled, kind)
        _, of_pair = await exported(filled, kind, path, Filters(pair=ETH.symbol))
        assert of_pair == [row for row in expected if row["symbol"] == ETH.symbol] != []
        if kind is not Kind.ANOMALIES:
            manifest, of_both = await exported(filled, kind, path, Filters(pair="kucoin:ETH-BTC", account="second"))
            assert of_both == [row for row in of_pair if row["account"] == "second"] != []
            assert (manifest.filters.pair, manifest.filters.account) == ("kucoin:ETH-BTC", "second")


async def test_rows_of_an_actor(filled: str, tmp_path: Path) -> None:
    """Who appended the event, the first event of the order, the fill, or the odd event; as it was then too."""
    for kind in [Kind.EVENTS, Kind.ORDERS, Kind.TRADES, Kind.ANOMALIES]:
        expected, of_event = (
            await stored(filled, kind),
            {row["position"]: row for row in await stored(filled, Kind.EVENTS)},
        )
        began = {row["stream_id"]: row["actor"] for row in of_event.values() if row["stream_version"] == 1}
        head = max(of_event)
        for actor in ("engine", "venue's feed", "strategy:mm-1", "nobody"):
            wanted = [
                row for row in expected
                if (began[row["id"]] if kind is Kind.ORDERS else of_event[row["position"]]["actor"]) == actor
            ]  # fmt: skip
            for as_of in (None, head) if actor == "engine" else (None,):
                _, rows = await exported(filled, kind, tmp_path / "rows.jsonl", Filters(actor=actor), as_of)
                assert rows == wanted, actor
        assert {*began.values()} == {"engine", "venue's feed", "strategy:mm-1"}


def about(pair: Any, log: Sequence[Recorded]) -> list[int]:
    """The positions of events about a pair, with the whole log in sight."""
    of_order: dict[UUID, Any] = {}
    for recorded in log:
        named = getattr(recorded.event, "pair", None)
        if recorded.category == ORDER and named is not None:
            of_order.setdefault(recorded.stream_id, named)
    return [
        one.position
        for one in log
        if getattr(one.event, "pair", None) == pair
        or (one.category == PAIR and one.stream_id == pair.id)
        or of_order.get(one.stream_id) == pair
    ]


@pytest.mark.parametrize("kept", [1, 1000])
async def test_events_of_a_pair(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Those that name it, and those of its orders; however few orders are remembered, and wherever it begins."""
    monkeypatch.setattr("byjy_ops.exporting.order_pairs.ORDERS_KEPT", kept)
    monkeypatch.setattr("byjy_ops.exporting.event_rows.CHUNK_EVENTS", 20)
    silent = SAMPLES["OrderCancelRequested"]
    of_btc = OrderAccepted(pair=BTC, account="main", exchange_order_id="1")
    of_eth = OrderAccepted(pair=ETH, account="main", exchange_order_id="1")
    late, torn = order_stream(new_order_id()), order_stream(new_order_id())
    async with EventLog.open(filled) as log:
        await log.append(late, [silent])  # which pair it is of, nobody tells yet
        await log.append(torn, [silent, of_btc])
        await log.append(order_stream(new_order_id()), [silent])  # nobody ever tells
        since = (await log.append(torn, [of_eth, silent])).events[0]
        then = await log.append(late, [silent])
        await log.append(late, [msgspec.structs.replace(of_eth, exchange_order_id="2")])
        whole = [recorded async for recorded in log.read()]
    for pair in (BTC, ETH):
        for as_of in (then.position, whole[-1].position):
            filters = Filters(pair=f"{pair.exchange}:{pair.symbol}")
            expected = about(pair, whole[:as_of])
            _, rows = await exported(filled, Kind.EVENTS, tmp_path / "rows.jsonl", filters, as_of)
            assert [row["position"] for row in rows] == expected
            filters = filters._replace(since=since.recorded_at)
            _, rows = await exported(filled, Kind.EVENTS, tmp_path / "rows.jsonl", filters, as_of)
            assert [row["position"] for row in rows] == [one for one in expected if one >= since.position] != []


@pytest.mark.parametrize("kind", TABLES)
async def test_a_table_is_of_one_moment(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Though projectors go on while it is exported, page by page."""
    monkeypatch.setattr("byjy_ops.exporting.table_rows.PAGE_ROWS", 3)
    async with EventLog.open(database) as log:
        position = await tell_lives(log, seed=1, orders=40)
        await catch_up(log, TRADING)
        expected = await export(log, kind, tmp_path / "before.jsonl")
        async with live_rows(log, kind, Filters()) as source:
            pages = [await anext(source.chunks)]
            await tell_lives(log, seed=2, orders=40)
            await catch_up(log, TRADING)
            pages += [page async for page in source.chunks]
        after = await export(log, kind, tmp_path / "after.jsonl")
    assert (source.as_of, source.head) == (position, position)
    index = [column.name for column in LAYOUTS[kind].columns].index(LAYOUTS[kind].position)
    assert sum(len(page[index]) for page in pages) == expected.rows
    assert max(max(page[index]) for page in pages) == expected.positions.last
    assert after.sha256 != expected.sha256
    assert after.positions.as_of > position


async def test_names_in_any_script_are_in_the_order_of_their_bytes(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On both databases, so that pages neither overlap nor leave rows out."""
    monkeypatch.setattr("byjy_ops.exporting.table_rows.PAGE_ROWS", 2)
    accounts = ["b", "B", "a", "_a", "a-b", "aB", "ä", "é", "z", "Z", "~", " ", "😀", "\uffff"]
    async with EventLog.open(database) as log:
        for number, account in enumerate(accounts):
            fill = OrderFilled(
                pair=BTC, account=account, exchange_order_id=str(number), execution_id="1", side=Side.BUY,
                quantity=Decimal(1), price=Decimal(2),
            )  # fmt: skip
            await log.append(order_stream(new_order_id()), [fill])
        await catch_up(log, TRADING)
    _, rows = await exported(database, Kind.POSITIONS, tmp_path / "rows.jsonl")
    assert [row["account"] for row in rows] == sorted(accounts)


async def test_both_databases_give_the_same_file(
    database: str, migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte: the same events, the same rows, the same spelling."""
    monkeypatch.setattr("byjy_ops.exporting.table_rows.PAGE_ROWS", 7)
    shutil.copyfile(migrated_file, tmp_path / "other.db")
    sums: list[dict[str, str]] = []
    for url in (database, f"sqlite:///{tmp_path / 'other.db'}"):
        async with EventLog.open(url) as log:
            for number, (stream, event) in enumerate(lifecycles(1, 30)):
                entry = Entry(event, received_at=number * 7, event_id=derived_id("event", str(number)))
                await log.append(stream, [entry])
            await catch_up(log, TRADING)
            made = {
                f"{kind}.{one}": await export(log, kind, tmp_path / f"{kind}.{one}", force=True)
                for kind in (Kind.ORDERS, Kind.TRADES, Kind.POSITIONS)
                for one in Format
            }
            assert all(manifest.rows for manifest in made.values())
            sums.append({name: manifest.sha256 for name, manifest in made.items()})
    assert sums[0] == sums[1]


async def test_tables_behind_the_log_say_so(filled: str, tmp_path: Path) -> None:
    """They are exported as they are; as of the head they are folded, and exact."""
    path = tmp_path / "orders.jsonl"
    async with EventLog.open(filled) as log:
        before = await log.head()
        new = new_order_id()
        receipt = await log.append(order_stream(new), [placed()], expected=NO_STREAM)
    manifest, rows = await exported(filled, Kind.ORDERS, path)
    assert (manifest.positions.as_of, manifest.positions.head) == (before, receipt.position)
    assert str(new) not in {row["id"] for row in rows}
    manifest, rows = await exported(filled, Kind.ORDERS, path, as_of=receipt.position)
    assert manifest.positions.as_of == manifest.positions.last == receipt.position
    assert str(new) in {row["id"] for row in rows}


async def test_tables_that_nobody_projected_are_of_position_0(database: str, tmp_path: Path) -> None:
    """Not an error: the manifest tells."""
    async with EventLog.open(database) as log:
        await log.append(order_stream(new_order_id()), [placed()])
    manifest, rows = await exported(database, Kind.ORDERS, tmp_path / "orders.csv")
    assert (rows, manifest.positions.as_of, manifest.positions.head) == ([], 0, 1)


@pytest.mark.parametrize(
    ("values", "error"), [({"status": "REBUILDING"}, GroupRebuilding), ({"version": "other"}, GroupOutdated)]
)
async def test_tables_of_no_one_truth_are_refused(
    filled: str, tmp_path: Path, values: dict[str, Any], error: type[Exception]
) -> None:
    """Half rebuilt, or of other projections: nothing is written. The log has their past all the same."""
    engine = writable_engine(filled)
    async with engine.begin() as connection:
        await connection.execute(sa.update(projection_checkpoints).values(**values))
    await engine.dispose()
    path = tmp_path / "orders.jsonl"
    async with EventLog.open(filled, read_only=True) as log:
        with pytest.raises(error):
            await export(log, Kind.ORDERS, path)
        assert left(tmp_path, path) == []
        assert (await export(log, Kind.ORDERS, path, as_of=await log.head())).rows


async def test_an_altered_event_is_not_exported(filled: str, tmp_path: Path) -> None:
    """It is named, and nothing is left of the file."""
    engine = writable_engine(filled)
    disarm = {"sqlite": "DROP TRIGGER events_no_update", "postgresql": "ALTER TABLE events DISABLE TRIGGER ALL"}
    async with engine.begin() as connection:
        await connection.exec_driver_sql(disarm[engine.dialect.name])
        await connection.execute(sa.update(events).where(events.c.position == 17).values(actor="somebody else"))
    await engine.dispose()
    path = tmp_path / "events.parquet"
    async with EventLog.open(filled, read_only=True) as log:
        with pytest.raises(CorruptLog) as raised:
            await export(log, Kind.EVENTS, path)
    assert raised.value.position == 17
    assert left(tmp_path, path) == []


async def test_what_makes_no_sense_is_refused(filled: str, tmp_path: Path) -> None:
    """By the name of the argument, and without a file."""
    path = tmp_path / "rows.jsonl"
    async with EventLog.open(filled, read_only=True) as log:
        for kind, filters, argument in (
            (Kind.EVENTS, Filters(account="main"), "--account"),
            (Kind.ANOMALIES, Filters(account="main"), "--account"),
            (Kind.POSITIONS, Filters(actor="engine"), "--actor"),
            (Kind.ORDERS, Filters(pair="nosuch"), "--pair"),
            (Kind.EVENTS, Filters(pair="nosuch"), "--pair"),
        ):
            with pytest.raises(InvalidArgument) as raised:
                await export(log, kind, path, filters=filters)
            assert raised.value.argument == argument
        for when in (10**6, -1, datetime(2026, 1, 1)):  # noqa: DTZ001 - that is what is refused
            with pytest.raises(InvalidMoment):
                await export(log, Kind.EVENTS, path, as_of=when)
        with pytest.raises(ValueError, match="candles"):
            await export(log, "candles", path)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        assert (await export(log, "events", path, as_of=tomorrow)).positions.as_of == await log.head()
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    assert left(tmp_path, manifest_path(path)) == [manifest_path(path).name]


def left(folder: Path, path: Path) -> list[str]:
    """What lies in a folder of an export."""
    return sorted(one.name for one in folder.iterdir() if path.name.partition(".")[0] in one.name)

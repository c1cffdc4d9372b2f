"""The check of an export finds what was changed, and names the first wrong row; it needs no database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from byjy_events import EventLog
from byjy_events.identifiers import new_order_id
from byjy_events.stream import order_stream
from byjy_ops.exporting import (
    Column,
    Filters,
    Format,
    Kind,
    Manifest,
    NotCheckable,
    check,
    export,
    manifest_path,
    read_manifest,
)
from byjy_ops.exporting.formats import rows_of, writer_of
from byjy_ops.exporting.manifest import encoded
from projections import TRADING, catch_up
from tests.lifecycles import lifecycles
from tests.sample_events import ID, placed
from tests.story import tell

SEED = 20_260_101
OTHERS: dict[str, Any] = {
    "integer": 7, "text": "other", "uuid": str(ID), "instant": 7, "decimal": None, "flag": True, "hash": "0" * 64
}  # fmt: skip

Change = Callable[[list[list[Any]]], Any]


class Exported(NamedTuple):
    """A file and its manifest, and where the source of it was, which is not there any more."""

    path: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def folder(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of everything in every format; the database is gone."""
    folder = tmp_path_factory.mktemp("exports")
    database = folder / "log.db"
    database.write_bytes(migrated_file.read_bytes())

    async def work() -> None:
        async with EventLog.open(f"sqlite:///{database}") as log:
            await tell(log, lifecycles(1, 25), at_once=20)
            await log.append(order_stream(new_order_id()), [placed()], actor="strategy:mm-1", correlation_id=ID)
            await catch_up(log, TRADING)
            middle = [one.recorded_at async for one in log.read()][60]
            for file_format in Format:
                for kind in Kind:
                    await export(log, kind, folder / f"{kind}.{file_format}")
                for name, filters in (
                    ("since", Filters(since=middle)),
                    ("until", Filters(until=middle)),
                    ("pair", Filters(pair="BTCUSDT")),
                    ("actor", Filters(actor="engine")),
                ):
                    await export(log, Kind.EVENTS, folder / f"{name}.{file_format}", filters=filters)
                account = Filters(account="main", pair="BTCUSDT")
                await export(log, Kind.ORDERS, folder / f"account.{file_format}", filters=account)

    asyncio.run(work())
    for path in folder.glob("log.db*"):
        path.unlink()
    return folder


def changed(
    folder: Path, name: str, tmp_path: Path, change: Change, manifest: dict[str, Any] | None = None
) -> Exported:
    """A copy of an export whose rows were changed by somebody who mended size, hash and number of rows, too."""
    told = read_manifest(manifest_path(folder / name))
    rows = [list(row.values) for row in rows_of(told.format, folder / name, told.columns)]
    change(rows)
    path = tmp_path / name
    with path.open("wb") as file:
        writer = writer_of(told.format, file, told.columns)
        if rows:
            writer.write(list(zip(*rows, strict=True)))
        writer.close()
    data = path.read_bytes()
    mended = {"sha256": sha256(data).hexdigest(), "size": len(data), "rows": len(rows), **(manifest or {})}
    told = msgspec.structs.replace(told, **mended)
    manifest_path(path).write_bytes(encoded(told))
    return Exported(path, told)


def column(told: Manifest, name: str) -> int:
    """The index of a column."""
    return [one.name for one in told.columns].index(name)


def place(file_format: Format, row: int) -> str:
    """What a check calls a row, counted from 0, where every row has a line."""
    return {Format.JSONL: f"line {row + 1}", Format.CSV: f"line {row + 2}", Format.PARQUET: f"row {row + 1}"}[
        file_format
    ]


@pytest.mark.parametrize("file_format", list(Format))
def test_what_was_exported_holds(folder: Path, tmp_path: Path, file_format: Format) -> None:
    """Everything as it is, and as the test itself writes it, so that what follows is found by nothing else."""
    paths = sorted(folder.glob(f"*.{file_format}"))
    assert len(paths) == 10
    for path in paths:
        verdict = check(path)
        assert (verdict.holds, verdict.problems) == (True, ())
        assert verdict.rows == verdict.manifest.rows > 0
        assert check(changed(folder, path.name, tmp_path, lambda rows: None).path).holds


@pytest.mark.parametrize("file_format", list(Format))
def test_any_value_of_an_event_is_proved_by_its_leaf_hash(folder: Path, tmp_path: Path, file_format: Format) -> None:
    """Whoever changes one is found, by the row, though size and hash were mended."""
    names = [f"{name}.{file_format}" for name in ("events", "actor")]
    dice = random.Random(SEED)
    for name in names:
        told = read_manifest(manifest_path(folder / name))
        for index, one in enumerate(told.columns):
            row = dice.randrange(told.rows)

            def change(rows: list[list[Any]], row: int = row, index: int = index, one: Column = one) -> None:
                rows[row][index] = None if one.nullable and rows[row][index] is not None else OTHERS[one.type]

            verdict = check(changed(folder, name, tmp_path, change).path)
            assert [problem.place for problem in verdict.problems] == [place(file_format, row)], one.name
            assert verdict.rows == row


@pytest.mark.parametrize("file_format", list(Format))
@pytest.mark.parametrize(
    ("name", "change", "row", "reason"),
    [
        ("events", lambda rows: rows.pop(17), 17, "position: 19 follows where 18 should"),
        ("events", lambda rows: rows.pop(0), 0, "position: 2 follows where 1 should"),
        ("events", lambda rows: rows.insert(17, rows[16]), 17, "position: 17 follows where 18 should"),
        ("events", lambda rows: rows.insert(3, rows.pop(9)), 3, "position: 10 follows where 4 should"),
        ("events", lambda rows: rows.pop(), None, ", and the export is as of"),
        ("events", lambda rows: rows.clear(), None, "the first position is None, the manifest says 1"),
        ("since", lambda rows: rows.pop(17), 17, "follows where"),
        ("since", lambda rows: rows.pop(0), None, "the first position is"),
        ("until", lambda rows: rows.pop(), None, "the last position is"),
        ("pair", lambda rows: rows.insert(3, rows[2]), 3, "position: not behind the row before"),
        ("orders", lambda rows: rows.insert(3, rows.pop(9)), 4, "created_at, id: not behind the row before"),
        ("trades", lambda rows: rows.insert(3, rows[2]), 3, "executed_at, position: not behind the row before"),
        ("positions", lambda rows: rows.reverse(), 1, "not behind the row before"),
        ("anomalies", lambda rows: rows.append(rows[-1]), -1, "position, kind: not behind the row before"),
    ],
)
def test_rows_that_are_missing_or_elsewhere(
    folder: Path, tmp_path: Path, file_format: Format, name: str, change: Change, row: int | None, reason: str
) -> None:
    """Are found by their keys and by the positions that the manifest tells."""
    exported = changed(folder, f"{name}.{file_format}", tmp_path, change)
    (problem,) = [one for one in check(exported.path).problems if reason in str(one)]
    row = exported.manifest.rows - 1 if row == -1 else row
    assert problem.place == (None if row is None else place(file_format, row))


def setting(name: str, value: Any) -> Callable[[Manifest, Sequence[list[Any]]], None]:
    def change(told: Manifest, rows: Sequence[list[Any]]) -> None:
        rows[2][column(told, name)] = value

    return change


@pytest.mark.parametrize("file_format", list(Format))
@pytest.mark.parametrize(
    ("name", "column_name", "value", "reason"),
    [
        ("account", "account", "other", "account: 'other', and 'main' was asked for"),
        ("account", "trading_pair_id", str(ID), f"trading_pair_id: '{ID}', and"),
        ("account", "last_position", 10**9, "last_position: 1000000000 is not between 1 and"),
        ("orders", "last_position", 0, "last_position: 0 is not between 1 and"),
    ],
)
def test_rows_that_nobody_asked_for(
    folder: Path, tmp_path: Path, file_format: Format, name: str, column_name: str, value: Any, reason: str
) -> None:
    """Of another account, another pair, or of no position of the log then."""
    told = read_manifest(manifest_path(folder / f"{name}.{file_format}"))
    change = setting(column_name, value)
    exported = changed(folder, f"{name}.{file_format}", tmp_path, lambda rows: change(told, rows))
    (problem,) = check(exported.path).problems
    assert (problem.place, reason in problem.reason) == (place(file_format, 2), True)


@pytest.mark.parametrize("file_format", list(Format))
def test_a_manifest_that_tells_other_than_the_file(folder: Path, tmp_path: Path, file_format: Format) -> None:
    """Each number of it is held against the rows."""
    name = f"events.{file_format}"
    told = read_manifest(manifest_path(folder / name))
    positions = told.positions
    late = msgspec.structs.replace(told.filters, since="2100-01-01T00:00:00.000000000Z")
    early = msgspec.structs.replace(told.filters, until="1999-01-01T00:00:00.000000000Z")
    for values, reason in (
        ({"rows": told.rows + 1}, f"{told.rows} rows, the manifest says {told.rows + 1}"),
        ({"size": told.size + 1}, f"{told.size} bytes, the manifest says {told.size + 1}"),
        ({"sha256": "0" * 64}, f"sha256 is {told.sha256}, the manifest says {'0' * 64}"),
        ({"positions": msgspec.structs.replace(positions, first=2)}, "the first position is 1, the manifest says 2"),
        ({"positions": msgspec.structs.replace(positions, last=2)}, "the manifest says 2"),
        ({"positions": msgspec.structs.replace(positions, as_of=positions.as_of + 1)}, "and the export is as of"),
        ({"positions": msgspec.structs.replace(positions, as_of=5)}, "position: 6 is not between 1 and 5"),
        ({"filters": late}, "is before 2100-01-01"),
        ({"filters": early}, "is not before 1999-01-01"),
        ({"filters": msgspec.structs.replace(told.filters, actor="nobody")}, "and 'nobody' was asked for"),
    ):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
        manifest_path(tmp_path / name).write_bytes(encoded(msgspec.structs.replace(told, **values)))
        assert reason in "\n".join(map(str, check(tmp_path / name).problems)), values


@pytest.mark.parametrize("file_format", list(Format))
def test_any_bit_of_a_file_is_proved_by_its_hash(folder: Path, tmp_path: Path, file_format: Format) -> None:
    """Flipped, cut off, added: it is found, and whatever becomes unreadable raises nothing."""
    dice = random.Random(SEED)
    for kind in (Kind.EVENTS, Kind.TRADES):
        name = f"{kind}.{file_format}"
        whole, path = (folder / name).read_bytes(), tmp_path / name
        manifest_path(path).write_bytes(manifest_path(folder / name).read_bytes())
        for _ in range(40):
            at = dice.randrange(len(whole))
            flipped = whole[:at] + bytes([whole[at] ^ 1 << dice.randrange(8)]) + whole[at + 1 :]
            for wrong in (flipped, whole[:at], whole[:at] + whole[at + 1 :]):
                path.write_bytes(wrong)
                assert check(path).problems[0].place is None
        path.write_bytes(whole + b"\n")
        assert "bytes, the manifest says" in check(path).problems[0].reason
        path.write_bytes(whole)
        assert check(path).holds


def test_what_cannot_be_checked_is_an_error_of_its_own(folder: Path, tmp_path: Path) -> None:
    """No file, no manifest, one that is none, of a newer version, or that tells of other columns than it may."""
    path = tmp_path / "events.jsonl"
    with pytest.raises(NotCheckable, match=r"events\.jsonl\.manifest\.json: No such file"):
        check(path)
    good = manifest_path(folder / "events.jsonl").read_bytes()
    manifest_path(path).write_bytes(good)
    with pytest.raises(NotCheckable, match=r"events\.jsonl: No such file"):
        check(path)
    path.write_bytes(b"")
    for before, after, reason in (
        (b'"kind": "events"', b'"kind": "candles"', "no manifest"),
        (b'"rows"', b'"lines"', "no manifest"),
        (b"{", b"", "no manifest"),
        (b'"manifest_version": 1', b'"manifest_version": 2', "manifest of version 2, this program knows 1"),
        (b'"leaf_hash"', b'"leaf"', "column leaf_hash is missing"),
        (b'"leaf_hash"', b'"actor"', "a column is named twice"),
        (b'"hash"', b'"text"', "column leaf_hash is missing or of another type"),
        (b'"account": null', b'"account": "main"', "events cannot be filtered by account"),
        (b'"since": null', b'"since": "today"', "filter since: 'today' is no instant"),
        (b"events.jsonl", b"\xff", "no manifest"),
        (b"events.jsonl", b"x" * (1 << 20), "longer than"),
    ):
        assert before in good
        manifest_path(path).write_bytes(good.replace(before, after, 1))
        with pytest.raises(NotCheckable, match=reason):
            check(path)
    verdict = check(folder / "orders.csv", manifest_path(folder / "trades.csv"))
    assert verdict.problems[-1].reason.startswith("not the header id, order_id")

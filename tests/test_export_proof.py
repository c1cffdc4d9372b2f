"""Exported events are proved to be the log's own by its signed checkpoint; who lacks the signing key forges none."""

from __future__ import annotations

import base64
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from byjy_events import EventLog
from byjy_events.database import open_engine, parse_url
from byjy_events.proof.checkpoint import Checkpoint, signed_checkpoint
from byjy_events.proof.errors import HistoryChanged, ProofBroken
from byjy_events.proof.merkle import Span, consistency_spans, root_of, subtrees_of
from byjy_events.proof.note import Signer
from byjy_events.schema import events
from byjy_ops.errors import InvalidArgument
from byjy_ops.exporting import (
    Covered,
    Filters,
    Format,
    Kind,
    Manifest,
    RangeProof,
    check,
    export,
    manifest_path,
    sealed_position,
)
from byjy_ops.exporting.formats import rows_of, writer_of
from byjy_ops.exporting.manifest import encoded
from byjy_ops.exporting.range_proof import Neighbours
from byjy_ops.exporting.row_checks import leaf
from projections import TRADING, catch_up
from tests.sample_events import placed
from tests.tamper.sealed import EVENTS, ORIGIN, SIZES, Sealed, sealed_log, unguarded

OTHER = Signer.new(ORIGIN)


@pytest.fixture
async def sealed(database: str) -> Sealed:
    return await sealed_log(database)


def leaves(count: int) -> list[bytes]:
    return [sha256(bytes([number])).digest() for number in range(count)]


def proof_of(hashes: list[bytes], first: int, last: int) -> RangeProof:
    """By the definition of RFC 6962 alone, from all leaves."""

    def over(spans: list[Span]) -> tuple[str, ...]:
        return tuple(base64.b64encode(root_of(hashes[span.start : span.end])).decode() for span in spans)

    before = [Span(one.number << one.level, one.number + 1 << one.level) for one in subtrees_of(Span(0, first - 1))]
    return RangeProof(over(before), over(consistency_spans(last, len(hashes))))


def under(hashes: list[bytes]) -> Checkpoint:
    return signed_checkpoint(len(hashes), root_of(hashes), [OTHER])


def neighbours(hashes: list[bytes], first: int, last: int) -> Neighbours:
    found = Neighbours(first)
    for one in hashes[first - 1 : last]:
        found.add(one)
    return found


def test_any_range_of_any_log_is_proved_and_none_of_another() -> None:
    """All ranges of logs of up to 20 events; not with a leaf or another hash flipped, nor with one event more."""
    for size in range(1, 21):
        hashes = leaves(size)
        checkpoint = under(hashes)
        for first in range(1, size + 1):
            for last in range(first, size + 1):
                proof = proof_of(hashes, first, last)
                neighbours(hashes, first, last).hold_against(checkpoint, proof)
                altered = [*hashes[: last - 1], sha256(b"other").digest(), *hashes[last:]]
                wrong = [(altered, checkpoint, proof), (hashes, under(altered), proof)]
                if first > 1:
                    wrong.append((hashes, checkpoint, proof_of(hashes, 1, last)))
                    wrong.append((hashes, checkpoint, proof_of([altered[last - 1], *hashes[1:]], first, last)))
                for own, its_checkpoint, its_proof in wrong:
                    with pytest.raises(ProofBroken):
                        neighbours(own, first, last).hold_against(its_checkpoint, its_proof)
                if last < size:
                    moved = neighbours(hashes, first, last)
                    moved.add(hashes[last])
                    with pytest.raises(ProofBroken):
                        moved.hold_against(checkpoint, proof)


async def test_what_was_exported_is_proved(sealed: Sealed, tmp_path: Path) -> None:
    """All of the log, its beginning, and what was recorded between two instants, whatever was stored of the tree."""
    path = tmp_path / "events.jsonl"
    async with EventLog.open(sealed.url, read_only=True) as log:
        clocks = [one.recorded_at async for one in log.read()]
        for as_of, filters, first, last in (
            (None, Filters(), 1, EVENTS),
            (SIZES[1], Filters(), 1, SIZES[1]),
            (SIZES[2] + 1, Filters(), 1, SIZES[2] + 1),
            (None, Filters(clocks[SIZES[0]], clocks[SIZES[3]]), SIZES[0] + 1, SIZES[3]),
        ):
            manifest = await export(log, Kind.EVENTS, path, as_of=as_of, filters=filters, force=True)
            assert (manifest.positions.first, manifest.positions.last) == (first, last)
            assert manifest.checkpoint == sealed.notes[-1]
            verdict = check(path, trusted=sealed.trusted)
            assert (verdict.holds, verdict.problems) == (True, ())
            assert verdict.checkpoint == Covered(ORIGIN, EVENTS, verified=True, proves=True)
            assert check(path).checkpoint == Covered(ORIGIN, EVENTS, verified=False, proves=True)


async def test_what_is_not_proved_is_not_said_to_be(sealed: Sealed, tmp_path: Path) -> None:
    """Events with gaps between them, rows of a table, and no rows at all: the checkpoint covers them, and no more."""
    async with EventLog.open(sealed.url) as log:
        await catch_up(log, TRADING)
        for name, kind, filters in (
            ("actor", Kind.EVENTS, Filters(actor="mm-1")),
            ("none", Kind.EVENTS, Filters(since=2**62)),
            ("orders", Kind.ORDERS, Filters()),
        ):
            path = tmp_path / f"{name}.parquet"
            assert (await export(log, kind, path, filters=filters)).proof is None
            verdict = check(path, trusted=sealed.trusted)
            assert verdict.holds
            assert verdict.checkpoint == Covered(ORIGIN, EVENTS, verified=True, proves=False)


async def test_a_log_that_grew_since_it_was_sealed_is_exported_as_of_then(sealed: Sealed, tmp_path: Path) -> None:
    """Up to the head there is no checkpoint that covers it; of a month that is over there is."""
    async with EventLog.open(sealed.url) as log:
        last = [one async for one in log.read()][-1]
        await log.append(last.stream, [placed()])
        newest, sealed_up_to, over = (tmp_path / f"{name}.csv" for name in ("newest", "sealed", "over"))
        assert (await export(log, Kind.EVENTS, newest)).checkpoint is None
        assert await sealed_position(log) == EVENTS
        await export(log, Kind.EVENTS, sealed_up_to, as_of=EVENTS)
        told = await export(log, Kind.EVENTS, over, filters=Filters(until=last.recorded_at + 1))
        assert (told.positions.last, told.positions.as_of) == (EVENTS, EVENTS + 1)
    assert check(newest).holds
    (problem,) = check(newest, trusted=sealed.trusted).problems
    assert problem.reason == "checkpoint: there is none that covers the export"
    for path in (sealed_up_to, over):
        assert check(path, trusted=sealed.trusted).checkpoint == Covered(ORIGIN, EVENTS, verified=True, proves=True)


async def test_a_log_that_was_never_sealed_has_no_position_to_export(database: str) -> None:
    """The error says what makes one."""
    async with EventLog.open(database) as log:
        with pytest.raises(InvalidArgument, match="--as-of: no checkpoint is stored: byjy seal makes one"):
            await sealed_position(log)


Forge = Callable[[list[list[Any]], list[str]], None]


def other_payload(rows: list[list[Any]], names: list[str]) -> None:
    rows[300][names.index("payload")] = rows[300][names.index("payload")].replace("main", "mine")


def other_clock(rows: list[list[Any]], names: list[str]) -> None:
    rows[-1][names.index("recorded_at")] += 1


def swapped(rows: list[list[Any]], names: list[str]) -> None:
    for column in ("event_id", "stream_id", "stream_version", "payload"):
        index = names.index(column)
        rows[3][index], rows[4][index] = rows[4][index], rows[3][index]


@pytest.mark.parametrize(
    ("forge", "file_format"), [(other_payload, Format.JSONL), (other_clock, Format.CSV), (swapped, Format.PARQUET)]
)
async def test_who_recomputes_every_hash_is_found_by_the_checkpoint(
    sealed: Sealed, tmp_path: Path, forge: Forge, file_format: Format
) -> None:
    """Leaf hashes, size and sha256 mended: nothing but the root differs, and that needs no key to be seen."""
    path = tmp_path / f"events.{file_format}"
    async with EventLog.open(sealed.url, read_only=True) as log:
        told = await export(log, Kind.EVENTS, path)
    rows, names, mended = forged(path, told, forge)
    for manifest, reason in (
        (mended, f"checkpoint: the events are not those that {ORIGIN} had when it had {EVENTS}"),
        (msgspec.structs.replace(mended, proof=None), "checkpoint: the way to it is missing"),
        (msgspec.structs.replace(mended, checkpoint=forged_note(rows, names)), "checkpoint: signed by"),
    ):
        manifest_path(path).write_bytes(encoded(manifest))
        (problem,) = check(path, trusted=sealed.trusted).problems
        assert (problem.place, problem.reason[: len(reason)]) == (None, reason)
    manifest_path(path).write_bytes(encoded(mended))
    assert not check(path).holds
    manifest_path(path).write_bytes(encoded(msgspec.structs.replace(mended, checkpoint=None, proof=None)))
    assert check(path).checkpoint is None  # all that is left is to say that nothing vouches for it
    assert not check(path, trusted=sealed.trusted).holds


def forged(path: Path, told: Manifest, forge: Forge) -> tuple[list[list[Any]], list[str], Manifest]:
    """An export whose rows were changed by somebody who mended leaf hashes, size and sha256, too."""
    names = [column.name for column in told.columns]
    rows = [list(row.values) for row in rows_of(told.format, path, told.columns)]
    forge(rows, names)
    for row in rows:
        row[names.index("leaf_hash")] = leaf(dict(zip(names, row, strict=True))).hex()
    with path.open("wb") as file:
        writer = writer_of(told.format, file, told.columns)
        writer.write(list(zip(*rows, strict=True)))
        writer.close()
    data = path.read_bytes()
    return rows, names, msgspec.structs.replace(told, sha256=sha256(data).hexdigest(), size=len(data))


def forged_note(rows: list[list[Any]], names: list[str]) -> str:
    hashes = [bytes.fromhex(row[names.index("leaf_hash")]) for row in rows]
    return signed_checkpoint(len(hashes), root_of(hashes), [Signer.new("example.com/other")]).note


async def test_a_checkpoint_that_was_meddled_with(sealed: Sealed, tmp_path: Path) -> None:
    """Of an earlier log, of another key of the same name, with a letter changed, or no checkpoint; each is named."""
    path = tmp_path / "events.jsonl"
    async with EventLog.open(sealed.url, read_only=True) as log:
        told = await export(log, Kind.EVENTS, path)
        some = await export(log, Kind.EVENTS, tmp_path / "some.jsonl", as_of=EVENTS - 1)
    assert told.checkpoint is not None
    assert some.proof is not None
    again = signed_checkpoint(EVENTS, root_of([bytes(32)] * EVENTS), [OTHER]).note
    for values, reason in (
        ({"checkpoint": sealed.notes[-2]}, f"it covers {SIZES[-2]} events, and the export goes on to {EVENTS}"),
        ({"checkpoint": again}, "signed by"),
        ({"checkpoint": told.checkpoint.replace(f"\n{EVENTS}\n", f"\n{EVENTS + 1}\n")}, "is not of this text"),
        ({"checkpoint": "nothing"}, "has no empty line before its signatures"),
        ({"proof": some.proof}, f"{len(some.proof.after)} hashes are not the way from {EVENTS} to {EVENTS} events"),
        ({"proof": RangeProof((base64.b64encode(bytes(32)).decode(),), ())}, "1 hashes are not over the 0 events"),
        ({"proof": RangeProof((), ("x",))}, "'x' is no hash"),
    ):
        altered = msgspec.structs.replace(told, **values)
        manifest_path(path).write_bytes(encoded(altered))
        (problem,) = check(path, trusted=sealed.trusted).problems
        assert problem.reason.startswith("checkpoint: ")
        assert reason in problem.reason


async def test_a_log_rewritten_with_recomputed_hashes_is_not_exported(sealed: Sealed, tmp_path: Path) -> None:
    """Whoever owns the database can mend the leaf hash; the export is refused, and nothing is left of it."""
    await unguarded(sealed.url)
    engine = open_engine(parse_url(sealed.url), writable=True)
    async with engine.begin() as connection:
        row = (await connection.execute(sa.select(events).where(events.c.position == 300))).one()
        values = {**row._mapping, "payload": row.payload.replace(b"main", b"mine")}
        plain = {name: str(value) if name.endswith("_id") and value else value for name, value in values.items()}
        changed = {"payload": values["payload"], "leaf_hash": leaf({**plain, "payload": values["payload"].decode()})}
        await connection.execute(sa.update(events).where(events.c.position == 300).values(changed))
    await engine.dispose()
    folder = tmp_path / "exports"
    folder.mkdir()
    async with EventLog.open(sealed.url, read_only=True) as log:
        for as_of in (None, 300):
            with pytest.raises(HistoryChanged, match=f"positions 1 to {as_of or EVENTS} do not lead to"):
                await export(log, Kind.EVENTS, folder / "events.csv", as_of=as_of)
    assert not any(folder.iterdir())

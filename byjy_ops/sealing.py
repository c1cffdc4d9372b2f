"""``byjy seal``: signing the log, once or for as long as it runs; and the checkpoints that are stored."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events import EventLog
from byjy_events.proof import AppendedFile, CheckpointPlace, Folder, InvalidNote, Sealer, SigningKeys, StandardOutput
from byjy_events.proof.note import taken_apart
from byjy_events.proof.sealer import EVERY_SECONDS
from byjy_events.proof.tables import tree_checkpoints
from byjy_events.proof.tree import CHECKPOINTS_AT_ONCE, Tree
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells, Column, Listing, emit, tell
from byjy_ops.reading import existing_log, existing_tables
from byjy_ops.signing_key_option import signing_key_file

COLUMNS = (
    Column("size", right=True, width=8),
    Column("created_at", "signed (UTC)", instant=True, width=23),
    Column("root", width=44),
    Column("signed_by", "signed by", written=", ".join),
)


class Places(NamedTuple):
    """Where a command line says that checkpoints are exported to."""

    file: Path | None = None
    folder: Path | None = None
    standard_output: bool = False

    def open(self) -> list[CheckpointPlace]:
        """The places themselves."""
        found: list[CheckpointPlace] = []
        if self.file is not None:
            found.append(AppendedFile(self.file))
        if self.folder is not None:
            found.append(Folder(self.folder))
        return [*found, StandardOutput()] if self.standard_output else found


async def seal(
    database: str, signing_key: Path | None, places: Places, *, follow: bool, every_seconds: float | None
) -> None:
    """Seal the log.

    Raises:
        InvalidArgument: nothing says where the signing key is; or a time between checkpoints, where there is but one.
        InvalidSigningKey: there is no signing key.
        HistoryChanged, CorruptLog, NotSigned, InvalidNote: the log is not what was signed.
        ExportFailed: some place failed, and the command does not follow the log.
    """
    if every_seconds is not None and not follow:
        raise InvalidArgument("--every", "goes with --follow")
    keys = signing_key_file(database, signing_key, "--signing-key").read()
    async with existing_log(database) as log:
        await (_follow(log, keys, places, every_seconds) if follow else _seal_once(log, keys, places))


async def list_checkpoints(database: str, limit: int, *, as_json: bool) -> None:
    """Write stored checkpoints, the newest first, at most ``limit``; 0: all."""
    listing = Listing(COLUMNS, as_json=as_json)
    shown = 0
    async with existing_tables(database) as engine:
        async for rows in _newest_first(engine, limit + 1 if limit else None):
            listing.write([_cells(row) for row in (rows[: limit - shown] if limit else rows)])
            shown += len(rows)
    if limit and shown > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell("nothing found")


async def _seal_once(log: EventLog, keys: SigningKeys, places: Places) -> None:
    async with log.engine.connect() as connection:
        stored = await Tree(connection).checkpoint()
    before = 0 if stored is None else stored.size
    sealed = await Sealer(log, keys, places=places.open()).seal_once()
    size = 0 if sealed is None else sealed.size
    sentence = f"sealed at {size}, {size - before} events more" if size > before else f"sealed at {size} already"
    sentence = sentence if size else "the log is empty, nothing to seal"
    if places.standard_output:
        tell(sentence)
    else:
        emit(f"{sentence}\n")


async def _follow(log: EventLog, keys: SigningKeys, places: Places, every_seconds: float | None) -> None:
    sealer = Sealer(log, keys, places=places.open(), every_seconds=every_seconds or EVERY_SECONDS)
    tell("sealing the log; Ctrl-C ends it")
    await sealer.run()


async def _newest_first(engine: AsyncEngine, limit: int | None) -> AsyncIterator[Sequence[sa.Row[Any]]]:
    """Stored checkpoints in chunks; no snapshot is held between two of them."""
    c = tree_checkpoints.c
    below, left = 2**63 - 1, limit
    while left is None or left > 0:
        chunk = CHECKPOINTS_AT_ONCE if left is None else min(left, CHECKPOINTS_AT_ONCE)
        statement = sa.select(tree_checkpoints).where(c.size < below).order_by(c.size.desc()).limit(chunk)
        async with engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        if rows:
            yield rows
        if len(rows) < chunk:
            return
        below, left = rows[-1].size, None if left is None else left - len(rows)


def _cells(row: sa.Row[Any]) -> Cells:
    return {
        "size": row.size,
        "created_at": row.created_at,
        "root": base64.b64encode(row.root).decode(),
        "signed_by": _signed_by(row.note),
        "note": row.note,
    }


def _signed_by(note: str) -> list[str]:
    try:
        return [f"{name}+{key_id.hex()}" for name, key_id, _ in taken_apart(note)[1]]
    except InvalidNote:
        return []

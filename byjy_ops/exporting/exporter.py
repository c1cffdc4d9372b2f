"""Exporting: the log and its tables into files for others, streamed and exact, with a manifest of what they hold.

Files are written in threads: the event loop of an engine goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from byjy_events.log import EventLog
from byjy_events.schema import SCHEMA_REVISION
from byjy_ops.exporting.columns import LAYOUTS, Chunk, Kind, Layout
from byjy_ops.exporting.covering import covering
from byjy_ops.exporting.destination import Destination
from byjy_ops.exporting.event_rows import event_rows
from byjy_ops.exporting.filters import Filters, refuse_unfit
from byjy_ops.exporting.formats import Format, format_of, writer_of
from byjy_ops.exporting.manifest import Manifest, Positions, encoded, manifest_path
from byjy_ops.exporting.range_proof import Neighbours
from byjy_ops.exporting.source import Progress, Source
from byjy_ops.exporting.spelling import instant_text
from byjy_ops.exporting.table_rows import live_rows, past_rows
from projections import Instant, projections_as_of
from projections.scratch import awaited

P = ParamSpec("P")
T = TypeVar("T")

ALL = Filters()


async def export(
    log: EventLog,
    kind: Kind | str,
    output: Path | BinaryIO,
    *,
    file_format: Format | str | None = None,
    filters: Filters = ALL,
    as_of: int | datetime | Instant | None = None,
    manifest: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write rows into a file, and beside it a manifest that tells what the file holds.

    The file is there whole, and on the disk, when this returns. If it raises, nothing is left of it. If it is
    cancelled, neither; or all of it is there, with its manifest, if it was being named just then. Memory does not grow
    with the number of rows. Events are held against their leaf hashes on the way. The rows of a table are all of one
    moment, and nobody waits for it.

    Args:
        output: the file, or a stream, which is not closed and gets no manifest unless one is named.
        file_format: None: the one that the end of the file's name tells; JSON Lines for a stream.
        as_of: a position, or an instant: what was recorded up to and including it. None: the events up to the head, or
            the tables as they are; these may be behind the log, see ``positions`` of the manifest.
        manifest: where the manifest goes; None: ``FILE.manifest.json``.
        force: whether files that are there are replaced.
        progress: called with the position reached and the one aimed at, while events are read.

    Raises:
        UnknownFormat, FormatUnavailable: before anything is written.
        OutputExists, OutputUnwritable: see there.
        OutputClosed: nobody reads the stream any more.
        InvalidArgument: a filter makes no sense for the kind, or names no pair.
        InvalidMoment: a position that the log has not reached, or an instant without a time zone.
        GroupRebuilding, GroupOutdated: the tables are of no one position, or were made by another version.
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
        HistoryChanged: the events, or those around them, are not what the newest checkpoint was made over.
        LogUnavailable: the database failed.
    """
    kind = Kind(kind)
    refuse_unfit(kind, filters)
    path = output if isinstance(output, Path) else None
    chosen_format = format_of(path, file_format)
    beside = manifest_path(path) if manifest is None and path is not None else manifest
    moment = None if as_of is None else await _position(log, as_of)
    destination = Destination(output, beside, force=force)
    try:
        await in_thread(destination.open)
        async with _source(log, kind, filters, moment, progress) as source:
            tally = Tally(LAYOUTS[kind], neighbours=kind is Kind.EVENTS and source.chosen.gapless)
            await _written(source, chosen_format, destination, tally)
        # Rows of a table come of every event up to the position that they are of, also of those that left none.
        needed = (kind is Kind.EVENTS and tally.last) or source.as_of
        vouching = await covering(log, needed, tally.neighbours)
        told = Manifest(
            kind=kind,
            format=chosen_format,
            file=None if path is None else os.fsencode(path.name).decode(errors="backslashreplace"),
            columns=LAYOUTS[kind].columns,
            filters=source.chosen,
            rows=tally.rows,
            positions=Positions(tally.first, tally.last, source.as_of, source.head),
            sha256=destination.sha256,
            size=destination.tell(),
            program_version=_program_version(),
            schema_revision=SCHEMA_REVISION,
            group=source.group,
            created_at=instant_text(time.time_ns()),
            checkpoint=vouching.checkpoint,
            proof=vouching.proof,
        )
        await in_thread(destination.publish, encoded(told))
    finally:
        destination.discard()
    return told


class Tally:
    """Counts rows, and notes the positions that they come of.

    Attributes:
        columns: of the rows.
        rows: so many.
        first, last: the lowest and highest position; None: of no row.
        neighbours: the leaf hashes of events that follow one another; None: that is not what is counted.
    """

    def __init__(self, layout: Layout, *, neighbours: bool = False) -> None:
        self.columns = layout.columns
        self.rows = 0
        self.first: int | None = None
        self.last: int | None = None
        self.neighbours: Neighbours | None = None
        names = [column.name for column in layout.columns]
        self._index = names.index(layout.position)
        self._leaf = names.index("leaf_hash") if neighbours else None

    def count(self, chunk: Chunk) -> None:
        """Some more rows."""
        positions = chunk[self._index]
        lowest, highest = min(positions), max(positions)
        self.rows += len(positions)
        self.first = lowest if self.first is None else min(self.first, lowest)
        self.last = highest if self.last is None else max(self.last, highest)
        if self._leaf is not None:
            self.neighbours = self.neighbours or Neighbours(lowest)
            for leaf in chunk[self._leaf]:
                self.neighbours.add(bytes.fromhex(leaf))


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread. Whoever is cancelled meanwhile waits for its end: it must not be left half done."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    await awaited(work)
    return work.result()


async def _written(source: Source, file_format: Format, destination: Destination, tally: Tally) -> None:
    writer = writer_of(file_format, destination, tally.columns)
    try:
        async for chunk in source.chunks:
            await in_thread(writer.write, chunk)
            await in_thread(tally.count, chunk)
        await in_thread(writer.close)
    except BaseException:
        with contextlib.suppress(Exception):
            writer.abandon()
        raise


def _program_version() -> str:
    try:
        return version("byjy-events")
    except PackageNotFoundError:  # run from a folder of sources
        return "unknown"


def _source(
    log: EventLog, kind: Kind, filters: Filters, as_of: int | None, progress: Progress | None
) -> AbstractAsyncContextManager[Source]:
    if kind is Kind.EVENTS:
        return event_rows(log, filters, as_of, progress)
    if as_of is None:
        return live_rows(log, kind, filters)
    return past_rows(log, kind, filters, as_of, progress)


async def _position(log: EventLog, when: int | datetime | Instant) -> int:
    async with projections_as_of(log, when) as past:  # nothing is folded before the first question
        return past.position

"""``byjy export``: rows into a file or onto standard output, and the check of such a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from msgspec import to_builtins

from byjy_ops.arguments import Moment
from byjy_ops.errors import InvalidArgument, OutputClosed
from byjy_ops.exporting import Filters, Format, Kind, Manifest, check, export
from byjy_ops.exporting.formats import format_of
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from projections import Instant

STANDARD_OUTPUT = "-"


class Target(NamedTuple):
    """Where an export goes, as a command line says it."""

    output: str
    file_format: str | None = None
    manifest: str | None = None
    force: bool = False
    as_json: bool = False


async def export_rows(database: str, kind: Kind, filters: Filters, when: Moment | None, target: Target) -> None:
    """Write the rows that a command line asks for, and say what was written.

    Standard error says how far the tables are behind the log, if they are.

    Raises:
        InvalidArgument: what standard output cannot take; and what :func:`byjy_ops.exporting.export` raises.
    """
    path = None if target.output == STANDARD_OUTPUT else Path(target.output)
    file_format = format_of(path, target.file_format)
    if path is None:
        _refuse_on_standard_output(file_format, target)
    async with existing_log(database, read_only=True) as log:
        try:
            with replay_progress(f"exporting {kind}") as advance:
                manifest = await export(
                    log,
                    kind,
                    sys.stdout.buffer if path is None else path,
                    file_format=file_format,
                    filters=filters,
                    as_of=_point(when),
                    manifest=None if target.manifest is None else Path(target.manifest),
                    force=target.force,
                    progress=advance,
                )
        except OutputClosed:
            # Python flushes once more when it ends; there has to be something to flush into.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise
    _say(manifest, target)
    if manifest.positions.as_of < manifest.positions.head and when is None:
        _say_behind(manifest)


def check_export(file: Path, manifest: Path | None, *, as_json: bool) -> int:
    """Hold a file against its manifest, and say what is wrong; the answer is no when something is.

    Raises:
        NotCheckable, FormatUnavailable: see :func:`byjy_ops.exporting.check`.
    """
    with replay_progress("checking") as advance:
        verdict = check(file, manifest, advance)
    if as_json:
        write_json([{"file": str(file), "holds": verdict.holds, **to_builtins(verdict)}])
    elif verdict.holds:
        covered = "" if verdict.manifest.checkpoint else "; no signed checkpoint covers it"
        emit(f"{file}: holds: {_summary(verdict.manifest)}{covered}\n")
    else:
        emit("".join(f"{file}: {problem}\n" for problem in verdict.problems))
    return YES if verdict.holds else NO


def _refuse_on_standard_output(file_format: Format, target: Target) -> None:
    if file_format is Format.PARQUET:
        raise InvalidArgument("--output", "Parquet goes into a file, not to standard output")
    if target.as_json:
        raise InvalidArgument("--json", "standard output is taken by the rows; --manifest FILE tells the same")


def _point(when: Moment | None) -> int | Instant | None:
    if when is None:
        return None
    return Instant(when.nanoseconds or 0) if when.position is None else when.position


def _say(manifest: Manifest, target: Target) -> None:
    if target.as_json:
        write_json([to_builtins(manifest)])
    elif target.output == STANDARD_OUTPUT:
        tell(_summary(manifest))
    else:
        emit(f"{target.output}: {_summary(manifest)}\n")


def _summary(manifest: Manifest) -> str:
    positions = manifest.positions
    of = "" if positions.first is None else f" of positions {positions.first} to {positions.last}"
    return f"{manifest.rows} {manifest.kind}{of}, as of {positions.as_of}, sha256 {manifest.sha256}"


def _say_behind(manifest: Manifest) -> None:
    positions = manifest.positions
    lag = positions.head - positions.as_of
    if manifest.group is None:  # the log grew meanwhile
        return
    tell(
        f"the tables are {lag} events behind the log, and so is the export; byjy project brings them up to it,"
        f" and --as-of {positions.head} exports them as of its head in any case"
    )

"""``byjy export``: rows into a file or onto standard output, and the check of such a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import to_builtins

from byjy_events import EventLog
from byjy_events.proof import Verifier
from byjy_ops.arguments import SEALED, Moment
from byjy_ops.errors import InvalidArgument, OutputClosed
from byjy_ops.exporting import Covered, Filters, Format, Kind, Manifest, Verdict, check, export, sealed_position
from byjy_ops.exporting.formats import format_of
from byjy_ops.listing import emit, tell, text, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from byjy_ops.trusted_keys import trusted_keys
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
                    as_of=await _point(log, when),
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


def check_export(file: Path, manifest: Path | None, keys: Sequence[str], *, as_json: bool) -> int:
    """Hold a file against its manifest, and say what is wrong; the answer is no when something is.

    Raises:
        NotCheckable, FormatUnavailable: see :func:`byjy_ops.exporting.check`.
        InvalidArgument, InvalidSigningKey: a key is none.
    """
    trusted: Sequence[Verifier] = trusted_keys(keys, "--key") if keys else ()
    with replay_progress("checking") as advance:
        verdict = check(file, manifest, advance, trusted=trusted)
    if as_json:
        name = os.fsencode(file).decode(errors="backslashreplace")
        write_json([{"file": name, "holds": verdict.holds, **to_builtins(verdict)}])
    elif verdict.holds:
        emit(f"{text(file)}: holds: {_summary(verdict.manifest)}\n{text(file)}: {_vouched(verdict)}\n")
    else:
        emit("".join(f"{text(file)}: {text(problem)}\n" for problem in verdict.problems))
    return YES if verdict.holds else NO


def _refuse_on_standard_output(file_format: Format, target: Target) -> None:
    if file_format is Format.PARQUET:
        raise InvalidArgument("--output", "Parquet goes into a file, not to standard output")
    if target.as_json:
        raise InvalidArgument("--json", "standard output is taken by the rows; --manifest FILE tells the same")


def _vouched(verdict: Verdict) -> str:
    """What the checkpoint says of the rows, and no more than it does."""
    if verdict.checkpoint is None:
        return "no signed checkpoint covers it: whoever has the file and the manifest could have made both anew"
    covered, first, last = verdict.checkpoint, verdict.manifest.positions.first, verdict.manifest.positions.last
    if not covered.verified:
        return f"whether {_checkpoint(covered)} is signed was not looked at: --key KEY"
    if covered.proves:
        return f"proved: positions {first} to {last} are what the log had under {_checkpoint(covered)}, none is missing"
    if not verdict.rows:
        why = "that there are no rows is"
    elif verdict.manifest.group is not None:
        why = "rows of a table are"
    else:
        why = "events with gaps between them are"
    return f"signed: {_checkpoint(covered)}; it covers the export, but {why} not proved by it"


def _checkpoint(covered: Covered) -> str:
    return f"the checkpoint of {text(covered.origin)} over {covered.size} events"


async def _point(log: EventLog, when: Moment | None) -> int | Instant | None:
    if when is None:
        return None
    if when == SEALED:
        return await sealed_position(log)
    return Instant(when.nanoseconds or 0) if when.position is None else when.position


def _say(manifest: Manifest, target: Target) -> None:
    if target.as_json:
        write_json([to_builtins(manifest)])
    elif target.output == STANDARD_OUTPUT:
        tell(_summary(manifest))
    else:
        emit(f"{text(target.output)}: {_summary(manifest)}\n")


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

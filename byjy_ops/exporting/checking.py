"""Checking an export offline: from the file and its manifest alone, without the database.

A check reads the file twice: once for its size and hash, once row by row. Of events it recomputes every leaf hash, so
that a changed event is found and named. Whoever changes an event and its leaf hash is found out by the manifest's
sha256, and whoever rewrites the manifest too, only by the signed checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from byjy_ops.exporting.errors import NotCheckable
from byjy_ops.exporting.formats import WrongRow, rows_of
from byjy_ops.exporting.manifest import Manifest, manifest_path, read_manifest
from byjy_ops.exporting.row_checks import RowChecks
from byjy_ops.exporting.source import Progress

PIECE_BYTES = 1 << 20


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as the manifest says.

    Attributes:
        place: ``line 17`` or ``row 17``, counted from 1, where a row begins; None: the file as a whole.
        reason: what is wrong.
    """

    place: str | None
    reason: str

    def __str__(self) -> str:
        return self.reason if self.place is None else f"{self.place}: {self.reason}"


class Verdict(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        rows: that were read before the first wrong one.
        problems: of the file as a whole, and the first wrong row; none: the export holds.
    """

    manifest: Manifest
    rows: int
    problems: tuple[Problem, ...]

    @property
    def holds(self) -> bool:
        """Whether the file is what its manifest says."""
        return not self.problems


def check(path: Path, manifest: Path | None = None, progress: Progress | None = None) -> Verdict:
    """Hold an exported file against its manifest. Needs no database.

    Args:
        manifest: None: ``FILE.manifest.json`` beside it.
        progress: called with the rows read so far, and with how many there should be.

    Raises:
        NotCheckable: the file or its manifest cannot be read, or that is none.
        FormatUnavailable: the library of the format is not installed.
    """
    told = read_manifest(manifest_path(path) if manifest is None else manifest)
    checks = RowChecks(told)
    try:
        problems = [Problem(None, reason) for reason in _bytes_at_fault(path, told)]
        problems += _rows_at_fault(path, told, checks, progress)
    except OSError as error:
        raise NotCheckable(path, error.strerror or str(error)) from error
    return Verdict(told, checks.rows, tuple(problems))


def _bytes_at_fault(path: Path, told: Manifest) -> Iterator[str]:
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            found.update(piece)
            size += len(piece)
    if size != told.size:
        yield f"{size} bytes, the manifest says {told.size}"
    if found.hexdigest() != told.sha256:
        yield f"sha256 is {found.hexdigest()}, the manifest says {told.sha256}"


def _rows_at_fault(path: Path, told: Manifest, checks: RowChecks, progress: Progress | None) -> Iterator[Problem]:
    try:
        for row in rows_of(told.format, path, told.columns):
            checks.check(row)
            if progress is not None and not checks.rows % 10_000:
                progress(checks.rows, told.rows)
        for reason in checks.at_the_end():
            yield Problem(None, reason)
    except WrongRow as error:
        yield Problem(error.place, error.reason)

"""Checking an export offline: from the file and its manifest alone, without the database.

A check reads the file twice: once for its size and hash, once row by row. Of events it recomputes every leaf hash, so
that a changed event is found and named. Whoever changes an event and its leaf hash is found out by the manifest's
sha256, and whoever rewrites the manifest too, by the root of the checkpoint, which only the signing key can sign.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of, unverified
from byjy_events.proof.errors import InvalidNote, NotSigned, ProofBroken
from byjy_events.proof.note import Verifier
from byjy_ops.exporting.columns import Kind
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


class Covered(msgspec.Struct, frozen=True):
    """The checkpoint that covers an export.

    Attributes:
        origin: the log's name.
        size: events under it.
        verified: whether a trusted key signed it; else no key was given.
        proves: whether it follows that the rows are events of that log, at their positions, and that none between the
            first and the last is missing. Of rows of a table, and of events chosen by more than time, it does not.
    """

    origin: str
    size: int
    verified: bool
    proves: bool


class Verdict(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        rows: that were read before the first wrong one.
        problems: of the file as a whole, and the first wrong row; none: the export holds.
        checkpoint: the one that covers it, if the export holds; None: there is none.
    """

    manifest: Manifest
    rows: int
    problems: tuple[Problem, ...]
    checkpoint: Covered | None = None

    @property
    def holds(self) -> bool:
        """Whether the file is what its manifest says."""
        return not self.problems


def check(
    path: Path, manifest: Path | None = None, progress: Progress | None = None, *, trusted: Sequence[Verifier] = ()
) -> Verdict:
    """Hold an exported file against its manifest. Needs no database.

    Args:
        manifest: None: ``FILE.manifest.json`` beside it.
        progress: called with the rows read so far, and with how many there should be.
        trusted: keys that sign for the log. One of them has to have signed a checkpoint that covers the export;
            none: the rows are held against the checkpoint, if there is one, whoever signed it.

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
    covered, reason = _covered(told, checks, trusted)
    if reason is not None:
        problems.append(Problem(None, reason))
    return Verdict(told, checks.rows, tuple(problems), None if problems else covered)


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


def _covered(told: Manifest, checks: RowChecks, trusted: Sequence[Verifier]) -> tuple[Covered | None, str | None]:
    """What the checkpoint says of the export, and what is wrong with it."""
    if told.checkpoint is None:
        return None, "checkpoint: there is none that covers the export" if trusted else None
    try:
        checkpoint = checkpoint_of(told.checkpoint, trusted) if trusted else unverified(told.checkpoint)
        proves = _hold_against(told, checks, checkpoint)
    except (InvalidNote, NotSigned, ProofBroken) as error:
        return None, f"checkpoint: {error}"
    return Covered(checkpoint.origin, checkpoint.size, bool(trusted), proves), None


def _hold_against(told: Manifest, checks: RowChecks, checkpoint: Checkpoint) -> bool:
    """Whether the rows are proved to be events under a checkpoint.

    Raises:
        ProofBroken: they are not, or it does not cover them.
    """
    needed = (told.kind is Kind.EVENTS and told.positions.last) or told.positions.as_of
    if checkpoint.size < needed:
        raise ProofBroken(f"it covers {checkpoint.size} events, and the export goes on to {needed}")
    if checks.neighbours is None or checks.rows < told.rows:  # one row is wrong, and that is said already
        return False
    if told.proof is None:
        raise ProofBroken("the way to it is missing, so it proves nothing of these events")
    checks.neighbours.hold_against(checkpoint, told.proof)
    return True

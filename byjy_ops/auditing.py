"""``byjy audit``: whether the log is what was appended, all of it, and what its checkpoints were signed for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from byjy_events.proof import AppendedFile, Folder, Verifier
from byjy_events.proof.auditing import audit
from byjy_events.proof.checkpoint import unverified
from byjy_events.proof.errors import InvalidNote, NoSigningKey
from byjy_events.proof.finding import Audit, Finding, FindingKind
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import emit, tell, text, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from byjy_ops.signing_key_option import signing_key_file
from byjy_ops.trusted_keys import trusted_keys

_NO_EVENTS = (FindingKind.CHECKPOINT, FindingKind.SUBTREE, FindingKind.STRAY)
"""What is wrong beside the events of the log."""


async def audit_log(
    database: str, keys: Sequence[str], signing_key: Path | None, exported: Sequence[Path], *, as_json: bool
) -> int:
    """Audit the log; the answer is no where something is wrong with it.

    Args:
        keys: public keys that sign for the log, or files with them; else those of the signing key file, if any.
        exported: files and folders with checkpoints that left the database.

    Raises:
        InvalidArgument, InvalidSigningKey: keys or checkpoints cannot be read.
        LogUnavailable: the database failed.
    """
    trusted = _trusted(database, keys, signing_key)
    notes = (note for path in exported for note in _notes(path))
    began = time.monotonic()
    async with existing_log(database, read_only=True) as log:
        with replay_progress("auditing") as advance:
            found = await audit(log, trusted, notes, progress=advance)
    seconds = time.monotonic() - began
    if as_json:
        write_json([*map(_finding, found.findings), _summary(found, trusted, seconds)])
    else:
        emit("".join(_sentence(finding) for finding in found.findings) + _verdict(found, trusted, seconds))
    if not trusted:
        tell("no key is trusted, so no signature was checked: --key, or the file of byjy signing-key init")
    elif not exported:
        tell("only an exported checkpoint shows that the database was set back to an older copy: --checkpoints PATH")
    return YES if found.intact else NO


def _trusted(database: str, keys: Sequence[str], signing_key: Path | None) -> Sequence[Verifier]:
    if keys:
        return trusted_keys(keys, "--key")
    try:
        return signing_key_file(database, signing_key, "--signing-key").read().verifiers
    except (InvalidArgument, NoSigningKey):
        if signing_key is not None:
            raise
        return []


def _notes(path: Path) -> Iterator[str]:
    if not path.exists():
        raise InvalidArgument("--checkpoints", f"{path}: no such file or folder")
    try:
        notes = Folder(path).notes() if path.is_dir() else AppendedFile(path).notes()
        first = next(notes, None)
        yield _note_alone(path) if first is None else first
        yield from notes
    except OSError as error:
        raise InvalidArgument("--checkpoints", f"{path}: {error.strerror}") from None


def _note_alone(path: Path) -> str:
    """A file that is one checkpoint. Nothing to compare with is no answer: the auditor thinks that there was."""
    try:
        note = "" if path.is_dir() else path.read_bytes().decode("utf-8", "surrogateescape")
        return unverified(note).note
    except InvalidNote:
        raise InvalidArgument("--checkpoints", f"{path}: no checkpoint is in it") from None


def _sentence(finding: Finding) -> str:
    where = f" at {finding.first}" if finding.last else ""
    where += f" to {finding.last}" if finding.first != finding.last else ""
    return f"{finding.kind}{where}: {text(finding.message)}\n"


def _verdict(found: Audit, trusted: Sequence[Verifier], seconds: float) -> str:
    if found.findings:
        more = f" and {found.further} more" if found.further else ""
        count = len(found.findings)
        verdict = f"{count} finding{'s' if count > 1 else ''}{more}; {_good(found)}"
    else:
        verdict = "the log is what was appended"
    signed = f"signed for up to {found.sealed}" if trusted else "no signature checked"
    rate = f"{found.events / seconds:,.0f} events/s" if seconds else "at once"
    return (
        f"{verdict}\n{found.events} events in {seconds:.1f} s ({rate}), "
        f"{found.checkpoints} checkpoints compared, {signed}\n"
    )


def _good(found: Audit) -> str:
    blamed = [finding.first for finding in found.findings if finding.kind not in _NO_EVENTS]
    if not blamed and not found.further:
        return "no event is to blame"
    return f"the log is good up to {max(0, min(blamed or [found.findings[-1].first]) - 1)}"


def _finding(finding: Finding) -> dict[str, Any]:
    return {"type": "finding", **finding._asdict()}


def _summary(found: Audit, trusted: Sequence[Verifier], seconds: float) -> dict[str, Any]:
    return {
        "type": "summary",
        "intact": found.intact,
        "events": found.events,
        "checkpoints": found.checkpoints,
        "sealed": found.sealed,
        "trusted": [one.label for one in trusted],
        "findings": len(found.findings) + found.further,
        "seconds": seconds,
    }

"""``byjy audit``: whether the log is what was appended, all of it, and what its checkpoints were signed for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from byjy_events.proof import AppendedFile, Folder, Verifier
from byjy_events.proof.auditing import audit
from byjy_events.proof.errors import NoSigningKey
from byjy_events.proof.finding import Audit, Finding
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from byjy_ops.signing_key_option import signing_key_file
from byjy_ops.trusted_keys import trusted_keys


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
    notes = [note for path in exported for note in _notes(path)]
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
        yield from Folder(path).notes() if path.is_dir() else AppendedFile(path).notes()
    except OSError as error:
        raise InvalidArgument("--checkpoints", f"{path}: {error.strerror}") from None


def _sentence(finding: Finding) -> str:
    where = f"{finding.first}" if finding.first == finding.last else f"{finding.first} to {finding.last}"
    return f"{finding.kind} at {where}: {finding.message}\n"


def _verdict(found: Audit, trusted: Sequence[Verifier], seconds: float) -> str:
    if found.findings:
        more = f" and {found.further} more" if found.further else ""
        verdict = f"{len(found.findings)} findings{more}; the log is good up to {found.findings[0].first - 1}"
    else:
        verdict = "the log is what was appended"
    signed = f"signed for up to {found.sealed}" if trusted else "no signature checked"
    rate = f"{found.events / seconds:,.0f} events/s" if seconds else "at once"
    return (
        f"{verdict}\n{found.events} events in {seconds:.1f} s ({rate}), "
        f"{found.checkpoints} checkpoints compared, {signed}\n"
    )


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

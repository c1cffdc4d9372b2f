"""``byjy proof``: proofs as files, made from the log and checked without it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from byjy_events import ByjyError
from byjy_events.proof.checkpoint import Checkpoint
from byjy_events.proof.consistency import checked_consistency, consistency_proof
from byjy_events.proof.errors import InvalidNote, NotSigned, ProofBroken
from byjy_events.proof.inclusion import Inclusion, checked_inclusion, inclusion_proof, is_inclusion
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import emit, tell, text, utc, write_json
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from byjy_ops.stored_checkpoint import note_of
from byjy_ops.trusted_keys import trusted_keys


async def prove_inclusion(database: str, event_id: UUID, output: Path | None) -> None:
    """Write the proof that an event is in the log.

    Raises:
        UnknownEventId, NotCovered, CorruptLog: there is none.
        InvalidArgument: the file is there, or cannot be written.
    """
    async with existing_log(database, read_only=True) as log:
        _write(await inclusion_proof(log, event_id), output)


async def prove_consistency(database: str, old: str, new: str | None, output: Path | None) -> None:
    """Write the proof that the log grew from one checkpoint to another, the newest one if none is named.

    Raises:
        InvalidArgument: there is no such checkpoint, or the file is there, or cannot be written.
        NotCovered, ProofBroken: there is none.
    """
    async with existing_log(database, read_only=True) as log:
        notes = [await note_of(log, wanted, option) for wanted, option in ((old, "OLD"), (new, "NEW"))]
        _write(await consistency_proof(log, notes[0], notes[1]), output)


def check(file: Path, keys: Sequence[str], *, as_json: bool) -> int:
    """Check the proof in a file, without the database; the answer is no where it does not hold.

    Raises:
        InvalidArgument: the file cannot be read, or no key is given.
        InvalidSigningKey: a key is none.
    """
    trusted = trusted_keys(keys, "--key")
    try:
        content = file.read_bytes().decode().replace("\r\n", "\n")  # no proof has a carriage return of its own
    except OSError as error:
        raise InvalidArgument("FILE", f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        content = ""
    try:
        if is_inclusion(content):
            _tell_inclusion(checked_inclusion(content, trusted), as_json=as_json)
        else:
            found = checked_consistency(content, trusted)
            _tell_consistency(found.old, found.new, as_json=as_json)
    except (ProofBroken, InvalidNote, NotSigned) as error:
        _tell_broken(error, as_json=as_json)
        return NO
    return YES


def _tell_inclusion(found: Inclusion, *, as_json: bool) -> None:
    event, checkpoint = found
    if as_json:
        shown: dict[str, Any] = {name: getattr(event, name) for name in event.__struct_fields__}
        write_json([{"holds": True, "proves": "inclusion", "event": shown, "checkpoint": _shown(checkpoint)}])
        return
    emit(
        f"in the log {text(checkpoint.origin)}, under its checkpoint of {checkpoint.size} events:\n"
        f"  position {event.position}, {text(event.type)} of {text(event.stream_category)} {event.stream_id}\n"
        f"  event {event.event_id}, by {text(event.actor)}, recorded {utc(event.recorded_at, 9)}\n"
        f"  {text(event.payload)}\n"
    )


def _tell_consistency(old: Checkpoint, new: Checkpoint, *, as_json: bool) -> None:
    if as_json:
        write_json([{"holds": True, "proves": "consistency", "old": _shown(old), "new": _shown(new)}])
    else:
        log = text(new.origin)
        emit(f"the log {log} of {new.size} events begins with the {old.size} that it had before, unchanged\n")


def _tell_broken(error: ByjyError, *, as_json: bool) -> None:
    if as_json:
        write_json([{"holds": False, "reason": str(error)}])
    else:
        emit(f"it does not hold: {error}\n")


def _shown(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}


def _write(proof: str, output: Path | None) -> None:
    if output is None:
        emit(proof)
        return
    try:
        with output.open("x", encoding="utf-8", newline="\n") as file:
            file.write(proof)
    except OSError as error:
        raise InvalidArgument("--output", f"{output}: {error.strerror}") from None
    tell(f"written to {output}")

"""Checkpoints one after the other in a text file that is only ever appended to.

Each is the note as it is, then a line that holds nothing but a full stop. A crash may leave the last one torn; whoever
writes on closes it with a line that holds nothing but an exclamation mark, and what stands above it up to the line
before of either kind is no checkpoint. A note is never changed, and nothing is ever taken back::

    example.com/trading
    217003
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/trading Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+…
    .
    example.com/trading
    2170
    !
    example.com/trading
    217004
    …
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from byjy_events.proof.checkpoint import Checkpoint
from byjy_events.proof.errors import InvalidNote

END = b"\n.\n"
"""How a whole entry ends."""

TORN = b"\n!\n"
"""What closes a torn one."""


def entry_of(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as it is written.

    Raises:
        InvalidNote: it has a line that would be taken for the end.
    """
    if {".", "!"} & set(checkpoint.note.split("\n")):
        raise InvalidNote("a line of a checkpoint in a file cannot be a full stop or an exclamation mark")
    return checkpoint.note.encode() + END[1:]


def notes_of(lines: Iterable[str]) -> Iterator[str]:
    """The notes of the whole entries among lines that still have their line feeds; torn ones are left out."""
    note = ""
    for line in lines:
        ended = line.replace("\r\n", "\n")  # of a file whose line ends were changed: its notes tell that they are none
        if ended not in (".\n", "!\n"):
            note += line
            continue
        if ended == ".\n":
            yield note
        note = ""

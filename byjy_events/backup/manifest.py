"""What is known of a backup, in a JSON file beside it. Written last: without it there is no backup."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

FORMAT = 1
DATA, MANIFEST = ".db.zst", ".json"
LONGEST_BYTES = 1 << 20
"""A longer file is no manifest."""

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Of things, bytes, or nanoseconds since 1970."""

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

_NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z", re.ASCII)


class Kind(StrEnum):
    """The kind of database that was backed up.

    - SQLITE: everything that was in the file is in the backup.
    - POSTGRESQL: the log is, with tree, checkpoints, data keys and system logs. Tables of projections are empty, and
      replayed where it is restored to.
    """

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Facts(Struct, frozen=True, forbid_unknown_fields=True):
    """What the database says of itself.

    Attributes:
        log_id: the leaf hash of the first event, by which logs are told apart; None: there is no event.
        head: the position of the last event; 0: there is none.
        head_leaf: its leaf hash.
        checkpoint: the newest checkpoint of the tree, as a signed note; None: it was never sealed.
        revision: of the schema.
        rows: by table.
        head_recorded_at: of the last event, nanoseconds UTC; None: there is none, or an older program made the backup.
    """

    log_id: Digest | None
    head: Count
    head_leaf: Digest | None
    checkpoint: str | None
    revision: str | None
    rows: dict[str, int]
    head_recorded_at: Count | None = None


class Content(Struct, frozen=True, forbid_unknown_fields=True):
    """A file: its bytes and their SHA-256 in hexadecimal digits."""

    size: Count
    sha256: Digest


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """What a verification found.

    Attributes:
        at: when it ended, nanoseconds UTC.
        thorough: whether the whole log was audited, and the tables replayed.
        problems: empty: the backup restores to what was backed up.
        notes: what could not be looked at, and why.
    """

    at: Count
    thorough: bool
    seconds: float
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is known of a backup.

    Attributes:
        sequence: counts the backups of a folder; it says which is newer, whatever the clock did.
        created_at: nanoseconds UTC, when it was begun; the name says the same.
        compressed, plain: the file that is kept, and the database in it.
        every_seconds: the period of the scheduler that made it; None: it was made by hand.
        check: the newest verification.
        thorough_check: the newest that was thorough; no other overrules what it found.
        origin: the kind of database that it was made of.
        segment: the number of the last segment in the folder when it was begun; 0: there was none. Those that come
            later are younger, whatever the clock did.
    """

    format: int
    sequence: Count
    created_at: Count
    facts: Facts
    compressed: Content
    plain: Content
    program: str
    seconds: float
    every_seconds: Annotated[float, Meta(ge=0)] | None = None
    check: Check | None = None
    thorough_check: Check | None = None
    origin: Kind = Kind.SQLITE
    segment: Count = 0

    @property
    def name(self) -> str:
        """That of the backup."""
        return name_of(self.created_at)

    @property
    def problems(self) -> tuple[str, ...]:
        """What the newest verifications found."""
        checks = (self.check,) if self.check == self.thorough_check else (self.check, self.thorough_check)
        return tuple(problem for check in checks if check is not None for problem in check.problems)

    def checked(self, check: Check) -> Manifest:
        """The manifest with one more verification."""
        thorough = check if check.thorough else self.thorough_check
        return msgspec.structs.replace(self, check=check, thorough_check=thorough)


def name_of(created_at: int) -> str:
    """The name of a backup that was begun then, to the microsecond, such as ``20240102T030405.000006Z``."""
    seconds, nanoseconds = divmod(created_at, 10**9)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{nanoseconds // 1000:06}Z"


def is_name(text: str) -> bool:
    """Whether it is the name of a backup, and so no path to somewhere else."""
    return _NAME.fullmatch(text) is not None


def read(name: str, text: bytes) -> Manifest:
    """The manifest of the backup of this name.

    Raises:
        ValueError: the text is none that this program understands.
    """
    with contextlib.suppress(msgspec.MsgspecError):
        if msgspec.json.decode(text, type=_Versioned).format > FORMAT:
            raise ValueError("its manifest was written by a newer program")
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"its manifest is damaged: {error}") from None
    if manifest.name != name:
        raise ValueError(f"its manifest is that of {manifest.name}")
    return manifest


def text_of(manifest: Manifest) -> bytes:
    """What is written of it."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def private(path: str, flags: int) -> int:
    """Opens a file that only its owner may read or write."""
    return os.open(path, flags, 0o600)


class _Versioned(Struct):
    format: int

"""Manifests: what lies beside an export and says what it holds."""

from __future__ import annotations

from pathlib import Path

import msgspec

from byjy_ops.exporting.columns import LAYOUTS, Column, Kind, Layout
from byjy_ops.exporting.errors import NotCheckable
from byjy_ops.exporting.filters import Chosen
from byjy_ops.exporting.formats import Format
from byjy_ops.exporting.range_proof import RangeProof
from byjy_ops.exporting.spelling import instant_text, instant_value

MANIFEST_VERSION = 1

LONGEST_BYTES = 1 << 20

EPOCH = instant_text(0)


class Positions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Places in the log.

    Attributes:
        first, last: the lowest and the highest that rows of the export come of; None: it has no rows.
        as_of: the export tells what the log told up to here.
        head: of the log, when the export was made.
    """

    first: int | None
    last: int | None
    as_of: int
    head: int


class GroupVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The projections that made the rows.

    Attributes:
        name: of the group.
        version: of its projections.
    """

    name: str
    version: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    r"""What an export holds.

    Attributes:
        file: the name of the exported file, without its folder, bytes that are no text as ``\xe9``; None: it went to
            a stream.
        rows: how many there are.
        sha256: of the file's bytes, in hexadecimal digits.
        size: of the file, in bytes.
        program_version, schema_revision: of the byjy-events that made the export.
        group: which projections made the rows; None for events.
        created_at: when, as exports spell instants.
        checkpoint: the newest signed checkpoint, as text, if it covers the last row of events, or ``positions.as_of``
            of a table; None: there is none such.
        proof: that the events are those under the checkpoint; None: there is no checkpoint, no row, or there are gaps
            by other filters than time.
    """

    manifest_version: int = MANIFEST_VERSION
    kind: Kind
    format: Format
    file: str | None
    columns: tuple[Column, ...]
    filters: Chosen
    rows: int
    positions: Positions
    sha256: str
    size: int
    program_version: str
    schema_revision: str
    group: GroupVersion | None
    created_at: str
    checkpoint: str | None
    proof: RangeProof | None = None


def manifest_path(path: Path) -> Path:
    """Where the manifest of a file lies."""
    return path.parent / f"{path.name}.manifest.json"


def encoded(manifest: Manifest) -> bytes:
    """The text of a manifest: JSON for people to read too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        NotCheckable: it is not there, is none, or is of a newer version.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise NotCheckable(path, error.strerror or str(error)) from error
    if len(text) > LONGEST_BYTES:
        raise NotCheckable(path, f"no manifest: longer than {LONGEST_BYTES} bytes")
    try:
        _refuse_newer(path, text)
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotCheckable(path, f"no manifest: {error}") from None
    _refuse_foreign(path, manifest)
    return manifest


class _Version(msgspec.Struct):
    manifest_version: int


def _refuse_newer(path: Path, text: bytes) -> None:
    found = msgspec.json.decode(text, type=_Version).manifest_version
    if found != MANIFEST_VERSION:
        raise NotCheckable(path, f"manifest of version {found}, this program knows {MANIFEST_VERSION}")


def _refuse_foreign(path: Path, manifest: Manifest) -> None:
    """Filters and columns that a check goes by have to be what they are called."""
    layout = LAYOUTS[manifest.kind]
    filters = manifest.filters
    for name in ("actor", "account"):
        if getattr(filters, name) is not None and name not in layout.filters:
            raise NotCheckable(path, f"{manifest.kind} cannot be filtered by {name}")
    for name, text in (("since", filters.since), ("until", filters.until)):
        try:
            instant_value(text or EPOCH)
        except ValueError as error:
            raise NotCheckable(path, f"filter {name}: {error}") from None
    _refuse_other_columns(path, manifest, layout)


def _refuse_other_columns(path: Path, manifest: Manifest, layout: Layout) -> None:
    known = {column.name: column for column in layout.columns}
    filtered = {"account", "trading_pair_id"} & known.keys()
    needed = set(known) if manifest.kind is Kind.EVENTS else {*layout.key, layout.time, layout.position, *filtered}
    told = {column.name: column for column in manifest.columns}
    if len(told) < len(manifest.columns):
        raise NotCheckable(path, "a column is named twice")
    for name in sorted(needed):
        if told.get(name) != known[name]:
            raise NotCheckable(path, f"column {name} is missing or of another type than {manifest.kind} have")

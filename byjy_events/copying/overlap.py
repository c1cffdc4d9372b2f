"""What has to be true of a target before anything is written: whatever it has, the source has as well.

Of the events only the last one is looked at, since a leaf hash is of its position; the rest shows in the roots in the
end. Of the other tables every row is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from byjy_events.copying.ends import Ends
from byjy_events.copying.errors import NotAllowed, SameDatabase, TargetAhead, TargetIsAnother, WrappedOtherwise
from byjy_events.copying.identity import identity
from byjy_events.copying.tables import COPIED, Part, Piece, key_store_part, system_logs_part, tree_parts
from byjy_events.sealing.key_store import key_store

_WHATEVER_SIZE = 2**63 - 1
_COLUMNS = key_store.columns.keys()
_FIXED = [_COLUMNS.index(name) for name in ("subject_kind", "subject_id", "field", "created_at")]
_KEY_ID, _ERASED_AT = _COLUMNS.index("key_encryption_key_id"), _COLUMNS.index("erased_at")


async def refuse_unfit(ends: Ends, size: int, *, replace_keys: bool) -> None:
    """Look whether a target can be made what the source is.

    Args:
        size: events of the source that are to be copied.
        replace_keys: whether wrapped keys of the source are taken although both logs end at the same event.

    Raises:
        SameDatabase, NotAllowed, TargetAhead, TargetIsAnother, WrappedOtherwise: it cannot.
    """
    await _refuse_same(ends)
    await _refuse_role(ends)
    await _refuse_other_events(ends, size)
    is_undecided = ends.position == size and not replace_keys
    for part in (*tree_parts(_WHATEVER_SIZE), key_store_part()):
        async for piece in ends.pieces(part):
            refuse_piece(ends, part, piece)
            if part.changes and is_undecided:
                _refuse_wrapped_otherwise(ends, piece)
    if not ends.position:
        await _refuse_other_logs(ends)


def refuse_piece(ends: Ends, part: Part, piece: Piece) -> None:
    """
    Raises:
        TargetIsAnother: something lies there that the source does not have and that cannot become what it has.
    """
    name, key = part.table.name, part.key.name
    if piece.surplus and not part.shrinks:
        row = piece.surplus[0]
        raise TargetIsAnother(ends.target.url, f"{name} of {key} {row[part.place]} is not in the source")
    for own, row in piece.different:
        if not part.changes or _is_stuck(own, row):
            raise TargetIsAnother(ends.target.url, f"{name} of {key} {row[part.place]} differs")


async def _refuse_same(ends: Ends) -> None:
    with ends.at(ends.source):
        one = await identity(ends.source)
    with ends.at(ends.target):
        if one == await identity(ends.target):
            raise SameDatabase(ends.target.url)


async def _refuse_role(ends: Ends) -> None:
    with ends.at(ends.target):
        refused = await ends.destination.refused([table.name for table in COPIED])
    if refused is not None:
        raise NotAllowed(ends.target.url, *refused)


async def _refuse_other_events(ends: Ends, size: int) -> None:
    common = min(ends.position, size)
    is_same = await ends.leaf(ends.source, common) == await ends.leaf(ends.target, common)
    if ends.position > size:
        raise TargetAhead(ends.target.url, ends.position, size, is_continued=is_same)
    if not is_same:
        raise TargetIsAnother(ends.target.url, f"another event at position {common}")


async def _refuse_other_logs(ends: Ends) -> None:
    """A target without events has no part of the source's system logs that the source could have pruned since."""
    part = system_logs_part()._replace(shrinks=False)
    async for piece in ends.pieces(part):
        refuse_piece(ends, part, piece)


def _refuse_wrapped_otherwise(ends: Ends, piece: Piece) -> None:
    """A rotation leaves no event. Were source and target mixed up, keys would go back under one that was destroyed."""
    for own, row in piece.different:
        if own[_ERASED_AT] is None:
            raise WrappedOtherwise(ends.target.url, own[0], row[_KEY_ID], own[_KEY_ID], ends.position)


def _is_stuck(own: Sequence[Any], row: sa.Row[Any]) -> bool:
    """Whether a row of the key store at the target cannot become what the source has."""
    return row[_ERASED_AT] is not None or any(own[place] != row[place] for place in _FIXED)

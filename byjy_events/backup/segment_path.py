"""Which segments follow upon each other, from a backup on, and what is wrong where they do not.

A segment counts if it names the digest of one that counts, which is the one before, or, where a writer found that one
damaged or the log restored to an earlier point, one before that: then what lies between counts no longer. One that
names none begins behind a backup. So what is missing, altered, of another place or of another log breaks the chain, and
nothing behind the break counts but what a writer has written since that goes on from before it. A break before the
backup that one builds upon is none: what was written then is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from byjy_events.backup import segment_folder
from byjy_events.backup.segment import Head, Segment
from byjy_events.backup.segment_folder import Damage, SegmentFile
from byjy_events.backup.target import Target


class Link(NamedTuple):
    """A segment that counts.

    Attributes:
        file: in which it lies.
        upto: how far its events count; beyond that others have taken their place.
    """

    head: Head
    digest: bytes
    file: SegmentFile
    upto: int


class Path(NamedTuple):
    """Segments in the order in which they follow upon each other, and what does not count.

    Attributes:
        links: in order of their numbers.
        damages: all that is missing, damaged or out of place, whether or not a writer made up for it.
        erased: data keys that a segment knows to be erased, whether or not it counts, and when they were.
    """

    links: list[Link]
    damages: list[Damage]
    erased: dict[bytes, int]

    @property
    def open_damages(self) -> list[Damage]:
        """Those behind the last segment that counts: nothing makes up for them."""
        last = self.links[-1].head.number if self.links else 0
        return [one for one in self.damages if one.last > last]

    def gaps(self) -> Iterator[str]:
        """Positions that no segment holds, between those that some do."""
        for before, link in zip(self.links, self.links[1:], strict=False):
            if link.head.after > before.upto:
                first, last = before.upto + 1, link.head.after
                yield f"positions {first} to {last} are in no segment, only in backups"


def followed(
    target: Target, files: Sequence[SegmentFile], log_id: bytes | None, position: int = 0, number: int = 0
) -> Path:
    """What follows upon what in these files. They are read one by one, and only heads are kept.

    Args:
        log_id: the leaf hash of the log's first event; None: it is not known.
        position, number: of the backup that is built upon, as for :meth:`Segments.since`.

    Raises:
        FolderUnusable: they cannot be read.
    """
    path = Path([], [], {})
    last = 0
    for file in files:
        if last and file.first > last + 1:
            path.damages.append(Damage(last + 1, file.first - 1))
        last = file.last
        found, damage = segment_folder.read(target, file)
        for one in found:
            reason = _added(path, one, file, log_id, position, number)
            if reason is not None:
                _tell(path.damages, one.head.number, reason, file)
        if damage is not None:
            path.damages.append(damage)
    return path


def _tell(damages: list[Damage], number: int, reason: str, file: SegmentFile) -> None:
    """What is the same of a thousand in a row is told once."""
    if damages and (damages[-1].last, damages[-1].reason) == (number - 1, reason):
        damages[-1] = damages[-1]._replace(last=number)
    else:
        damages.append(Damage(number, number, reason, file.name))


def _added(path: Path, one: Segment, file: SegmentFile, log_id: bytes | None, position: int, number: int) -> str | None:
    """Add a segment where it belongs; the answer is why it does not."""
    head = one.head
    if log_id is not None and head.log_id is not None and head.log_id != log_id:
        return "it is of another log"
    path.erased.update(head.erased)
    if not head.previous:
        _cut(path.links, head.after)
    else:
        place = _place_of(path.links, head.previous)
        if place is not None:
            del path.links[place + 1 :]
        elif not path.links and not path.damages:
            pass  # the first of these files
        elif _is_first(head, position, number) and all(damage.last <= number for damage in path.damages):
            path.links.clear()  # it goes on from one before the backup, which is damaged
        else:
            return "it does not follow upon any that counts"
    path.links.append(Link(head, one.digest, file, head.upto))
    return None


def _is_first(head: Head, position: int, number: int) -> bool:
    """Whether what a segment goes on from is before a backup."""
    return head.after < position or (head.after == position and head.number == number + 1)


def _place_of(links: Sequence[Link], digest: bytes) -> int | None:
    for place in range(len(links) - 1, -1, -1):
        if links[place].digest == digest:
            return place
    return None


def _cut(links: list[Link], position: int) -> None:
    """Forget what lies behind a position."""
    while links and links[-1].head.after >= position and links[-1].upto > position:
        links.pop()
    if links and links[-1].upto > position:
        links[-1] = links[-1]._replace(upto=position)

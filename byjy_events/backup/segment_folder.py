"""The segments among the files of a target: what their names say, reading and writing them, several in one file.

A name says which segments are in the file, the position that they begin behind, and the one that the last goes up to:
``segments-0000000001-0000000500-203117-217003.seg``. When several files are put together, the one that holds them all
is there before they are deleted; a process that is killed in between leaves files with nothing new in them, which are
passed over and deleted by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from byjy_events.backup.segment import Segment, segments_of
from byjy_events.backup.target import PART, Target

LOOSE_FILES = 500
"""So many files of one segment each are put together."""

LONGEST_BYTES = 16 << 20
"""Files are put together up to this length."""

_NAME = re.compile(r"segments-([0-9]{10,18})-([0-9]{10,18})-([0-9]{1,19})-([0-9]{1,19})\.seg", re.ASCII)


class SegmentFile(NamedTuple):
    """A file with segments, by its name.

    Attributes:
        first, last: numbers of the segments in it.
        after: the lowest position that one of them begins behind.
        upto: the position that the last one goes up to.
    """

    name: str
    first: int
    last: int
    after: int
    upto: int
    size: int


class Damage(NamedTuple):
    """Segments that cannot be read.

    Attributes:
        first, last: their numbers.
        reason: what is wrong with the file; None: there is none.
        file: its name.
    """

    first: int
    last: int
    reason: str | None = None
    file: str = ""

    def __str__(self) -> str:
        which = f"segment {self.first}" if self.first == self.last else f"segments {self.first} to {self.last}"
        if self.reason is None:
            return f"{which}: missing"
        return f"{which}: {self.reason} ({self.file})"


class Segments(NamedTuple):
    """What the names of a folder say.

    Attributes:
        files: in order of their numbers; what lies between two of them is missing.
        superfluous: files whose segments are all in another one, and half written ones.
    """

    files: list[SegmentFile]
    superfluous: list[str]

    @property
    def last(self) -> int:
        """The highest number; 0: there is none."""
        return self.files[-1].last if self.files else 0

    @property
    def missing(self) -> list[Damage]:
        """What lies between two files."""
        return [Damage(one.last + 1, two.first - 1) for one, two in pairwise(self.files) if two.first > one.last + 1]

    def since(self, position: int, upto: int | None = None) -> list[SegmentFile]:
        """The files with all that was written when the log ended at a position or behind it, and one before.

        Args:
            upto: without those that are not needed to know the log up to there, but for the next one: what is
                missing in between shows by it.
        """
        start = len(self.files)
        while start and self.files[start - 1].upto >= position:
            start -= 1
        start = max(0, start - 1)
        if upto is None:
            return self.files[start:]
        needed = [place for place, one in enumerate(self.files) if one.after < upto]
        return self.files[start : max([start, *needed]) + 2]


def listed(target: Target) -> Segments:
    """What is there now.

    Raises:
        FolderUnusable: it cannot be read.
    """
    found = target.files()
    sizes = {name: info.size for name, info in found.items()}
    files: list[SegmentFile] = []
    superfluous = [name for name in sizes if name.endswith(PART) and _NAME.fullmatch(name.removesuffix(PART))]
    for one in sorted(_parsed(sizes), key=lambda one: (one.first, -one.last)):
        if files and one.last <= files[-1].last:
            superfluous.append(one.name)
        else:
            files.append(one)
    return Segments(files, superfluous)


def name_of(segments: Sequence[Segment]) -> str:
    """Of a file with these segments."""
    first, last, after = segments[0].head, segments[-1].head, min(one.head.after for one in segments)
    return f"segments-{first.number:010}-{last.number:010}-{after}-{last.upto}.seg"


def read(target: Target, file: SegmentFile) -> tuple[list[Segment], Damage | None]:
    """The segments in a file that are what its name says, and what is not."""
    try:
        found, reason = segments_of(target.read(file.name))
    except OSError as error:
        found, reason = [], error.strerror or str(error)
    good: list[Segment] = []
    for number, one in enumerate(found, file.first):
        if one.head.number != number:
            return good, Damage(number, file.last, f"it is segment {one.head.number}", file.name)
        good.append(one)
    next_number = file.first + len(good)
    if reason is not None and next_number <= file.last:
        return good, Damage(next_number, file.last, reason, file.name)
    if next_number <= file.last:
        return good, Damage(next_number, file.last, "torn: it ends too early", file.name)
    if reason is not None or next_number > file.last + 1:
        return good[: file.last - file.first + 1], Damage(file.last, file.last, "more than it should hold", file.name)
    if name_of(good) != file.name:
        return good, Damage(file.last, file.last, f"its name should be {name_of(good)}", file.name)
    return good, None


def write(target: Target, segments: Sequence[Segment]) -> None:
    """Make a file of them, durably.

    Raises:
        FolderUnusable: it cannot be written.
    """
    target.write(name_of(segments), b"".join(one.data for one in segments))


def put_together(target: Target, found: Segments) -> None:
    """Make few files of many that hold one segment each; what cannot be read is left as it is.

    Raises:
        FolderUnusable: it cannot be written.
    """
    run: list[Segment] = []
    names: list[str] = []
    for file in found.files:
        segments, damage = read(target, file) if file.first == file.last else ([], None)
        if not segments or damage or not _fits(run, segments[0]):
            _replace(target, run, names)
            run, names = [], []
        if segments and not damage:
            run, names = run + segments, [*names, file.name]
    _replace(target, run, names)


def remove(target: Target, names: Sequence[str]) -> None:
    """Delete files, the first ones first.

    Raises:
        FolderUnusable: not all are deleted.
    """
    for name in names:
        target.remove(name)


def unneeded(found: Segments, oldest_head: int) -> list[SegmentFile]:
    """The files that end before the oldest backup does, so that none builds upon them: a beginning of all."""
    for place, one in enumerate(found.files):
        if one.upto >= oldest_head:
            return found.files[: max(0, place - 1)]  # the one before tells whether the next is the first that counts
    return found.files[:-1]


def _parsed(sizes: Mapping[str, int]) -> Iterator[SegmentFile]:
    for name, size in sizes.items():
        if match := _NAME.fullmatch(name):
            first, last, after, upto = map(int, match.groups())
            if 1 <= first <= last:
                yield SegmentFile(name, first, last, after, upto, size)


def _fits(run: Sequence[Segment], one: Segment) -> bool:
    """Whether it may follow upon others in one file."""
    size = sum(len(other.data) for other in run) + len(one.data)
    return not run or (one.head.number == run[-1].head.number + 1 and size <= LONGEST_BYTES)


def _replace(target: Target, run: Sequence[Segment], names: Sequence[str]) -> None:
    if len(run) > 1:
        write(target, run)
        remove(target, names)

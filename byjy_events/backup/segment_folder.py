"""The segments among the files of a target: what their names say, reading and writing them, several in one file.

A name says which segments are in the file, the position that they begin behind, and the one that the last goes up to:
``segments-0000000001-0000000500-203117-217003.seg``. When several files are put together, the one that holds them all
is there, and was read back, before they are deleted; a process that is killed in between leaves files with nothing new
in them, which the next one deletes. Until then they stand in for one that is damaged: a name alone proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
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
        covered: files whose segments should all be in this one.
    """

    name: str
    first: int
    last: int
    after: int
    upto: int
    covered: tuple[SegmentFile, ...] = ()


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
        parts: names of half written ones.
    """

    files: list[SegmentFile]
    parts: list[str]

    @property
    def last(self) -> int:
        """The highest number; 0: there is none."""
        return self.files[-1].last if self.files else 0

    @property
    def missing(self) -> list[Damage]:
        """What lies between two files."""
        return [Damage(one.last + 1, two.first - 1) for one, two in pairwise(self.files) if two.first > one.last + 1]

    def since(self, position: int, number: int | None = None, upto: int | None = None) -> list[SegmentFile]:
        """The files with all that was written since a backup was begun, and with what that goes on from.

        Args:
            position: that the backup ends with.
            number: of the last segment that was there when it was begun; None: nobody knows.
            upto: without those that are not needed to know the log up to there, but for the next one: what is
                missing in between shows by it.
        """
        start = self.start(position, number)
        if upto is None:
            return self.files[start:]
        needed = [place for place, one in enumerate(self.files) if one.after < upto]
        return self.files[start : max([start, *needed]) + 2]

    def start(self, position: int, number: int | None = None) -> int:
        """The place of the first of those files.

        Where the log was restored to an earlier point, the next segment goes on from one that ended there, and that
        may be long before.
        """
        counting = (one.upto >= position or (number is not None and one.last > number) for one in self.files)
        start = max(0, next((place for place, counts in enumerate(counting) if counts), len(self.files)) - 1)
        for place in range(len(self.files) - 1, 0, -1):
            back = self.files[place].after
            if place > start and back < self.files[place - 1].upto:
                start = min(start, next(at for at, one in enumerate(self.files) if one.upto >= back))
        return start


def listed(target: Target) -> Segments:
    """What is there now.

    Raises:
        FolderUnusable: it cannot be read.
    """
    found = target.files().keys()
    parts = [name for name in found if name.endswith(PART) and _NAME.fullmatch(name.removesuffix(PART))]
    files: list[SegmentFile] = []
    for one in sorted(_parsed(found), key=lambda one: (one.first, -one.last)):
        if files and one.last <= files[-1].last:
            files[-1] = files[-1]._replace(covered=(*files[-1].covered, one))
        else:
            files.append(one)
    return Segments(files, parts)


def name_of(segments: Sequence[Segment]) -> str:
    """Of a file with these segments."""
    first, last, after = segments[0].head, segments[-1].head, min(one.head.after for one in segments)
    return f"segments-{first.number:010}-{last.number:010}-{after}-{last.upto}.seg"


def read(target: Target, file: SegmentFile) -> tuple[list[Segment], Damage | None]:
    """The segments in a file that are what its name says, and what is not."""
    good, damage = _read(target, file)
    if damage is None:
        return good, None
    for one in file.covered:
        if one.first == file.first + len(good):
            good += _read(target, one)[0]
    return good, damage._replace(first=max(damage.first, min(file.first + len(good), damage.last)))


def _read(target: Target, file: SegmentFile) -> tuple[list[Segment], Damage | None]:
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


def sweep(target: Target, found: Segments) -> None:
    """Delete what a process that was killed left: half written files, and those whose segments are all in another one.

    Raises:
        FolderUnusable: not all are deleted.
    """
    for name in found.parts:
        target.remove(name)
    for file in found.files:
        whole = {one.digest for one in _read(target, file)[0]} if file.covered else set()
        for one in file.covered:
            segments, damage = _read(target, one)
            if damage is None and whole.issuperset(segment.digest for segment in segments):
                target.remove(one.name)


def has_changed(target: Target, found: Segments) -> bool:
    """Whether files are gone since they were listed: put together by their writer, or pruned.

    Raises:
        FolderUnusable: it cannot be read.
    """
    return not target.files().keys() >= {one.name for one in found.files}


def unneeded(found: Segments, backups: Iterable[tuple[int, int]]) -> list[SegmentFile]:
    """The files that none of some backups builds upon: a beginning of all.

    Args:
        backups: where each ends, and the number of the last segment that was there when it was begun.
    """
    return found.files[: min((found.start(*one) for one in backups), default=0)]


def _parsed(names: Iterable[str]) -> Iterator[SegmentFile]:
    for name in names:
        if match := _NAME.fullmatch(name):
            first, last, after, upto = map(int, match.groups())
            if 1 <= first <= last:
                yield SegmentFile(name, first, last, after, upto)


def _fits(run: Sequence[Segment], one: Segment) -> bool:
    """Whether it may follow upon others in one file, whose name has to tell how far all of them go."""
    size = sum(len(other.data) for other in run) + len(one.data)
    if not run:
        return True
    last = run[-1].head
    return one.head.number == last.number + 1 and one.head.after >= last.upto and size <= LONGEST_BYTES


def _replace(target: Target, run: Sequence[Segment], names: Sequence[str]) -> None:
    if len(run) < 2:
        return
    write(target, run)
    with suppress(OSError):  # it cannot be read: then the others stay
        if target.read(name_of(run)) == b"".join(one.data for one in run):
            for name in names:
                target.remove(name)

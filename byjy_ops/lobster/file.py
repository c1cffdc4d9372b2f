"""LOBSTER's files: what their names say, and their lines, compressed or not."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import BinaryIO

from byjy_ops.errors import InvalidInput

_NAME = re.compile(r"(?P<symbol>[A-Z][A-Z0-9.\-]{0,15})(_(?P<date>\d{4}-\d{2}-\d{2}))?(_.*)?\.csv(\.gz)?", re.ASCII)
_GZIP_MAGIC = b"\x1f\x8b"
_YEARS = range(1970, 2262)
"""Whose instants are nanoseconds since 1970 in 64 bits."""
_EXPECTED = "expected a name like AAPL_2012-06-21_34200000_57600000_message_10.csv"


class MessageFile:
    """A message file that is there. ``TICKER_YYYY-MM-DD_START_END_message_LEVEL.csv``, or with ``.gz`` behind it.

    Attributes:
        symbol: from the name.
        date: the trading date, from the name, or else as given.
    """

    def __init__(self, path: Path, on: date | None = None) -> None:
        """
        Raises:
            InvalidInput: the file cannot be read, or its name does not say what it holds.
        """
        self.path = path
        with _opened(path) as file:
            if not file.read(1):
                raise InvalidInput(path, None, None, "the file is empty")
        self.symbol, named = _named(path)
        if named is not None and on is not None and named != on:
            raise InvalidInput(path, None, None, f"the name says {named}, --date says {on}")
        told = named or on
        if told is None:
            raise InvalidInput(path, None, None, f"no trading date in the name: give --date; {_EXPECTED}")
        if told.year not in _YEARS:
            raise InvalidInput(path, None, None, f"the trading date {told} is out of range")
        self.date = told
        self.bytes = path.stat().st_size
        self.bytes_read = 0

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines with their numbers, from 1; ``bytes_read`` follows.

        Raises:
            InvalidInput: compressed data end early or are damaged; the lines before were yielded.
        """
        number = 0
        try:
            with _opened(self.path) as raw, _unpacked(raw) as lines:
                for number, line in enumerate(lines, 1):
                    if number % 1024 == 0:
                        self.bytes_read = raw.tell()
                    yield number, line
        except EOFError:
            raise InvalidInput(self.path, number + 1, None, "the compressed data end early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InvalidInput(self.path, number + 1, None, f"the compressed data are damaged: {error}") from None
        self.bytes_read = self.bytes


def _named(path: Path) -> tuple[str, date | None]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise InvalidInput(path, None, None, f"no ticker in the name: {_EXPECTED}")
    if "_orderbook_" in path.name:
        raise InvalidInput(path, None, None, "an order book file; the message file of the same day is wanted")
    if match["date"] is None:
        return match["symbol"], None
    try:
        return match["symbol"], date.fromisoformat(match["date"])
    except ValueError:
        raise InvalidInput(path, None, None, f"{match['date']} in the name is no date") from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(path, None, None, error.strerror or str(error)) from None
    with file:
        yield file


@contextmanager
def _unpacked(raw: BinaryIO) -> Iterator[Iterator[bytes]]:
    """The lines of a file, whichever way it is stored: its first bytes tell more surely than its name."""
    packed = raw.read(2) == _GZIP_MAGIC
    raw.seek(0)
    if not packed:
        yield iter(raw)
        return
    with gzip.GzipFile(fileobj=raw) as unpacked:
        yield iter(unpacked)

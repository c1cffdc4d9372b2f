"""Listings: the same rows as a table for people, or as JSON Lines for programs.

JSON: one object a line, keys named as the columns, decimals and ids as strings, instants as integer nanoseconds UTC.

Tables: on a terminal, columns that do not fit are left out from the right, and standard error says so; into a pipe goes
everything, nothing cut or wrapped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any, NamedTuple

import msgspec

from byjy_events.numbers import spelled
from byjy_ops.errors import OutputClosed

Cells = Mapping[str, Any]
"""A row by the names of its columns."""

_GAP = 2
_encode = msgspec.json.Encoder().encode


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        name: of the value in the row.
        title: above it; empty: the name.
        right: whether it is aligned to the right, as numbers are.
        instant: whether the value is nanoseconds UTC.
        width: at least so wide, for tables that come in pieces.
        written: how people read the value, if not as :func:`text` has it.
    """

    name: str
    title: str = ""
    right: bool = False
    instant: bool = False
    width: int = 0
    written: Callable[[Any], str] | None = None

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return self.title or self.name

    def cell(self, row: Cells) -> str:
        """The value as people read it."""
        value = row[self.name]
        if self.written is not None:
            return self.written(value)
        return utc(value, 3) if self.instant and value is not None else text(value)


class Listing:
    """Writes rows to standard output, all at once or as they come.

    Args:
        columns: of the table, the most important first.
    """

    def __init__(self, columns: Sequence[Column], *, as_json: bool) -> None:
        self._columns = tuple(columns)
        self._as_json = as_json
        self._chosen: tuple[Column, ...] = ()

    def write(self, rows: Sequence[Cells]) -> None:
        """The next rows.

        Raises:
            OutputClosed: nobody reads any more.
        """
        if self._as_json:
            write_json(rows)
        elif rows:
            self._write_table([[column.cell(row) for column in self._columns] for row in rows])

    def _write_table(self, cells: Sequence[Sequence[str]]) -> None:
        first = not self._chosen
        if first:
            self._chosen = self._columns[: _fitting(self._columns, cells)]
            if hidden := self._columns[len(self._chosen) :]:
                tell(f"not shown for want of room: {', '.join(column.heading for column in hidden)}")
        emit(_table(self._chosen, [row[: len(self._chosen)] for row in cells], header=first))


def write_json(rows: Iterable[Cells]) -> None:
    """Rows as JSON Lines.

    Raises:
        OutputClosed: nobody reads any more.
    """
    emit("".join(f"{_encode(plain(row)).decode()}\n" for row in rows))


def plain(value: Any) -> Any:
    """A value as JSON has it: decimals in canonical digits, bytes in hexadecimal digits."""
    if isinstance(value, Decimal):
        return spelled(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def text(value: Any) -> str:
    """A value as people read it. What a venue sent cannot move the terminal's cursor."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return spelled(value)
    written = str(value)
    if written.isprintable():
        return written
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in written)


def utc(nanoseconds: int, digits: int = 9) -> str:
    """An instant as ``2012-06-21 13:30:00.004241176``, cut to so many digits."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):  # before the year 1 or after 9999: venues say anything
        return f"{nanoseconds} ns"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{f'{fraction:09}'[:digits]}"


def age(seconds: float) -> str:
    """A time span in its two largest units: ``12.3s``, ``4m12s``, ``3h05m``, ``2d04h``."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def emit(written: str) -> None:
    """Write to standard output at once.

    Raises:
        OutputClosed: nobody reads any more.
    """
    try:
        sys.stdout.write(written)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends; there has to be something to flush into.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputClosed from None


def tell(sentence: str) -> None:
    """A word to the operator, on standard error, so that it never mixes with the rows."""
    print(f"byjy: {sentence}", file=sys.stderr)


def _fitting(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> int:
    """How many columns the terminal has room for; at least one."""
    room = terminal_width()
    if room is None:
        return len(columns)
    used = -_GAP
    for index, column in enumerate(columns):
        used += _GAP + max(column.width, len(column.heading), *(len(row[index]) for row in cells))
        if used > room:
            return max(1, index)
    return len(columns)


def terminal_width() -> int | None:
    """Columns of the terminal; None: the output goes somewhere else, and may be as wide as it is."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console().width


def _table(columns: Sequence[Column], cells: Sequence[Sequence[str]], *, header: bool) -> str:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=header, header_style="bold")
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            min_width=max(column.width, len(column.heading)),
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(_verbatim(cell) for cell in row))
    return rendered(table)


def _verbatim(cell: str) -> Any:
    """Text, so that square brackets of a venue are not taken for markup."""
    from rich.text import Text

    return Text(cell)


def rendered(renderable: Any) -> str:
    """What Rich makes of something, without trailing blanks."""
    from rich.console import Console

    written = StringIO()
    width = terminal_width()
    console = Console(
        file=written, width=width or 100_000, force_terminal=width is not None, legacy_windows=False, highlight=False
    )
    console.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())

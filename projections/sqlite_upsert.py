"""One INSERT … ON CONFLICT for many rows, with a single parameter for every column in which they all agree.

Handing a parameter to SQLite's driver takes about as long as storing the value, and the interpreter lock with it. Rows
that are stored together agree in many columns: the account, what is not set, what nobody told. SQLite's parameters have
numbers, so such a column is handed over once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

FORMED_FROM = 32
"""Rows from which on a statement has forms: for fewer, SQLite would parse more than the driver is spared."""

FORMS = 16
"""Texts of one statement that are kept, each for other columns that agree. SQLite has to parse each of them once."""


class Upsert:
    """A statement for a number of rows.

    Attributes:
        rows: that number.
    """

    def __init__(self, into: str, on_conflict: str, rows: int, width: int) -> None:
        self.rows = rows
        self._into = into
        self._on_conflict = on_conflict
        self._width = width
        self._texts = {0: self._text(0)}

    def filled(self, columns: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        """The statement for rows that are given by their columns, and its parameters."""
        agreeing = 0
        if self.rows >= FORMED_FROM:
            for index, column in enumerate(columns):
                if column[0] == column[-1] and column.count(column[0]) == self.rows:
                    agreeing |= 1 << index
        text = self._texts.get(agreeing)
        if text is None:
            agreeing, text = self._form(agreeing)
        once = [column[0] for index, column in enumerate(columns) if agreeing >> index & 1]
        each = [column for index, column in enumerate(columns) if not agreeing >> index & 1]
        return text, once + list(chain.from_iterable(zip(*each, strict=True)))

    def _form(self, agreeing: int) -> tuple[int, str]:
        """A text for these columns, or, when there are too many texts already, the best one that will do."""
        if len(self._texts) < FORMS:
            self._texts[agreeing] = self._text(agreeing)
        else:
            agreeing = max((one for one in self._texts if one & agreeing == one), key=int.bit_count)
        return agreeing, self._texts[agreeing]

    def _text(self, agreeing: int) -> str:
        next_once, next_each = 1, agreeing.bit_count() + 1
        rows = []
        for _ in range(self.rows):
            marks = []
            next_once = 1
            for index in range(self._width):
                if agreeing >> index & 1:
                    marks.append(f"?{next_once}")
                    next_once += 1
                else:
                    marks.append(f"?{next_each}")
                    next_each += 1
            rows.append(f"({', '.join(marks)})")
        return f"{self._into}{', '.join(rows)}{self._on_conflict}"

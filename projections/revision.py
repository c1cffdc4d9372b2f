"""Events that revise the past: a trade that never was, or was otherwise; two orders that turn out to be one.

The fold of such an event needs more rows than the event names, e.g. every trade of a position since it was last flat.
So it is a conversation: :meth:`Revision.revise` yields what it asks for, is sent the rows, and returns what becomes of
them. It does no I/O and sees the tables exactly as of the event before. Whoever folds stores everything up to there
first, answers from the tables, and folds on with what was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar, Protocol

import sqlalchemy as sa
from msgspec import Struct

from byjy_events.event import Event
from byjy_events.recorded import Recorded

Key = Any


class Ask(Struct, frozen=True, kw_only=True):
    """Some rows of one table of the group.

    Attributes:
        row_type: of the projection whose rows are wanted.
        equal: columns and the value that each has; not None.
        by: columns whose order the rows come in; those of the key, unless it is given. Integers, if bounded.
        after, before: bounds of the first column of ``by``, both excluded.
        newest_first: in descending order.
        limit: at most so many; None: all.
    """

    row_type: type[Struct]
    equal: dict[str, Any]
    by: tuple[str, ...] = ()
    after: int | None = None
    before: int | None = None
    newest_first: bool = False
    limit: int | None = None


class Revised(Struct, frozen=True):
    """What becomes of rows.

    Attributes:
        rows: new or different ones, of any projections of the group, each key once.
        gone: type and key of those that are no more.
    """

    rows: Sequence[Struct] = ()
    gone: Sequence[tuple[type[Struct], Key]] = ()


Part = tuple[list[Struct], list[tuple[type[Struct], Key]]]
"""Rows and gone of an answer that is put together from several."""

Asking = Generator[Ask, Sequence[Any], Part]
"""A part of the conversation."""

Revising = Generator[Ask, Sequence[Any], Revised]
"""Yields what it asks for, is sent the rows that there are, returns what becomes of them."""


class Revision(Protocol):
    """How some types of event revise the rows of a group.

    Attributes:
        handles: these types. Projections may handle them too, and then come first.
    """

    handles: ClassVar[frozenset[type[Event]]]

    def revise(self, recorded: Recorded) -> Revising:
        """Fold one event. Pure but for what it is sent: the same rows, the same answer."""
        ...


def select_of(ask: Ask, table: sa.Table, placeholder: Callable[[int], str]) -> tuple[str, list[tuple[str, Any]]]:
    """The statement that finds what is asked for, and for each of its parameters the column and the value.

    Args:
        placeholder: the driver's name for the n-th parameter, from 1.
    """
    by = ask.by or tuple(column.name for column in table.primary_key.columns)
    parameters: list[tuple[str, Any]] = []
    where = []
    bounds = [(by[0], ">", ask.after), (by[0], "<", ask.before)]
    for name, operator, value in [*((name, "=", value) for name, value in ask.equal.items()), *bounds]:
        if value is not None:
            parameters.append((name, value))
            where.append(f"{name} {operator} {placeholder(len(parameters))}")
    order = ", ".join(f"{name} DESC" if ask.newest_first else name for name in by)
    columns = ", ".join(column.name for column in table.columns)
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    limit = "" if ask.limit is None else f" LIMIT {ask.limit:d}"
    return f"SELECT {columns} FROM {table.name}{condition} ORDER BY {order}{limit}", parameters  # noqa: S608

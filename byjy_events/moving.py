"""Going up or down in the schema with a count of everything before and after.

What a migration takes along is refused before the commit, so the database stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from byjy_events import migrating
from byjy_events.errors import ByjyError
from byjy_events.inventory import Difference, Inventory, Part, differences, taken
from byjy_events.schema import events

OUTDATED = ""
"""The version of a group that wants a rebuild: no fold has it."""


class WouldLoseData(ByjyError):
    """A migration would take along what no rebuild brings back. It was rolled back.

    Attributes:
        to: the revision that was to be reached.
        lost: rows and values; none of the log, of which nothing is ever lost.
        parts: indexes, triggers, columns and constraints that somebody added by hand.
    """

    def __init__(self, to: str, lost: Sequence[Difference], parts: Sequence[Part] = ()) -> None:
        self.to = to
        self.lost = tuple(lost)
        self.parts = tuple(parts)
        listed = "; ".join(map(str, (*lost, *parts)))
        super().__init__(f"schema {to} would lose what no rebuild brings back: {listed} (--lose-data does it anyway)")


class LogChanged(ByjyError):
    """A migration would change the log itself, or lose events. It was rolled back.

    Attributes:
        to: the revision that was to be reached.
        lost: what would differ; empty if it is the newest event's leaf hash.
    """

    def __init__(self, to: str, lost: Sequence[Difference]) -> None:
        self.to = to
        self.lost = tuple(lost)
        what = "; ".join(map(str, lost)) or "another leaf hash at its end"
        super().__init__(f"schema {to} would change the log itself: {what}")


class Moved(NamedTuple):
    """What a migration did, or would do.

    Attributes:
        rebuilt: what it took from tables that a rebuild makes anew.
    """

    before: Inventory
    after: Inventory
    rebuilt: Sequence[Difference]


def move(
    url: sa.URL,
    to: str,
    *,
    owners: Mapping[str, str],
    lose_data: bool = False,
    values: bool = True,
    keep: bool = True,
    going_on: Callable[[], object] = lambda: None,
) -> Moved:
    """Go up or down to a revision, and count before and after, in one transaction. Blocks.

    What is taken from a table that a group of projections owns can be rebuilt: going down is allowed to, going up is
    not, unless told. In the same transaction such a group is marked as of another version, so that it is rebuilt
    before it goes on, and never runs on half of its rows.

    Args:
        to: a revision, as :func:`byjy_events.revisions.resolved` gives it.
        owners: the name of the group by table.
        lose_data: whether everything else but the log may be lost.
        values: whether the values of every column are counted, not only rows.
        keep: whether it stays; else everything is rolled back in the end. While it lasts, nobody else can write.
        going_on: called last before the commit; what it raises rolls everything back.

    Raises:
        MigrationFailed, BrokenReferences: as in :func:`byjy_events.migrating.upgrade`; also where a disk was full.
        WouldLoseData, LogChanged: see there; nothing was changed.
    """
    done: list[Moved] = []

    def work(connection: sa.Connection) -> Moved:
        _lock_tables(connection)
        before = taken(connection, values=values)
        direction = "upgrade" if is_up(before.revision, to) else "downgrade"
        migrating.migrate(connection, direction, to, counted=True)
        moved = told(before, taken(connection, values=values), owners, lose_data=lose_data)
        _mark_outdated(connection, {owners[one.table] for one in moved.rebuilt})
        going_on()
        if not keep:
            raise _RolledBack(moved)
        done.append(moved)
        return moved

    try:
        return migrating.exclusively(url, work)
    except _RolledBack as well:
        return well.moved
    except sa.exc.DBAPIError as error:
        # A COMMIT that failed may have been one: only another look tells.
        if done and migrating.exclusively(url, migrating.revision_of) == to:
            return done[0]
        raise migrating.MigrationFailed(to, migrating.cause_of(error)) from error


def is_up(found: str | None, to: str) -> bool:
    """Whether a revision lies ahead. They are numbered, and so compare as text."""
    return found is None or found <= to


def told(
    before: Inventory, after: Inventory, owners: Mapping[str, str], *, lose_data: bool, parts: Collection[Part] = ()
) -> Moved:
    """What a migration did.

    Args:
        parts: that would be lost and belong to somebody else.

    Raises:
        WouldLoseData, LogChanged: it must not have done that.
    """
    to, changed = after.revision or "base", differences(before, after)
    of_the_log = [one for one in changed if one.table == events.name]
    if of_the_log or before.head != after.head:
        raise LogChanged(to, of_the_log)
    rebuilt = [one for one in changed if one.table in owners]
    lost = changed if is_up(before.revision, to) else [one for one in changed if one.table not in owners]
    if (lost or parts) and not lose_data:
        raise WouldLoseData(to, lost, sorted(parts))
    return Moved(before, after, rebuilt)


class _RolledBack(Exception):
    """Everything went well, and shall not stay."""

    def __init__(self, moved: Moved) -> None:
        self.moved = moved
        super().__init__()


def _mark_outdated(connection: sa.Connection, groups: Collection[str]) -> None:
    if groups and sa.inspect(connection).has_table(migrating.CHECKPOINT_TABLE):
        mark = sa.text("UPDATE projection_checkpoints SET version = :version WHERE group_name IN :groups")
        named = mark.bindparams(sa.bindparam("groups", expanding=True))
        connection.execute(named, {"version": OUTDATED, "groups": sorted(groups)})


def _lock_tables(connection: sa.Connection) -> None:
    """On SQLite nobody else writes anyway. As for the order, see :mod:`byjy_events.migrating`."""
    if connection.dialect.name == "postgresql":
        quote = connection.dialect.identifier_preparer.quote
        names = sorted(sa.inspect(connection).get_table_names(), key=lambda name: name != migrating.CHECKPOINT_TABLE)
        if names:
            connection.exec_driver_sql(f"LOCK TABLE {', '.join(map(quote, names))} IN ACCESS EXCLUSIVE MODE")

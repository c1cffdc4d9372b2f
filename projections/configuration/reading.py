"""Reading configuration: one key from its stream, many from the table and what the log has beyond it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from byjy_events.errors import LogUnavailable
from byjy_events.event import Event
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.stream import CONFIGURATION as CATEGORY
from byjy_events.stream import configuration_stream
from byjy_events.vocabulary.configuration import ConfigurationSet
from projections.checkpoints import GroupState, projection_checkpoints
from projections.configuration.keys import is_of
from projections.configuration.projection import CONFIGURATION
from projections.configuration.setting import CHANGES, Setting, setting_of, setting_of_row
from projections.configuration.table import PAGE, ConfigurationRow, settings_page
from projections.queries import rows_of
from projections.statements import Statement

VERSIONS = 100
"""Versions that one statement fetches."""


class Current(NamedTuple):
    """Where a key stands.

    Attributes:
        setting: its last version, which may be its removal; None: it never had one.
        stream_version: of its stream, where revealing counts too.
        is_secret: whether its value is secret, or was before it was removed.
    """

    setting: Setting | None
    stream_version: int
    is_secret: bool = False

    @property
    def version(self) -> int:
        """The version of the value that there is; 0: there is none."""
        return 0 if self.setting is None or self.setting.is_removed else self.setting.version

    @property
    def changes(self) -> int:
        """How many versions there were, removals too."""
        return 0 if self.setting is None else self.setting.version


class Snapshot(NamedTuple):
    """The values of many keys at one moment.

    Attributes:
        settings: by key, in the order of the keys; removed ones are not among them.
        position: the moment: every event of the log up to there counts, and none beyond.
    """

    settings: dict[str, Setting]
    position: int


async def current(log: EventLog, key: str) -> Current:
    """The truth of one key, whatever is projected."""
    last = await _last(log, key)
    if last is None:
        return Current(None, 0)
    changed = last if isinstance(last.event, CHANGES) else await _last(log, key, CHANGES)
    if changed is None:
        return Current(None, last.stream_version)
    setting = setting_of(changed)
    value = await _last(log, key, (ConfigurationSet,)) if setting.is_removed else changed
    return Current(setting, last.stream_version, value is not None and setting_of(value).is_secret)


async def versions(
    log: EventLog, key: str, *, newest_first: bool = False, wanted: int | None = None
) -> AsyncGenerator[Setting, None]:
    """Every version of a key, in pieces: each may hold 256 KiB.

    Args:
        wanted: how many will be looked at; None: nobody knows.
    """
    size = VERSIONS if wanted is None else min(VERSIONS, wanted)
    stream = configuration_stream(key)
    after, upto = 0, await log.head()
    while True:
        page = log.read(after=after, upto=upto, stream=stream, types=CHANGES, backward=newest_first, limit=size)
        found = [one async for one in page]
        for one in found:
            yield setting_of(one)
        if len(found) < size:
            return
        after, upto = (after, found[-1].position - 1) if newest_first else (found[-1].position, upto)


async def _last(log: EventLog, key: str, types: Collection[type[Event]] | None = None) -> Recorded | None:
    async for recorded in log.read(stream=configuration_stream(key), types=types, backward=True, limit=1):
        return recorded
    return None


async def snapshot(log: EventLog, names: Collection[str]) -> Snapshot:
    """The values of the keys that these are, or that are beneath them; without names all.

    What the table lacks is taken from the log: nothing if a projector runs, everything if none ever did, which takes a
    look at the whole log. Rows and log are read one after the other, without a transaction around both: an event says
    all of its key, so applying it to a row that has it already changes nothing.
    """
    position, found = await _projected(log, names)
    head = await log.head()
    async for recorded in log.read(after=position, upto=head, categories=(CATEGORY,), types=CHANGES):
        setting = setting_of(recorded)
        if is_of(setting.key, names):
            found[setting.key] = setting
    return Snapshot({key: found[key] for key in sorted(found) if not found[key].is_removed}, head)


async def _projected(log: EventLog, names: Collection[str]) -> tuple[int, dict[str, Setting]]:
    """How far the table is, and its rows; or position 0 and no rows, if they cannot be relied on."""
    before = await _generation(log)
    if before is None:
        return 0, {}
    found: dict[str, Setting] = {}
    for name in names or (None,):
        await _add_rows(log, name, found)
    after = await _generation(log)
    if after is None or after.generation != before.generation:  # a rebuild began among the rows
        return 0, {}
    return before.position, found


async def _add_rows(log: EventLog, name: str | None, found: dict[str, Setting]) -> None:
    last: str | None = None
    while True:
        rows = rows_of(ConfigurationRow, await _fetched(log, settings_page(name, last, PAGE)))
        found.update({row.key: setting_of_row(row) for row in rows})
        if len(rows) < PAGE:
            return
        last = rows[-1].key


class _Generation(NamedTuple):
    position: int
    generation: int


async def _generation(log: EventLog) -> _Generation | None:
    c = projection_checkpoints.c
    statement = sa.select(c.position, c.generation, c.version, c.status).where(c.group_name == CONFIGURATION.name)
    row = next(iter(await _fetched(log, statement)), None)
    if row is None or row.status == GroupState.REBUILDING or not CONFIGURATION.accepts(row.version):
        return None
    return _Generation(row.position, row.generation)


async def _fetched(log: EventLog, statement: Statement) -> Sequence[sa.Row[Any]]:
    try:
        async with log.engine.connect() as connection:
            return (await connection.execute(statement)).all()
    except (OSError, sa.exc.DBAPIError) as error:
        raise LogUnavailable(str(error)) from error

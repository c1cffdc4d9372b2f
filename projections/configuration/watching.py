"""Watching configuration: the values of one moment, and every change after it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from byjy_events.log import EventLog
from byjy_events.stream import CONFIGURATION as CATEGORY
from projections.configuration.keys import is_of
from projections.configuration.reading import snapshot
from projections.configuration.setting import CHANGES, Setting, setting_of


async def watched(log: EventLog, names: Collection[str]) -> AsyncGenerator[Setting, None]:
    """See :meth:`projections.configuration.configuration.Configuration.watch`.

    The snapshot says up to which position it counts, and following begins right behind it: positions have no gaps, so
    neither has this.
    """
    first = await snapshot(log, names)
    for setting in first.settings.values():
        yield setting
    async with aclosing(log.follow_chunks(after=first.position)) as chunks:
        async for chunk in chunks:
            for recorded in chunk:
                if recorded.category == CATEGORY and isinstance(recorded.event, CHANGES):
                    setting = setting_of(recorded)
                    if is_of(setting.key, names):
                        yield setting

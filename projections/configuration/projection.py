"""The fold of ``configurations``: each event says all there is to say of its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from byjy_events.recorded import Recorded
from byjy_events.vocabulary.configuration import ConfigurationRemoved, ConfigurationSet
from projections.configuration.table import ConfigurationRow, configurations
from projections.projection import Group, Key, Projection, on


class Configurations(Projection[ConfigurationRow]):
    """``configurations``: one row for each key that ever had a value."""

    name = "configurations"
    version = 1
    table = configurations
    row_type = ConfigurationRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        return (event.key,)

    @on(ConfigurationSet)
    def set(
        self, row: ConfigurationRow | None, event: ConfigurationSet, recorded: Recorded, key: str
    ) -> ConfigurationRow:
        return ConfigurationRow(
            key=key,
            value=event.value or None,
            sealed_value=event.sealed_value or None,
            value_type=event.value_type,
            description=event.description,
            is_secret=event.is_secret,
            is_removed=False,
            version=event.version,
            updated_by=recorded.actor,
            created_at=recorded.effective_at if row is None else row.created_at,
            updated_at=recorded.effective_at,
            last_position=recorded.position,
        )

    @on(ConfigurationRemoved)
    def removed(
        self, row: ConfigurationRow | None, event: ConfigurationRemoved, recorded: Recorded, key: str
    ) -> ConfigurationRow:
        return ConfigurationRow(
            key=key,
            value=None,
            sealed_value=None,
            value_type=None,
            description="",
            is_secret=False,
            is_removed=True,
            version=event.version,
            updated_by=recorded.actor,
            created_at=recorded.effective_at if row is None else row.created_at,
            updated_at=recorded.effective_at,
            last_position=recorded.position,
        )


CONFIGURATION = Group("configuration", [Configurations()])
"""``configurations`` alone: no other table refers to it."""

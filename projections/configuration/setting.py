"""What a key of the configuration was set to, at one version."""

from __future__ import annotations

import json
from typing import Any, TypeVar, overload

import msgspec

from byjy_events.event import Event
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.configuration import ConfigurationRemoved, ConfigurationSet, ValueType
from projections.configuration.errors import ConfigurationNotSet, IsSecret, ValueMisfit
from projections.configuration.table import ConfigurationRow

T = TypeVar("T")

CHANGES: tuple[type[Event], ...] = (ConfigurationSet, ConfigurationRemoved)
"""The events that make a version each."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one key.

    Attributes:
        text: the value as JSON in its one spelling; None: it is secret, or removed.
        sealed_value: of a secret.
        value_type: None: removed.
        is_removed: the version that took the value away.
        updated_by: the actor.
        updated_at: nanoseconds UTC.
        position: of the event in the log; ``Projector.wait_for`` takes it.
    """

    key: str
    version: int
    text: str | None = None
    sealed_value: bytes | None = None
    value_type: ValueType | None = None
    description: str = ""
    is_secret: bool = False
    is_removed: bool = False
    updated_by: str
    updated_at: int
    position: int

    @property
    def value(self) -> Any:
        """The value as Python has JSON; made anew each time, so whoever changes it changes nothing else.

        Raises:
            IsSecret, ConfigurationNotSet: there is none to be shown.
        """
        return json.loads(self._shown())

    @overload
    def to(self, wanted: type[T]) -> T: ...
    @overload
    def to(self, wanted: Any) -> Any: ...
    def to(self, wanted: Any) -> Any:
        """The value as a type that msgspec knows: a Struct, a dataclass, ``Annotated[int, Meta(ge=1)]``.

        Raises:
            ValueMisfit: it is not of that type; names the field.
            IsSecret, ConfigurationNotSet: there is none to be shown.
        """
        return converted(self.key, self._shown(), wanted)

    def _shown(self) -> str:
        if self.is_removed:
            raise ConfigurationNotSet(self.key, self.version)
        if self.text is None:
            raise IsSecret(self.key, self.version)
        return self.text


def converted(key: str, text: str, wanted: Any) -> Any:
    """A value's JSON as a type, strictly: a text is no number, whatever it says.

    Raises:
        ValueMisfit: names the field.
    """
    try:
        return msgspec.json.decode(text, type=wanted)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        raise ValueMisfit(key, path.rstrip("`") or "$", reason[:1].lower() + reason[1:]) from None


def setting_of(recorded: Recorded) -> Setting:
    """The version that an event of :data:`CHANGES` made."""
    event, about = recorded.event, {"updated_by": recorded.actor, "position": recorded.position}
    if isinstance(event, ConfigurationSet):
        return Setting(
            key=event.key,
            version=event.version,
            text=event.value or None,
            sealed_value=event.sealed_value or None,
            value_type=event.value_type,
            description=event.description,
            is_secret=event.is_secret,
            updated_at=recorded.effective_at,
            **about,  # type: ignore[arg-type]
        )
    assert isinstance(event, ConfigurationRemoved)
    return Setting(
        key=event.key,
        version=event.version,
        is_removed=True,
        updated_at=recorded.effective_at,
        **about,  # type: ignore[arg-type]
    )


def setting_of_row(row: ConfigurationRow) -> Setting:
    """The version that a row holds."""
    return Setting(
        key=row.key,
        version=row.version,
        text=row.value,
        sealed_value=row.sealed_value,
        value_type=row.value_type,
        description=row.description,
        is_secret=row.is_secret,
        is_removed=row.is_removed,
        updated_by=row.updated_by,
        updated_at=row.updated_at,
        position=row.last_position,
    )

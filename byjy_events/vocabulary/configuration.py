"""Configuration: JSON values under namespaced keys, each with all that it ever was.

A key is spelled in one way only: segments of lower-case letters a to z, digits, ``_`` and ``-``, joined by dots. So no
two keys differ in case or Unicode form alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from byjy_events.errors import InvalidEvent
from byjy_events.event import Intent, Text, event_type
from byjy_events.json_text import InvalidJson, json_text

KEY_LENGTH = 255
"""Characters of a key."""

KEY_PATTERN = r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z"

VALUE_BYTES = 256 * 1024
"""UTF-8 of a value's JSON."""

_SEALED_BYTES = VALUE_BYTES + 64
"""A sealed value is a little longer than what it seals."""

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_LENGTH, pattern=KEY_PATTERN)]
Version = Annotated[int, msgspec.Meta(ge=1)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class ValueType(StrEnum):
    """What JSON a value is. A NUMBER may be written without decimals; an INTEGER never has any."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    OBJECT = "OBJECT"
    ARRAY = "ARRAY"
    NULL = "NULL"

    @classmethod
    def of(cls, text: str) -> ValueType:
        """The type of a value by its JSON text, as :func:`byjy_events.json_text.json_text` spells it."""
        if text.lstrip("-").isdigit():
            return cls.INTEGER
        return _BY_FIRST_CHARACTER.get(text[:1], cls.NUMBER)

    def takes(self, other: ValueType) -> bool:
        """Whether a value of another type is one of this type too."""
        return other is self or (self is ValueType.NUMBER and other is ValueType.INTEGER)


_BY_FIRST_CHARACTER = {
    '"': ValueType.STRING,
    "{": ValueType.OBJECT,
    "[": ValueType.ARRAY,
    "t": ValueType.BOOLEAN,
    "f": ValueType.BOOLEAN,
    "n": ValueType.NULL,
}


@event_type()
class ConfigurationSet(Intent, frozen=True, kw_only=True):
    """A key has this value from now on: the whole truth of it, not a difference.

    Attributes:
        value: JSON in its one spelling; empty: it is secret.
        sealed_value: the same of a secret, sealed for the key's stream, field ``value``; empty: it is plain.
        value_type: kept from one version to the next, unless somebody said otherwise.
        version: counts the changes of the key, removals too: 1, 2, 3, …
    """

    key: Key
    value: str
    sealed_value: bytes
    value_type: ValueType
    description: Text
    is_secret: bool
    version: Version

    def _check(self) -> None:
        if bool(self.value) == self.is_secret:
            raise InvalidEvent("ConfigurationSet", "value", "required, but for a secret, which has a sealed one")
        if bool(self.sealed_value) != self.is_secret:
            raise InvalidEvent("ConfigurationSet", "sealed_value", "required for a secret, and for nothing else")
        if len(self.sealed_value) > _SEALED_BYTES:
            raise InvalidEvent("ConfigurationSet", "sealed_value", f"more than {_SEALED_BYTES} bytes")
        if self.value:
            self._check_plain(self.value)

    def _check_plain(self, value: str) -> None:
        try:
            spelled = json_text("value", value, limit=VALUE_BYTES)
        except InvalidJson as error:
            raise InvalidEvent("ConfigurationSet", "value", error.reason) from None
        if spelled != value:
            raise InvalidEvent("ConfigurationSet", "value", "JSON, but not in its one spelling")
        if not self.value_type.takes(ValueType.of(value)):
            raise InvalidEvent("ConfigurationSet", "value_type", f"{self.value_type}, but {ValueType.of(value)} given")


@event_type()
class ConfigurationRemoved(Intent, frozen=True, kw_only=True):
    """A key has no value any more. What it was stays in the log, and its versions go on from there."""

    key: Key
    version: Version


@event_type()
class ConfigurationRevealed(Intent, frozen=True, kw_only=True):
    """Somebody, the actor, was shown a secret.

    Attributes:
        version: of the value that was shown.
        reason: what for.
    """

    key: Key
    version: Version
    reason: Reason

"""Keys: how they are spelled, what is beneath them, and which types are registered for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from byjy_events.vocabulary.configuration import KEY_LENGTH, KEY_PATTERN
from projections.configuration.errors import InvalidConfigurationKey

_BENEATH = ".*"
_SPELLED = re.compile(KEY_PATTERN)
_STRANGE = re.compile(r"[^a-z0-9._-]")


def checked_key(key: str) -> str:
    """The key itself.

    Raises:
        InvalidConfigurationKey: says what is wrong with it.
    """
    if not isinstance(key, str):
        raise InvalidConfigurationKey(key, "a key is a text")
    if not 1 <= len(key) <= KEY_LENGTH:
        raise InvalidConfigurationKey(key, f"{len(key)} characters, a key has 1 to {KEY_LENGTH}")
    if strange := _STRANGE.search(key):
        allowed = "a key has a to z in lower case, 0 to 9, _ and -, and dots between its segments"
        raise InvalidConfigurationKey(key, f"character {strange.start() + 1} is {strange[0]!a}: {allowed}")
    if not _SPELLED.match(key):
        raise InvalidConfigurationKey(key, "a segment is empty: a dot stands at an end, or beside another one")
    return key


def is_of(key: str, names: Collection[str]) -> bool:
    """Whether a key is one of these, or beneath one; without names every key is."""
    return not names or any(key == name or key.startswith(f"{name}.") for name in names)


class RegisteredTypes:
    """The types that values have to be of, by key; ``risk.*`` for all that is beneath ``risk``.

    A key itself goes before what it is beneath, and of those the longest.
    """

    def __init__(self, types: Mapping[str, Any]) -> None:
        self._exact = {}
        self._beneath = {}
        for name, wanted in types.items():
            if isinstance(name, str) and name.endswith(_BENEATH):
                self._beneath[checked_key(name.removesuffix(_BENEATH))] = wanted
            else:
                self._exact[checked_key(name)] = wanted

    def of(self, key: str) -> Any:
        """The type for a key; None: none is registered."""
        if key in self._exact:
            return self._exact[key]
        while "." in key:
            key = key.rpartition(".")[0]
            if key in self._beneath:
                return self._beneath[key]
        return None

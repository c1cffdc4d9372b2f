"""What configuration raises. No error holds a secret.

::

    ByjyError
    └── ConfigurationError             about one key
        ├── InvalidConfigurationKey    it is not spelled as keys are
        ├── ConfigurationNotSet        it has no value
        ├── ConfigurationConflict      its value is of another version than expected   (carries both)
        ├── UnknownVersion             it never had a value of this version
        ├── ValueTypeKept              the value is of another type than those before   (carries both)
        ├── ValueMisfit                the value does not fit the type that is registered (names the path)
        ├── SecrecyKept                a secret would become plain, or the other way round, and nobody said so
        ├── IsSecret                   a secret was asked for where none is shown
        ├── NotSecret                  it is plain, and was to be revealed
        └── NoVault                    a secret, and nothing to seal or open it with

A value that is no JSON, or none that can be stored, raises :class:`byjy_events.json_text.InvalidJson`, whose ``field``
is the key; what is wrong with a sealed value, the errors of :mod:`byjy_events.sealing`.
"""

from __future__ import annotations

from byjy_events.errors import ByjyError
from byjy_events.vocabulary.configuration import ValueType


class ConfigurationError(ByjyError):
    """Something is wrong with one key of the configuration. Nothing was stored.

    Attributes:
        key: the key.
        reason: what is wrong.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"configuration {key}: {reason}")


class InvalidConfigurationKey(ConfigurationError):
    """It is not spelled as keys are: dot-separated segments of a to z, 0 to 9, ``_`` and ``-``."""

    def __init__(self, key: object, reason: str) -> None:
        shown = ascii(key)
        super().__init__(shown if len(shown) <= 60 else f"{shown[:60]}...", reason)


class ConfigurationNotSet(ConfigurationError):
    """It has no value: it never had one, or it was removed.

    Attributes:
        removed_in: the version that removed it; None: it never was set.
    """

    def __init__(self, key: str, removed_in: int | None) -> None:
        self.removed_in = removed_in
        super().__init__(key, "not set" if removed_in is None else f"removed in version {removed_in}")


class ConfigurationConflict(ConfigurationError):
    """Its value is of another version than the writer expected: somebody else was faster.

    Attributes:
        expected: the version that the writer named; 0: no value.
        actual: the version of the value that there is; 0: there is none.
    """

    def __init__(self, key: str, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(key, f"expected {_version(expected)}, found {_version(actual)}")


class UnknownVersion(ConfigurationError):
    """It never had a value of this version.

    Attributes:
        version: the version that was asked for.
        newest: the newest there is; 0: there is none.
    """

    def __init__(self, key: str, version: int, newest: int) -> None:
        self.version = version
        self.newest = newest
        found = f"the newest is {newest}" if newest else "it was never set"
        super().__init__(key, f"there is no value of version {version}, {found}")


class ValueTypeKept(ConfigurationError):
    """The value is of another type than those before it, and the writer did not say that the type shall change.

    Attributes:
        kept: the type that the key has.
        given: the type of the new value.
    """

    def __init__(self, key: str, kept: ValueType, given: ValueType) -> None:
        self.kept = kept
        self.given = given
        super().__init__(key, f"is {kept}, and {given} was given; to change that, say so (change_type)")


class ValueMisfit(ConfigurationError):
    """The value does not fit the type that is registered for the key, or that was asked for.

    Attributes:
        path: of the field at fault, e.g. ``$.max``; ``$``: the value as a whole.
        fault: what is wrong with it; of a secret only that something is.
    """

    def __init__(self, key: str, path: str, fault: str) -> None:
        self.path = path
        self.fault = fault
        super().__init__(key, fault + ("" if path == "$" else f" - at {path}"))


class SecrecyKept(ConfigurationError):
    """A secret was given for a key that is plain, and the writer did not say that it shall become secret."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "a secret was given, and the key is plain; to make it secret, say so (secret=True)")


class IsSecret(ConfigurationError):
    """The value is secret, and shown by ``reveal`` alone, which is recorded.

    Attributes:
        version: of the value.
    """

    def __init__(self, key: str, version: int) -> None:
        self.version = version
        super().__init__(key, f"version {version} is secret: reveal it, with a reason, which is recorded")


class NotSecret(ConfigurationError):
    """The value is plain: there is nothing to reveal.

    Attributes:
        version: of the value.
    """

    def __init__(self, key: str, version: int) -> None:
        self.version = version
        super().__init__(key, f"version {version} is not secret: get shows it")


class NoVault(ConfigurationError):
    """A secret, and no vault to seal or open it with."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "secret, and no vault was given to seal or open it with")


def _version(version: int) -> str:
    return f"version {version}" if version else "no value"

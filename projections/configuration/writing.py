"""What a writer wants of a key, held against what there is: the rules, and the event if they allow it.

Whatever may be secret is a ``Secret`` from here on, so that no error and no traceback shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from byjy_events.json_text import InvalidJson, json_text, json_text_of
from byjy_events.secret import Secret
from byjy_events.vocabulary.configuration import VALUE_BYTES, ConfigurationSet, ValueType
from projections.configuration.errors import (
    ConfigurationConflict,
    ConfigurationNotSet,
    SecrecyKept,
    ValueMisfit,
    ValueTypeKept,
)
from projections.configuration.keys import RegisteredTypes
from projections.configuration.reading import Current
from projections.configuration.setting import Setting, converted


class Json(NamedTuple):
    """A value that is JSON text already; what is ambiguous in it, as a key that stands twice, is refused.

    Attributes:
        text: of a secret as a ``Secret``.
    """

    text: str | Secret[str]


class Unshown:
    """A value of any kind that may be secret, out of sight of tracebacks that show the variables of their frames."""

    __slots__ = ("get",)

    def __init__(self, value: Any) -> None:
        self.get: Callable[[], Any] = lambda: value


class Wish(NamedTuple):
    """What a writer wants; see :meth:`projections.configuration.configuration.Configuration.set`.

    Attributes:
        gone_back_to: the version that a rollback writes anew; if the key has no value, its description, type and
            secrecy count.
    """

    value: Unshown
    expected_version: int | None
    description: str | None
    secret: bool | None
    change_type: bool
    gone_back_to: Setting | None = None


class Checked(NamedTuple):
    """A value that may be written.

    Attributes:
        text: JSON in its one spelling.
        is_secret: whether it has to be sealed.
        value_type: that of the key from now on.
    """

    text: Secret[str]
    is_secret: bool
    value_type: ValueType
    description: str


def checked(key: str, now: Current, wish: Wish, types: RegisteredTypes) -> Checked:
    """The value, once nothing speaks against it.

    Raises:
        ConfigurationConflict, SecrecyKept, ValueTypeKept, ValueMisfit, InvalidJson: see there.
    """
    refuse_conflict(key, now, wish.expected_version)
    before = now.setting if now.version else wish.gone_back_to
    is_secret = _secrecy(key, now.is_secret or (before is not None and before.is_secret), wish)
    text = _text(key, wish.value, is_secret)
    value_type = ValueType.of(text.reveal())
    kept = None if before is None else before.value_type
    if kept is not None and not wish.change_type:
        if not kept.takes(value_type):
            raise ValueTypeKept(key, kept, value_type)
        value_type = kept
    if (wanted := types.of(key)) is not None:
        refuse_misfit(key, text, wanted, is_secret)
    inherited = "" if before is None else before.description
    return Checked(text, is_secret, value_type, inherited if wish.description is None else wish.description)


def is_so_already(now: Current, wanted: Checked) -> bool:
    """Whether there is nothing to write. Of a secret nobody looks."""
    before = now.setting
    if before is None or before.text is None or wanted.is_secret:
        return False
    same = (before.text, before.value_type, before.description)
    return same == (wanted.text.reveal(), wanted.value_type, wanted.description)


def event_of(key: str, now: Current, wanted: Checked, sealed: bytes | None) -> ConfigurationSet:
    """What is appended: the value as it is, or as it was sealed."""
    return ConfigurationSet(
        key=key,
        value="" if wanted.is_secret else wanted.text.reveal(),
        sealed_value=sealed if wanted.is_secret and sealed else b"",
        value_type=wanted.value_type,
        description=wanted.description,
        is_secret=wanted.is_secret,
        version=now.changes + 1,
    )


def refuse_conflict(key: str, now: Current, expected_version: int | None) -> None:
    """
    Raises:
        ConfigurationConflict: the value is of another version.
    """
    if expected_version is not None and expected_version != now.version:
        raise ConfigurationConflict(key, expected_version, now.version)


def refuse_unset(key: str, now: Current) -> None:
    """
    Raises:
        ConfigurationNotSet: there is no value.
    """
    if not now.version:
        raise ConfigurationNotSet(key, now.changes or None)


def refuse_misfit(key: str, text: Secret[str], wanted: Any, is_secret: bool) -> None:
    """
    Raises:
        ValueMisfit: the value is not of the type; of a secret only the path is told.
    """
    path, fault = None, "does not fit the registered type; why is not told, since it is secret"
    try:
        converted(key, text.reveal(), wanted)
    except ValueMisfit as error:
        path, fault = error.path, fault if is_secret else error.fault
    if path is not None:  # outside, so that the error has no other behind it
        raise ValueMisfit(key, path, fault)


def _secrecy(key: str, before: bool, wish: Wish) -> bool:
    """Whether the value will be secret. What is given as a secret never becomes plain."""
    wanted = before if wish.secret is None else wish.secret
    if not wanted and _is_given_as_secret(wish.value.get()):
        raise SecrecyKept(key)
    return wanted


def _is_given_as_secret(value: Any) -> bool:
    return isinstance(value.text if isinstance(value, Json) else value, Secret)


def _text(key: str, value: Unshown, is_secret: bool) -> Secret[str]:
    reason = None
    try:
        return Secret(_spelled(key, value.get()))
    except InvalidJson as error:
        reason = error.path, error.reason
    if is_secret:
        reason = "$", "no JSON that can be stored; why is not told, since it is secret"
    raise InvalidJson(key, *reason)


def _spelled(key: str, value: Any) -> str:
    if isinstance(value, Json):
        text = value.text.reveal() if isinstance(value.text, Secret) else value.text
        return json_text(key, text, limit=VALUE_BYTES)
    if isinstance(value, Secret):
        return json_text_of(key, value.reveal(), limit=VALUE_BYTES)
    return json_text_of(key, value, limit=VALUE_BYTES)

"""Configuration as programs use it: read, written with an expected version, watched, and rolled back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar, Unpack, overload

from byjy_events.log import EventLog
from byjy_events.recorded import Write
from byjy_events.sealing.vault import Vault
from byjy_events.secret import Secret
from byjy_events.stream import configuration_stream
from byjy_events.vocabulary.configuration import ConfigurationRemoved, ConfigurationRevealed, ValueType
from projections.configuration.difference import Change, ChangeKind, differences
from projections.configuration.errors import ConfigurationNotSet, NotSecret, NoVault, UnknownVersion
from projections.configuration.keys import RegisteredTypes, checked_key
from projections.configuration.reading import current, snapshot, versions
from projections.configuration.setting import Setting, setting_of
from projections.configuration.watching import watched
from projections.configuration.writing import (
    Json,
    Unshown,
    Wish,
    checked,
    event_of,
    is_so_already,
    refuse_conflict,
    refuse_unset,
)
from projections.recording import Acting, recorded

T = TypeVar("T")

FIELD = "value"
"""What a secret is sealed as, for the stream of its key."""

_NO_DEFAULT: Final = object()


class Configuration:
    """The configuration in one log.

    A write that returned is durable, and every reader finds it from then on: what is read comes from the log, or from
    the table ``configurations`` and what the log has beyond it. Every version of a key stays in the log.

    Every method raises :class:`InvalidConfigurationKey` for what is no key, and what the log raises. Every one that
    writes takes ``actor``, ``correlation_id`` and ``causation_id`` as :meth:`EventLog.append` does, and raises
    VersionConflict if a key changed five times while it decided; nothing was stored then.

    Args:
        vault: what seals and opens secrets; without one they are refused.
        types: a type for a key, or for all beneath one (``risk.*``), that msgspec can convert to. A value that does not
            fit is never written.
    """

    def __init__(self, log: EventLog, *, vault: Vault | None = None, types: Mapping[str, Any] | None = None) -> None:
        self._log = log
        self._vault = vault
        self._types = RegisteredTypes(types or {})
        self._writing = asyncio.Lock()  # so that writers of one process never lose to each other

    # --- read -----------------------------------------------------------------------------------------------

    @overload
    async def get(self, key: str, *, type: type[T], default: Any = ...) -> T: ...
    @overload
    async def get(self, key: str, *, type: Any = None, default: Any = ...) -> Any: ...
    async def get(self, key: str, *, type: Any = None, default: Any = _NO_DEFAULT) -> Any:  # noqa: A002
        """The value, as the log has it at this moment.

        Args:
            type: what to convert it to; None: the type that is registered, or else plain JSON.
            default: the answer if there is no value.

        Raises:
            ConfigurationNotSet: there is none, and no default.
            ValueMisfit: it does not fit the type: another program, which knows no types or others, wrote it.
            IsSecret: see :meth:`reveal`.
        """
        now = await current(self._log, checked_key(key))
        if now.setting is None or now.setting.is_removed:
            if default is not _NO_DEFAULT:
                return default
            raise ConfigurationNotSet(key, now.changes or None)
        wanted = self._types.of(key) if type is None else type
        return now.setting.value if wanted is None else now.setting.to(wanted)

    async def setting(self, key: str) -> Setting | None:
        """The value with all that is known of it, its version above all; None: there is none."""
        now = await current(self._log, checked_key(key))
        return now.setting if now.version else None

    async def is_secret(self, key: str) -> bool:
        """Whether a value of it is sealed unless its writer says otherwise: it is secret, or was before its removal."""
        return (await current(self._log, checked_key(key))).is_secret

    async def all(self, *names: str) -> list[Setting]:
        """Every key that has a value, by key; with names these keys and those beneath them.

        ``all("risk")`` has ``risk`` and ``risk.max``, not ``risk-free``. As of the moment of the call. It takes as long
        as the table lags: see :func:`projections.configuration.reading.snapshot`.
        """
        return list((await snapshot(self._log, _checked_names(names))).settings.values())

    async def history(self, key: str, *, limit: int | None = None, newest_first: bool = False) -> list[Setting]:
        """Every version, removals too: value, who and when; at most ``limit``. Empty: it never had a value.

        Raises:
            ValueError: ``limit`` is less than 1.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit {limit} is less than 1")
        found: list[Setting] = []
        every = versions(self._log, checked_key(key), newest_first=newest_first, wanted=limit)
        async with aclosing(every) as settings:
            async for setting in settings:
                found.append(setting)
                if len(found) == limit:
                    break
        return found

    async def at(self, key: str, version: int) -> Setting:
        """One version.

        Raises:
            UnknownVersion: there is none of this number.
        """
        async with aclosing(versions(self._log, checked_key(key))) as settings:
            async for setting in settings:
                if setting.version == version:
                    return setting
        raise UnknownVersion(key, version, (await current(self._log, key)).changes)

    async def diff(self, key: str, old: int, new: int | None = None) -> list[Change]:
        """Where two versions differ, by paths; a removal has no value.

        Args:
            new: None: the last one.

        Raises:
            UnknownVersion: there is none of this number.
            IsSecret: one of them is.
        """
        before = await self.at(key, old)
        after = (await current(self._log, key)).setting if new is None else await self.at(key, new)
        assert after is not None  # there is a version before it
        match [before.is_removed, after.is_removed]:
            case [True, True]:
                return []
            case [True, False]:
                return [Change("$", ChangeKind.ADDED, None, after.value)]
            case [False, True]:
                return [Change("$", ChangeKind.REMOVED, before.value, None)]
        return list(differences(before.value, after.value))

    async def watch(self, *names: str) -> AsyncGenerator[Setting, None]:
        """The values that there are, by key, and from then on every change of them, from any process.

        The values are those of one moment, and every change after it comes once, in the order of the log: none is
        missed between the two, and none is left out for a slow consumer, who reads it from the database when its turn
        comes. A removal is a setting too, ``is_removed``. Secrets come without their value. Ends when the log is
        closed.

        Args:
            names: these keys and those beneath them; none: all.
        """
        async with aclosing(watched(self._log, _checked_names(names))) as settings:
            async for setting in settings:
                yield setting

    # --- write ----------------------------------------------------------------------------------------------

    async def set(
        self,
        key: str,
        value: Any,
        *,
        expected_version: int | None = None,
        description: str | None = None,
        secret: bool | None = None,
        change_type: bool = False,
        **acting: Unpack[Acting],
    ) -> Setting:
        """Give a key a value. What it has already is not written again, unless it is secret.

        Args:
            value: JSON as Python has it, a Struct and whatever else msgspec encodes; :class:`Json` for JSON text; a
                ``Secret[str]`` for a text that is secret, which never becomes plain.
            expected_version: the version of the value to be replaced, 0: only if there is none. None: the last writer
                wins.
            description: None: stays as it is.
            secret: whether to seal it. None: as the key is, or was before it was removed; a new one is plain. Versions
                that were plain stay readable in the log when a key becomes secret.
            change_type: the value may be of another :class:`ValueType` than the one before.

        Raises:
            ConfigurationConflict: the value is not of the expected version.
            InvalidJson: it is no JSON, is longer than 256 KiB, or cannot be stored.
            ValueTypeKept: it is of another type than the one before.
            ValueMisfit: it does not fit the type that is registered; names the field.
            SecrecyKept: a ``Secret``, and the key is plain.
            NoVault: it is secret, and there is none.
            SealingError, StrangeWrappingKey, KeyUnavailable, KeyStoreUnavailable: it cannot be sealed.
            InvalidEvent: the description is longer than 4,096 characters, or cannot be stored.
        """
        wish = Wish(Unshown(value), expected_version, description, secret, change_type)
        del value  # it may be secret, and tracebacks may show this frame
        return await self._set(checked_key(key), wish, acting)

    async def rollback(
        self,
        key: str,
        version: int,
        *,
        expected_version: int | None = None,
        change_type: bool = False,
        **acting: Unpack[Acting],
    ) -> Setting:
        """Write the value of an old version as a new one, if it is another one than that of now. Description and
        secrecy stay as they are. A key that was removed has the old version's description again, and is secret if that
        version was, or the last one. An old secret is opened, and sealed anew.

        Raises:
            UnknownVersion: there is no value of this version; also of one that was a removal.
            And as :meth:`set` does, and for secrets as ``Vault.reveal``.
        """
        old = await self.at(key, version)
        if old.is_removed:
            raise UnknownVersion(key, version, (await current(self._log, key)).changes)
        value = Json(await self._opened(old) if old.text is None else old.text)
        wish = Wish(Unshown(value), expected_version, None, None, change_type, old)
        return await self._set(key, wish, acting)

    async def remove(self, key: str, *, expected_version: int | None = None, **acting: Unpack[Acting]) -> Setting:
        """Take the value away. Its versions stay in the log, and count on when it is set again.

        Raises:
            ConfigurationConflict: the value is not of the expected version.
            ConfigurationNotSet: there is none.
        """
        checked_key(key)

        async def decide() -> Sequence[Write]:
            now = await current(self._log, key)
            refuse_conflict(key, now, expected_version)
            refuse_unset(key, now)
            removed = ConfigurationRemoved(key=key, version=now.changes + 1)
            return [Write(configuration_stream(key), [removed], now.stream_version)]

        async with self._writing:
            receipt = await recorded(self._log, decide, **acting)
        assert receipt is not None
        return await self._stored(receipt.position)

    async def reveal(
        self, key: str, reason: str, *, version: int | None = None, **acting: Unpack[Acting]
    ) -> Secret[str]:
        """A secret: the text itself, or the JSON of what is no text. That it was shown, to whom and why, is an event
        that is durable before this returns.

        Args:
            version: an old one; None: the one that there is.

        Raises:
            ConfigurationNotSet, UnknownVersion: there is no such value.
            NotSecret: :meth:`get` shows it.
            NoVault: there is none to open it with. And as ``Vault.reveal``: it does not open, was erased, …
            InvalidEvent: the reason is empty, or longer than 4,096 characters.
        """
        setting = await self._revealable(checked_key(key), version)
        revealed = ConfigurationRevealed(key=key, version=setting.version, reason=reason)
        text = await self._opened(setting)
        await self._log.append(configuration_stream(key), [revealed], **acting)
        return Secret(json.loads(text.reveal())) if setting.value_type is ValueType.STRING else text

    # --- inside ---------------------------------------------------------------------------------------------

    async def _set(self, key: str, wish: Wish, acting: Acting) -> Setting:
        kept: Setting | None = None
        sealed: bytes | None = None

        async def decide() -> Sequence[Write]:
            nonlocal kept, sealed
            now = await current(self._log, key)
            wanted = checked(key, now, wish, self._types)
            kept = now.setting if is_so_already(now, wanted) else None
            if kept is not None:
                return []
            if wanted.is_secret and sealed is None:
                sealed = await self._sealing(key).seal(configuration_stream(key), FIELD, wanted.text)
            event = event_of(key, now, wanted, sealed)
            return [Write(configuration_stream(key), [event], now.stream_version)]

        async with self._writing:
            receipt = await recorded(self._log, decide, **acting)
        if receipt is None:
            assert kept is not None
            return kept
        return await self._stored(receipt.position)

    async def _revealable(self, key: str, version: int | None) -> Setting:
        if version is not None:
            setting = await self.at(key, version)
        else:
            now = await current(self._log, key)
            refuse_unset(key, now)
            assert now.setting is not None
            setting = now.setting
        if setting.is_removed:
            raise ConfigurationNotSet(key, setting.version)
        if not setting.is_secret:
            raise NotSecret(key, setting.version)
        return setting

    async def _opened(self, setting: Setting) -> Secret[str]:
        assert setting.sealed_value is not None
        return await self._sealing(setting.key).reveal(configuration_stream(setting.key), FIELD, setting.sealed_value)

    def _sealing(self, key: str) -> Vault:
        if self._vault is None:
            raise NoVault(key)
        return self._vault

    async def _stored(self, position: int) -> Setting:
        """What was appended there."""
        async for one in self._log.read(after=position - 1, upto=position):
            return setting_of(one)
        raise AssertionError(f"position {position} was just appended")


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(checked_key(name) for name in names)

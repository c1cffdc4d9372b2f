"""``byjy config``: configuration read, changed, compared, rolled back and watched."""

from __future__ import annotations

import getpass
import json
import re
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from byjy_events.secret import MASK, Secret
from byjy_events.vocabulary.configuration import VALUE_BYTES
from byjy_ops.actor import acting
from byjy_ops.errors import InvalidArgument
from byjy_ops.keys_option import KeyOptions, vault_for
from byjy_ops.listing import Cells, Column, Listing, emit, tell, terminal_width, text, write_json
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from projections.configuration.configuration import Configuration
from projections.configuration.errors import ConfigurationNotSet
from projections.configuration.setting import Setting
from projections.configuration.writing import Json

VALUE_WIDTH = 40
"""Characters of a value on a terminal; what is longer ends in an ellipsis. Into a pipe goes all of it."""


def _shortened(value: Any) -> str:
    written = text(value)
    fits = terminal_width() is None or len(written) <= VALUE_WIDTH
    return written if fits else f"{written[: VALUE_WIDTH - 1]}…"


_VALUE = Column("value", written=_shortened)
_WHO = (Column("updated_by"), Column("updated_at", "updated (UTC)", instant=True))
VALUES = (
    Column("key"),
    _VALUE,
    Column("value_type", "type"),
    Column("version", right=True),
    *_WHO,
    Column("description"),
)
VERSIONS = (Column("version", right=True), _VALUE, Column("value_type", "type"), *_WHO, Column("description"))
CHANGES = (
    Column("updated_at", "updated (UTC)", instant=True, width=23),
    Column("key", width=24),
    Column("version", right=True, width=7),
    Column("value", written=_shortened, width=24),
    Column("updated_by", width=12),
)
DIFFERENCES = (
    Column("path"),
    Column("kind"),
    Column("before", written=_shortened),
    Column("after", written=_shortened),
)


class Given(NamedTuple):
    """The value that a command line gives.

    Attributes:
        value: as it was read.
        in_sight: an argument or a file, which are no place for secrets.
        is_string: a text as it is, not JSON.
    """

    value: Secret[str]
    in_sight: bool
    is_string: bool

    def as_value(self, *, secret: bool) -> Any:
        """For :meth:`Configuration.set`."""
        if self.is_string:
            return self.value if secret else self.value.reveal()
        return Json(self.value if secret else self.value.reveal())


def read_value(value: str | None, file: Path | None, *, secret: bool | None, string: bool) -> Secret[str]:
    """The value, from wherever the command line says that it is.

    It is called before the event loop runs, which would not let Ctrl-C through to a prompt.

    Raises:
        InvalidArgument: there are two; a secret is in sight; a file cannot be read; it is too long, or no UTF-8.
    """
    if value is not None and file is not None:
        raise InvalidArgument("--file", "give the value or a file, not both")
    if secret and (value is not None or file is not None):
        raise _in_sight()
    if value is not None:
        return Secret(value)
    if file is not None:
        try:
            with file.open("rb") as opened:
                return _read(opened, "--file", string=string)
        except OSError as error:
            raise InvalidArgument("--file", f"{file}: {error.strerror}") from None
    if sys.stdin is not None and sys.stdin.isatty():
        return _prompted("value, as text (hidden): " if string else "value, as JSON (hidden): ")
    if sys.stdin is None:
        raise InvalidArgument("VALUE", "there is none, and no standard input")
    return _read(sys.stdin.buffer, "standard input", string=string)


async def get_value(database: str, key: str, version: int | None, *, string: bool, as_json: bool) -> int:
    """Write one value; the answer is no when there is none."""
    async with existing_log(database, read_only=True) as log:
        config = Configuration(log)
        try:
            setting = await _set_to(config, key) if version is None else await config.at(key, version)
            value = setting.value
        except ConfigurationNotSet as error:
            tell(str(error))
            return NO
    if as_json:
        write_json([_row(setting)])
    else:
        emit(f"{value if string and isinstance(value, str) else setting.text}\n")
    return YES


async def _set_to(config: Configuration, key: str) -> Setting:
    last = await config.history(key, limit=1, newest_first=True)
    if not last:
        raise ConfigurationNotSet(key, None)
    return last[0]


async def set_value(
    database: str,
    options: KeyOptions,
    actor: str | None,
    key: str,
    given: Given,
    *,
    secret: bool | None,
    expected: int | None,
    description: str | None,
    change_type: bool,
    as_json: bool,
) -> None:
    """Write a value, and say which version it is.

    Raises:
        InvalidArgument: the key is secret, and the value is in sight.
    """
    async with existing_log(database, actor=acting(actor)) as log:
        is_secret = await Configuration(log).is_secret(key) if secret is None else secret
        if is_secret and given.in_sight:
            raise _in_sight()
        config = Configuration(log, vault=await vault_for(log, database, options) if is_secret else None)
        setting = await config.set(
            key,
            given.as_value(secret=is_secret),
            expected_version=expected,
            description=description,
            secret=secret,
            change_type=change_type,
        )
    _written(setting, as_json=as_json)


async def list_values(database: str, names: Sequence[str], limit: int, *, as_json: bool) -> None:
    """Write the values that there are, at most ``limit``; 0: all."""
    async with existing_log(database, read_only=True) as log:
        settings = await Configuration(log).all(*names)
    _list(settings, VALUES, limit, as_json=as_json)


async def list_history(database: str, key: str, limit: int, *, as_json: bool) -> None:
    """Write the versions of a key, the newest first, at most ``limit``; 0: all."""
    async with existing_log(database, read_only=True) as log:
        settings = await Configuration(log).history(key, limit=limit + 1 if limit else None, newest_first=True)
    _list(settings, VERSIONS, limit, as_json=as_json)


async def list_differences(database: str, key: str, old: int, new: int | None, *, as_json: bool) -> None:
    """Write where two versions differ."""
    async with existing_log(database, read_only=True) as log:
        changes = await Configuration(log).diff(key, old, new)
    rows = [msgspec.structs.asdict(change) for change in changes]
    for row in rows:
        row["before"] = _json(row["before"], as_json=as_json)
        row["after"] = _json(row["after"], as_json=as_json)
        absent = {"ADDED": "before", "REMOVED": "after"}.get(row["kind"])
        if absent is not None and not as_json:
            row[absent] = ""
    Listing(DIFFERENCES, as_json=as_json).write(rows)
    if not rows:
        tell("no difference")


async def roll_back(
    database: str,
    options: KeyOptions,
    actor: str | None,
    key: str,
    version: int,
    *,
    expected: int | None,
    change_type: bool,
    as_json: bool,
) -> None:
    """Write an old value as a new version, and say which."""
    async with existing_log(database, actor=acting(actor)) as log:
        plain = Configuration(log)
        sealed = (await plain.at(key, version)).is_secret or await plain.is_secret(key)
        config = Configuration(log, vault=await vault_for(log, database, options)) if sealed else plain
        setting = await config.rollback(key, version, expected_version=expected, change_type=change_type)
    _written(setting, as_json=as_json)


async def remove_value(database: str, actor: str | None, key: str, expected: int | None, *, as_json: bool) -> None:
    """Take a value away, and say which version that is."""
    async with existing_log(database, actor=acting(actor)) as log:
        setting = await Configuration(log).remove(key, expected_version=expected)
    _written(setting, as_json=as_json)


async def reveal_value(
    database: str,
    options: KeyOptions,
    actor: str | None,
    key: str,
    reason: str,
    version: int | None,
    *,
    as_json: bool,
) -> None:
    """Write a secret, once it is stored that it was asked for."""
    async with existing_log(database, actor=acting(actor)) as log:
        config = Configuration(log, vault=await vault_for(log, database, options))
        secret = await config.reveal(key, reason, version=version)
    if as_json:
        write_json([{"key": key, "value": secret.reveal()}])
    else:
        emit(f"{secret.reveal()}\n")


async def watch_values(database: str, names: Sequence[str], *, as_json: bool) -> None:
    """Write the values that there are and every change, until cancelled."""
    listing = Listing(CHANGES, as_json=as_json)
    async with (
        existing_log(database, read_only=True) as log,
        aclosing(Configuration(log).watch(*names)) as watching,
    ):
        async for setting in watching:
            listing.write([_row(setting, as_json=as_json)])


def _in_sight() -> InvalidArgument:
    reason = "a secret is read from standard input or a hidden prompt alone; others may have seen this one"
    return InvalidArgument("VALUE", reason)


def _prompted(question: str) -> Secret[str]:
    try:
        return Secret(getpass.getpass(question))
    except EOFError:
        raise InvalidArgument("standard input", "ended") from None


def _read(source: BinaryIO, name: str, *, string: bool) -> Secret[str]:
    """All of it; of a text without the end of its last line, which whoever wrote it into a pipe hardly meant."""
    found = Secret(source.read(VALUE_BYTES + 1))
    if len(found.reveal()) > VALUE_BYTES:
        raise InvalidArgument(name, f"more than {VALUE_BYTES} bytes")
    try:
        value = Secret(found.reveal().decode())
    except UnicodeDecodeError:
        value = None
    if value is None:  # outside, so that the error, which holds the bytes, is not behind this one
        raise InvalidArgument(name, "not UTF-8")
    return Secret(re.sub(r"\r?\n\Z", "", value.reveal())) if string else value


def _written(setting: Setting, *, as_json: bool) -> None:
    if as_json:
        write_json([_row(setting)])
    else:
        emit(f"{setting.key}: version {setting.version}\n")


def _list(settings: Sequence[Setting], columns: Sequence[Column], limit: int, *, as_json: bool) -> None:
    shown = settings[:limit] if limit else settings
    Listing(columns, as_json=as_json).write([_row(setting, as_json=as_json) for setting in shown])
    if len(settings) > len(shown):
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell("nothing found")


def _row(setting: Setting, *, as_json: bool = True) -> Cells:
    """For programs the value is JSON, and null if it is secret; for people it is the text or what stands in place."""
    row = msgspec.structs.asdict(setting)
    del row["sealed_value"]
    shown = row.pop("text")
    if as_json:
        row["value"] = None if shown is None else msgspec.Raw(shown.encode())
    else:
        row["value"] = "(removed)" if setting.is_removed else MASK if setting.is_secret else shown
    return row


def _json(value: Any, *, as_json: bool) -> Any:
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return msgspec.Raw(written.encode()) if as_json else written

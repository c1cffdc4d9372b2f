"""Removes secrets from what is logged, by type and by the name of the field they are in.

What comes out is a copy made of plain things: mappings, Structs, dataclasses and attrs classes become dicts, sequences
and sets become lists, errors and unknown objects become texts. It is bounded in depth and size, whatever goes in, and
nothing of the caller is changed.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import islice
from logging import LogRecord
from types import TracebackType
from typing import Any
from uuid import UUID

import msgspec

from byjy_events.scrubbing import scrubbed
from byjy_events.secret import MASK, Secret

SECRET_PARTS = frozenset({
    "accesskey", "apikey", "authorization", "bearer", "cookie", "credential", "datakey", "encryptionkey", "jwt",
    "masterkey", "mnemonic", "passphrase", "passwd", "password", "privatekey", "recoverycode", "secret", "seedphrase",
    "sessionid", "signingkey", "token",
})  # fmt: skip
"""A field is secret if its name contains one of these, case and everything but letters and digits left aside."""

SECRET_NAMES = frozenset({"auth", "dek", "kek", "otp", "pass", "passcode", "pin", "pwd", "totp"})
"""A field is secret if this is its whole name; inside other names they mean nothing (``author``, ``pinned``)."""

DEPTH = 8
"""Values that lie deeper are left out."""

ITEMS = 1_000
"""Values in one entry; what is beyond is left out."""

TEXT = 8_192
"""Characters of one text; it is cut behind them, which is marked."""

TEXTS = 65_536
"""Characters of all texts of one entry together."""

TRACEBACK = 8 * TEXTS
"""Characters of a traceback that are looked through, before its middle is cut out."""

FRAMES = 32
"""Frames of a traceback: the innermost ones."""

_LEFT_OUT = "…"
_PLAIN = (bool, float, Decimal, UUID, date, time, timedelta)
_BITS = 256
"""Of a whole number; a larger one takes long to write."""

_NAMES_KEPT = 4_096
_INSIGNIFICANT = re.compile(r"[\W_]+")


class Redactor:
    """A structlog processor; put it in front of everything that writes, also where a sink redacts for itself.

    It never raises: what cannot be read is named in place of its value. ``exc_info`` becomes ``exception``, a text, so
    that nobody behind it formats the error again.

    Args:
        secret_parts: further parts of names, as in :data:`SECRET_PARTS`.
        keep: whole names of fields that are not secret although they sound so, e.g. ``token_count``.
        show_locals: whether a traceback comes with the variables of its frames, as ``exception_locals``.
    """

    def __init__(
        self, *, secret_parts: Iterable[str] = (), keep: Iterable[str] = (), show_locals: bool = False
    ) -> None:
        self._parts = SECRET_PARTS | {_bare(part) for part in secret_parts if _bare(part)}
        self._keep = {_bare(name) for name in keep}
        self._show_locals = show_locals
        self._decided: dict[str, bool] = {}

    def __call__(self, logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The entry without secrets; a new one. The record of the standard library's logging is handed on as it is."""
        redacted = self.entry(entry)
        if isinstance(record := redacted.get("_record"), str):  # then the entry is one that can be asked
            redacted["_record"] = entry["_record"] if isinstance(entry["_record"], LogRecord) else record
        return redacted

    def entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """What a log entry says, without secrets."""
        try:
            return self._entry(entry)
        except Exception as error:  # noqa: BLE001 - a program does not fail because it could not log
            return {"event": "entry could not be redacted", "error": type(error).__name__}

    def value(self, value: Any) -> Any:
        """Any value, without secrets."""
        return _Copy(self).of(value, DEPTH)

    def text(self, text: str) -> str:
        """A text, without what looks like a secret in it."""
        return _Copy(self).text(text)

    def is_secret_name(self, name: str) -> bool:
        """Whether a field of this name is secret."""
        known = self._decided.get(name)
        if known is None:
            bare = _bare(name)
            known = bare not in self._keep and (bare in SECRET_NAMES or any(part in bare for part in self._parts))
            if len(self._decided) < _NAMES_KEPT and len(name) <= 64:
                self._decided[name] = known
        return known

    def _entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        copy = _Copy(self)
        plain = {name: value for name, value in entry.items() if name != "exc_info"}
        found: dict[str, Any] = copy.of(plain, DEPTH)
        error = _error_of(entry.get("exc_info"))
        if error is not None:
            found["exception"] = copy.traceback(error)
            if self._show_locals:
                found["exception_locals"] = copy.frames(error.__traceback__)
        return found


class _Copy:
    """One copy under way, and what is left of its bounds."""

    def __init__(self, redactor: Redactor) -> None:
        self._is_secret_name = redactor.is_secret_name
        self._items = ITEMS
        self._characters = TEXTS

    def of(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, _PLAIN):
            return value
        try:
            return self._of(value, depth)
        except Exception as error:  # noqa: BLE001 - objects may raise anything when they are looked at
            return f"<unreadable {type(value).__name__}: {type(error).__name__}>"

    def text(self, text: str) -> str:
        """A text that every database and encoding takes. A cut leaves no half of what would have been masked."""
        room = min(TEXT, self._characters)
        if len(text) > room:
            text = _without_open_end(text[:room]) + _LEFT_OUT
        text = self._scrubbed(text)
        self._characters -= min(len(text), self._characters)
        return text

    def traceback(self, error: BaseException) -> str:
        """A traceback, whose end says most."""
        try:
            whole = "".join(traceback.format_exception(error, limit=-FRAMES))
        except Exception as failure:  # noqa: BLE001 - an error may raise another one when it is printed
            return f"<unreadable {type(error).__name__}: {type(failure).__name__}>"
        text = self._scrubbed(whole[-TRACEBACK:])
        if len(text) > TEXT:
            text = f"{text[: TEXT // 4]}\n{_LEFT_OUT}\n{text[-TEXT // 4 * 3 :]}"
        return text

    def frames(self, trace: TracebackType | None) -> list[Any]:
        """The variables of a traceback's innermost frames."""
        frames = [frame for frame, _ in traceback.walk_tb(trace)][-FRAMES:]
        return [
            {"function": frame.f_code.co_name, "locals": self.of(dict(frame.f_locals), DEPTH - 1)}
            for frame in frames
            if frame.f_locals is not frame.f_globals  # a module's variables are the whole program
        ]

    def _scrubbed(self, text: str) -> str:
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        return scrubbed(text, self._is_secret_name)

    def _of(self, value: Any, depth: int) -> Any:
        self._items -= 1
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, int):
            return _whole_number(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"  # a key is more likely than a text
        if self._items < 0 or depth <= 0:
            return _LEFT_OUT
        if isinstance(value, BaseException):
            return self.text("".join(traceback.format_exception_only(value)).rstrip())
        fields = _fields(value)
        if fields is not None:
            return self._fields(fields, depth)
        if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
            return [self._element(element, depth - 1) for element in islice(value, max(self._items, 0))]
        return self.text(repr(value))

    def _fields(self, fields: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in fields:
            if self._items <= 0:
                found[_LEFT_OUT] = _LEFT_OUT
                break
            found[self._name(name)] = self._field(name, value, depth - 1)
        return found

    def _name(self, name: Any) -> str:
        if type(name) is str and len(name) <= 64 and name.isascii() and name.isidentifier():
            return name
        return self.text(name if isinstance(name, str) else str(self.of(name, 1)))

    def _field(self, name: Any, value: Any, depth: int) -> Any:
        if value is not None and not isinstance(value, bool):
            spelled = name.decode("latin-1") if isinstance(name, bytes) else name
            if isinstance(spelled, str) and self._is_secret_name(spelled):
                self._items -= 1
                return MASK
        return self.of(value, depth)

    def _element(self, element: Any, depth: int) -> Any:
        """One of a sequence; a pair may be a name and its value, as headers are."""
        if type(element) is tuple and len(element) == 2 and isinstance(element[0], str | bytes):
            self._items -= 1
            return [self.of(element[0], depth), self._field(element[0], element[1], depth)]
        return self.of(element, depth)


def _fields(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Names and values of what has fields; None: it has none."""
    if isinstance(value, Mapping):
        return list(islice(value.items(), ITEMS + 1))  # at once: another thread may change it meanwhile
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        names: Iterable[str] = kind.__struct_fields__
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    elif hasattr(kind, "__attrs_attrs__"):
        names = [attribute.name for attribute in kind.__attrs_attrs__]
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        names = kind._fields
    else:
        return None
    return [(name, getattr(value, name)) for name in names if hasattr(value, name)]


def _whole_number(value: int) -> int | str:
    if value.bit_length() <= 63:  # what JSON and databases take
        return value
    return str(value) if value.bit_length() <= _BITS else f"<whole number of {value.bit_length()} bits>"


def _error_of(exc_info: Any) -> BaseException | None:
    """The error that an entry is about, in each of the ways in which structlog takes it."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _without_open_end(text: str) -> str:
    """Without a URL that a cut may have left with half a password and no sign of it."""
    last = text.rsplit(maxsplit=1)[-1:] or [""]
    return text[: len(text) - len(last[0])] if "://" in last[0] else text


def _bare(name: str) -> str:
    return _INSIGNIFICANT.sub("", name).casefold()

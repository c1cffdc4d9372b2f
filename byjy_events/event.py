"""What an event is, and the register of event types.

An event is a frozen :class:`msgspec.Struct`, named in the past tense. Constructing one checks every
field and spells decimals canonically; decoding a stored one does not check again, because nothing
unchecked is ever stored. ``msgspec.structs.replace`` goes round the constructor, so ``append`` checks
what it is about to store once more, and refuses what would not read back.

Two kinds: an :class:`Intent` is what the engine wants and may be refused; a :class:`Fact` is what a
venue says, has an id derived from what the venue calls it, and is never refused for what it says.

A new version of a type keeps its old payloads readable for ever::

    @event_type(version=2, upcasters={1: add_account})
    class OrderPlaced(Intent): ...

where ``add_account`` takes the decoded JSON object of version 1 and returns one of version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from byjy_events.errors import InvalidEvent
from byjy_events.identifiers import derived_id_bytes
from byjy_events.numbers import InexactNumber, canonical

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
"""A name given by somebody else: a symbol, an execution id, an account. 1 to 255 characters."""

VenueName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A venue, as we call it. Shorter than other names, since an index row of PostgreSQL (2,704 bytes) has to hold it
beside an account and an order id, each 255 characters of up to four bytes."""

Name = Annotated[str, msgspec.Meta(max_length=255)]
"""Like :data:`Id`, and may be empty."""

Text = Annotated[str, msgspec.Meta(max_length=4096)]
"""A sentence: a reason, an error message. At most 4,096 characters."""


NAME_LENGTH = 128
"""Characters that the name of an event type may have."""


class _CheckedMeta(msgspec.StructMeta):
    """Makes the constructor check its arguments; decoding, which does not pass here, stays fast."""

    if not TYPE_CHECKING:  # so that type checkers see the signature of the Struct's own constructor

        def __call__(cls, *args, **fields):
            if args or not fields.keys() <= _field_names(cls):
                return super().__call__(*args, **fields)  # which says what is wrong, as any class does
            return cls._checked(fields)

    def _checked(cls, fields: dict[str, Any]) -> Any:
        for name in _decimal_fields(cls):
            if (value := fields.get(name)) is not None:
                try:
                    fields[name] = canonical(value)
                except InexactNumber as error:
                    raise InvalidEvent(cls.__name__, name, str(error)) from None
        try:
            checked = msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise invalid_event(cls.__name__, error) from None
        for name, value in fields.items():
            if type(value) is str and not storable(value):
                raise InvalidEvent(cls.__name__, name, "holds a NUL character or a lone surrogate")
        checked._check()
        return checked


class Checked(msgspec.Struct, frozen=True, kw_only=True, gc=False, metaclass=_CheckedMeta):
    """A Struct whose constructor checks the type and bounds of every field.

    Raises:
        InvalidEvent: names the type, the field and what is wrong with it.
    """

    def _check(self) -> None:
        """Rules beyond the type of one field. Subclasses raise :class:`InvalidEvent`."""


class Event(Checked, frozen=True, kw_only=True):
    """Something that happened. Subclass :class:`Intent` or :class:`Fact` and register with :func:`event_type`."""

    schema_version: ClassVar[int] = 1


class Intent(Event, frozen=True, kw_only=True):
    """Something the engine, or a person through it, decided. It gets a fresh time-ordered id."""


class Fact(Event, frozen=True, kw_only=True):
    """Something a venue said. Told twice, it is stored once."""

    def identity(self) -> tuple[str, ...]:
        """What identifies this fact at the venue: venue, account, instrument, venue order id, discriminator."""
        raise NotImplementedError

    def agrees_with(self, other: Fact) -> bool:
        """Whether both tell the same. What one telling leaves out (None) does not contradict the other."""
        if type(self) is not type(other):
            return False
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None and mine != theirs:
                return False
        return True

    def fact_id_bytes(self) -> bytes:
        """The event id as 16 bytes: a UUIDv5 of the kind of fact and its identity."""
        return derived_id_bytes(type(self).__name__, *self.identity())


class UnknownEvent(msgspec.Struct, frozen=True):
    """A stored event that this program has no Struct for: an unknown type, or a newer version of a known one."""

    type: str
    schema_version: int
    payload: bytes


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
E_co = TypeVar("E_co", bound=Event)


class EventType(msgspec.Struct, frozen=True):
    """One entry of the register."""

    name: str
    version: int
    struct: type[Event]
    upcasters: Mapping[int, Upcaster]
    decimals: tuple[str, ...]
    decode: Callable[[bytes], Event]


EVENT_TYPES: dict[str, EventType] = {}
"""Every registered event type by name."""


def event_type(
    *, version: int = 1, upcasters: Mapping[int, Upcaster] | None = None
) -> Callable[[type[E_co]], type[E_co]]:
    """Register an event type under its class name.

    Args:
        version: the schema version that this class writes.
        upcasters: for every older version, the step from its JSON object to that of the next version.
    """
    steps = dict(upcasters or {})
    if sorted(steps) != list(range(1, version)):
        raise TypeError(f"version {version} needs upcasters from 1 to {version - 1}, got {sorted(steps)}")

    def register(struct: type[E_co]) -> type[E_co]:
        name = struct.__name__
        if len(name) > NAME_LENGTH:
            raise TypeError(f"event type {name}: more than {NAME_LENGTH} characters")
        known = EVENT_TYPES.get(name)
        if known is not None and known.struct.__module__ != struct.__module__:
            raise TypeError(f"event type {name} is registered by {known.struct.__module__} already")
        struct.schema_version = version
        EVENT_TYPES[name] = EventType(
            name, version, struct, steps, _decimal_fields(struct), msgspec.json.Decoder(struct).decode
        )
        return struct

    return register


@cache
def _decimal_fields(struct: type) -> tuple[str, ...]:
    return tuple(name for name, hint in get_type_hints(struct).items() if _is_decimal(hint))


@cache
def _field_names(struct: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(struct.__struct_fields__)


def _is_decimal(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_is_decimal(part) for part in get_args(hint))
    return hint is Decimal


def storable(text: str) -> bool:
    """PostgreSQL's text holds no NUL; UTF-8 holds no lone surrogate."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def invalid_event(event_type_name: str, error: msgspec.ValidationError) -> InvalidEvent:
    """msgspec says ``Expected `str`, got `int` - at `$.pair.symbol```; split that into field and reason."""
    reason, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if not field and "`" in reason:
        field = reason.rsplit("`", 2)[-2]
    return InvalidEvent(event_type_name, field or "?", reason[0].lower() + reason[1:])

"""Secrets do not get through the redactor, whatever they are wrapped in. It never fails, nor changes what it gets."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import OrderedDict, deque, namedtuple
from collections.abc import Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from byjy_events.redaction import DEPTH, ITEMS, SECRET_NAMES, SECRET_PARTS, TEXT, TEXTS, Redactor
from byjy_events.secret import MASK, Secret

CANARY = "canary-4f1d9c"


class Login(msgspec.Struct):
    user: str
    password: str


@dataclasses.dataclass
class Account:
    name: str
    login: Login
    api_secret: str = CANARY


Pair = namedtuple("Pair", "name passphrase")


class Colour(StrEnum):
    RED = "RED"


def redacted(**fields: Any) -> dict[str, Any]:
    return dict(Redactor()(None, "info", {"event": "x", **fields}))


@pytest.mark.parametrize(
    "name",
    [
        "password", "PASSWORD", "Pass_Word", "db.password", "old-password", "passwordHash", "passwd", "pwd",
        "passphrase",
        "secret", "clientSecret", "API_KEY", "apiKey", "api key", "X-MBX-APIKEY", "token", "refresh_token", "tokens",
        "Authorization", "Proxy-Authorization", "Set-Cookie", "private_key", "PrivateKey", "credentials", "kek",
        "OTP", "pin",
    ],
)  # fmt: skip
def test_fields_of_secret_names_are_masked(name: str) -> None:
    """Case and separators left aside, at every depth, and whatever the value is."""
    for value in (CANARY, CANARY.encode(), 4711, [CANARY], {"a": CANARY}, Login("u", CANARY)):
        assert redacted(**{name: value})[name] == MASK
        assert redacted(outer=[{"inner": {name: value}}])["outer"] == [{"inner": {name: MASK}}]


@pytest.mark.parametrize("name", ["author", "pinned", "symbol", "passed", "kekkonen", "", "price", "key", "compass"])
def test_fields_of_other_names_are_kept(name: str) -> None:
    """Short names count only as a whole."""
    assert redacted(**{name: "BTCUSDT"})[name] == "BTCUSDT"


def test_nothing_and_yes_or_no_are_no_secrets() -> None:
    """Whether there is a password may be logged."""
    assert redacted(password=None, has_token=True) == {"event": "x", "password": None, "has_token": True}


def test_the_list_of_names_can_be_extended_and_cut() -> None:
    """By parts of names, and by whole names that are kept."""
    redactor = Redactor(secret_parts=["IBAN"], keep=["token-count"])
    assert redactor.value({"customer_iban": "DE", "token_count": 3, "token": "x"}) == {
        "customer_iban": MASK, "token_count": 3, "token": MASK,
    }  # fmt: skip


def test_every_listed_name_counts() -> None:
    """The documented lists are those that are used."""
    redactor = Redactor()
    assert all(redactor.is_secret_name(name.upper()) for name in SECRET_PARTS | SECRET_NAMES)


def test_secrets_are_found_by_type() -> None:
    """Under any name, in any container."""
    found = redacted(
        a=Secret(CANARY), b=[Secret(CANARY.encode())], c={"d": (Secret(CANARY),)}, e={Colour.RED: Secret("x")}
    )
    assert found == {"event": "x", "a": MASK, "b": [MASK], "c": {"d": [MASK]}, "e": {"RED": MASK}}


def test_what_has_fields_becomes_a_dict_without_its_secrets() -> None:
    """Structs, dataclasses, named tuples, mappings of other kinds, and pairs such as headers are."""
    account = Account("a", Login("u", CANARY))
    shown = {"user": "u", "password": MASK}
    assert redacted(account=account)["account"] == {"name": "a", "login": shown, "api_secret": MASK}
    assert redacted(login=account.login)["login"] == shown
    assert redacted(pair=Pair("n", CANARY))["pair"] == {"name": "n", "passphrase": MASK}
    assert redacted(ordered=OrderedDict(token=CANARY))["ordered"] == {"token": MASK}
    headers = [("Authorization", CANARY), (b"X-Api-Key", CANARY.encode()), ("Accept", "*/*")]
    assert redacted(headers=headers)["headers"] == [["Authorization", MASK], ["<9 bytes>", MASK], ["Accept", "*/*"]]


def test_plain_values_stay_as_they_are() -> None:
    """Numbers, ids and instants; bytes are only counted, as they may be a key."""
    fields = {"a": 1, "b": 1.5, "c": Decimal("1.50"), "d": UUID(int=7), "e": None, "f": False, "g": "plain"}
    assert redacted(**fields) == {"event": "x", **fields}
    assert redacted(raw=b"12345", big=2**100, huge=1 << 100_000, colour=Colour.RED, q=deque([1])) == {
        "event": "x", "raw": "<5 bytes>", "big": str(2**100), "huge": "<whole number of 100001 bits>",
        "colour": "RED", "q": [1],
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        f"password={CANARY}",
        f"Settings(api_key='{CANARY}', x=1)",
        f'Settings(api_key="{CANARY} with \\" blanks", x=1)',
        f"{{'token': '{CANARY}'}}",
        f"{{'token': b'{CANARY}'}}",
        f'{{"secret": "{CANARY}"}}',
        f'{{\\"secret\\": \\"{CANARY}\\"}}',
        f"Authorization: Bearer {CANARY}",
        f"the header was Bearer {CANARY}",
        f"authorization: Basic {CANARY}==",
        f"GET /api/v3/order?apiKey={CANARY}&symbol=BTCUSDT",
        f"postgresql://user:{CANARY}@host/name",
        f"redis://:{CANARY}@host",
        f"postgresql://user:p@{CANARY}@host/name",
        f"secrets={{'a': '{CANARY}', 'b': ('{CANARY}',)}}",
        f"a=b=password={CANARY}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        f"password = '{CANARY} never closed",
        f"{' ' * (TEXT - 40)} postgresql://user:x{CANARY}{'y' * 100}@host",
    ],
)
def test_secrets_inside_of_texts_are_masked(text: str) -> None:
    """What is named, and what looks like one; in the event, in fields and in what other objects print."""

    class Printed:
        def __repr__(self) -> str:
            return text

    found = dict(
        Redactor()(None, "info", {"event": text, "field": text, "printed": Printed(), "error": ValueError(text)})
    )
    assert CANARY not in json.dumps(found)


def test_texts_without_secrets_stay_as_they_are() -> None:
    """Also those in which a secret is named and not told."""
    for text in (
        "x=1, y: 2",
        "https://host/path?a=b@c",
        "password=None",
        "the token is missing",
        "at 12:30:00",
        "a@b.c",
    ):
        assert Redactor().text(text) == text


def test_errors_are_told_without_their_secrets() -> None:
    """``exc_info`` becomes a text, in each of the forms in which structlog takes it; causes and source lines too."""

    def failing() -> None:
        try:
            raise ValueError(f"token={CANARY}")
        except ValueError as error:
            raise RuntimeError(f"cannot log in with password={CANARY}") from error

    redactor = Redactor()
    try:
        failing()
    except RuntimeError as error:
        for info in (True, error, (type(error), error, error.__traceback__)):
            found = redactor(None, "error", {"event": "x", "exc_info": info})
            assert "exc_info" not in found
            assert "RuntimeError" in found["exception"]
            assert "ValueError" in found["exception"]
            assert CANARY not in json.dumps(found)
    assert redacted(exc_info=None) == redacted(exc_info=False) == redacted(exc_info=True) == {"event": "x"}
    assert redacted(exc_info=(None, None, None)) == {"event": "x"}


def test_it_goes_with_the_logging_of_the_standard_library() -> None:
    """In the chain for entries that come from there; the processors behind it still find the record."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), Redactor(), structlog.stdlib.ExtraAdder()],
        processors=[
            Redactor(),
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    record = logging.LogRecord("engine", logging.INFO, "x", 1, "token=%s", (CANARY,), None)
    record.api_key = CANARY
    assert json.loads(formatter.format(record)) == {"event": f"token={MASK}", "api_key": MASK, "logger": "engine"}


def test_the_console_shows_what_it_hands_on() -> None:
    """As the guide has it: errors as plain texts, as they are formatted already."""
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    shown = console(None, "error", Redactor()(None, "error", {"event": "x", "exc_info": ValueError(f"pin={CANARY}")}))
    assert "ValueError: pin=" in shown
    assert CANARY not in shown


def raise_with_locals() -> None:
    password = CANARY
    plain = "BTCUSDT"
    holder = [Secret(CANARY), Login("u", CANARY), {"deep": {"api_key": CANARY}}]
    settings = f"Settings(password={password!r})"
    assert len(holder) == 0, (plain, len(settings))


def test_locals_of_tracebacks_come_without_their_secrets() -> None:
    """By the redactor itself, and behind structlog's own transformer, whose locals are texts already."""
    try:
        raise_with_locals()
    except AssertionError as error:
        found = Redactor(show_locals=True)(None, "error", {"event": "x", "exc_info": error})
        info = (type(error), error, error.__traceback__)
        transformed = structlog.tracebacks.ExceptionDictTransformer(show_locals=True)(info)
    frame = found["exception_locals"][-1]
    assert frame["function"] == "raise_with_locals"
    assert frame["locals"]["password"] == MASK
    assert frame["locals"]["plain"] == "BTCUSDT"
    assert CANARY not in json.dumps(found)
    assert CANARY in json.dumps(transformed)
    assert CANARY not in json.dumps(redacted(exception=transformed))


def test_the_caller_keeps_what_it_had() -> None:
    """Nothing that goes in is changed or handed on."""
    inner = {"password": CANARY, "list": [1, {"token": CANARY}]}
    entry = {"event": "x", "inner": inner, "login": Login("u", CANARY), "exc_info": None}
    before = deepcopy(entry)
    found = Redactor()(None, "info", entry)
    assert entry == before
    assert found["inner"] is not inner
    assert found["inner"]["list"] is not inner["list"]


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError(CANARY)

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(CANARY)


class Endless(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"key{number}"

    def __len__(self) -> int:
        return 1


class BadError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


def test_it_never_raises() -> None:
    """Objects that raise when they are looked at are named by their type; endless ones end."""
    cyclic: dict[str, Any] = {}
    cyclic["self"] = [cyclic]
    found = redacted(hostile=Hostile(), endless=Endless(), cyclic=cyclic, bad=BadError(), exc_info=BadError(), ok=1)
    assert found["hostile"] == "<unreadable Hostile: RuntimeError>"
    assert len(found["endless"]) <= ITEMS + 1
    assert CANARY not in json.dumps(found)
    assert Redactor()(None, "info", 17)["event"] == "entry could not be redacted"  # type: ignore[arg-type]


def test_what_comes_out_is_bounded() -> None:
    """In depth, in number, in the length of a text and of all texts together; what matters comes first."""
    deep: Any = "bottom"
    for _ in range(10_000):
        deep = [deep]
    wide = {f"k{number}": number for number in range(100_000)}
    long = "x" * 10_000_000
    found = redacted(first=1, long=long, deep=deep, wide=wide, many=[long] * 1_000, exc_info=ValueError(long))
    written = json.dumps(found)
    assert found["first"] == 1
    assert TEXT <= len(found["long"]) <= TEXT + 1
    assert written.count("[") < DEPTH + 10
    assert len(written) < 3 * TEXTS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    )
)
def test_any_value_comes_out_as_something_that_json_takes(value: Any) -> None:
    """Lone surrogates, NUL, NaN and whatever else hypothesis thinks of; a planted secret is gone."""
    found = redacted(value=value, planted=[value, {"password": f"{CANARY}{value}", "secret": Secret(CANARY)}])
    assert CANARY.encode() not in msgspec.json.encode(found)

"""A secret does not show itself, whatever is done with the object that holds it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import io
import json
import logging
import pickle
import pprint
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import structlog
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from byjy_events.secret import MASK, Secret

CANARY = "canary-4f1d9c"
KINDS = [Secret(CANARY), Secret(CANARY.encode())]


class Credentials(msgspec.Struct):
    key: Secret[str]


@dataclasses.dataclass
class Settings:
    key: Secret[str]
    nested: list[dict[str, Secret[str]]]


def settings() -> Settings:
    return Settings(Secret(CANARY), [{"key": Secret(CANARY)}])


SHOWN: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda secret: f"{secret}|{secret:>30}|{secret!s:^20}|{secret!r:>30}|{secret!a}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "str.format": "{0} {0!r} {0.__class__}".format,
    "in a list": lambda secret: str([secret, {"a": secret}, (secret,)]),
    "pprint": pprint.pformat,
    "rich": lambda secret: pretty_repr([secret], expand_all=True),
    "copies": lambda secret: repr([copy.copy(secret), copy.deepcopy([secret])]),
    "dir": lambda secret: [dir(secret), inspect.getmembers(secret)],
    "default=str": lambda secret: json.dumps(secret, default=str),
    "default=repr": lambda secret: json.dumps(secret, default=repr),
    "enc_hook=str": lambda secret: msgspec.json.encode(secret, enc_hook=str),
    "error": lambda secret: "".join(traceback.format_exception_only(ValueError(secret, [secret]))),
    "assertion": lambda secret: "".join(traceback.format_exception_only(AssertionError(secret))),
}

REFUSED: dict[str, Callable[[Any], Any]] = {
    "pickle": pickle.dumps,
    "pickle 0": lambda secret: pickle.dumps(secret, 0),
    "pickle 2": lambda secret: pickle.dumps(secret, 2),
    "pickle in a list": lambda secret: pickle.dumps([secret]),
    "getstate": lambda secret: secret.__getstate__(),
    "reduce": lambda secret: secret.__reduce__(),
    "json": json.dumps,
    "default=vars": lambda secret: json.dumps(secret, default=vars),
    "msgspec json": msgspec.json.encode,
    "msgspec msgpack": msgspec.msgpack.encode,
    "msgspec builtins": msgspec.to_builtins,
    "vars": vars,
    "bytes": bytes,
    "iteration": list,
    "length": len,
    "joining": lambda secret: ", ".join([secret] * 2),
    "adding": lambda secret: "x" + secret,
    "hash": hash,
    "ordering": lambda secret: secret < secret,
    "bad format": lambda secret: f"{secret:d}",
    "changing": lambda secret: setattr(secret, "_reveal", lambda: ""),
    "adding an attribute": lambda secret: setattr(secret, "other", 1),
    "deleting": lambda secret: delattr(secret, "_reveal"),
}


@pytest.mark.parametrize("secret", KINDS, ids=["str", "bytes"])
@pytest.mark.parametrize("way", SHOWN)
def test_what_shows_an_object_shows_a_mask(secret: Secret[Any], way: str) -> None:
    """Of every secret the same, so that it does not tell how long the secret is."""
    shown = str(SHOWN[way](secret))
    assert CANARY not in shown
    assert shown == str(SHOWN[way](type(secret)("x" if isinstance(secret.reveal(), str) else b"x"))) or way == "dir"


@pytest.mark.parametrize("secret", KINDS, ids=["str", "bytes"])
@pytest.mark.parametrize("way", REFUSED)
def test_what_would_take_it_apart_is_refused(secret: Secret[Any], way: str) -> None:
    """With an error that does not show it either."""
    with pytest.raises((TypeError, AttributeError, ValueError)) as caught:
        REFUSED[way](secret)
    assert CANARY not in str(caught.value)
    assert secret.reveal() in (CANARY, CANARY.encode())


def test_revealing_gives_the_very_value() -> None:
    """Text or bytes, lone surrogates and NUL too."""
    for value in (CANARY, "", "\0\ud800", b"\x00\xff"):
        assert Secret[Any](value).reveal() is value


def test_equal_are_secrets_of_the_same_kind_and_content() -> None:
    """Nothing else is equal to a secret, its own value least of all."""
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(b"x") == Secret(b"x")
    assert Secret("\ud800") == Secret("\ud800")
    assert Secret(CANARY) != Secret("other")
    assert Secret("x") != Secret(b"x")
    assert Secret(CANARY) != CANARY
    assert [bool(Secret("x")), bool(Secret("")), bool(Secret(b""))] == [True, False, False]


@pytest.mark.parametrize("value", [None, 17, 1.5, bytearray(b"canary-4f1d9c"), [CANARY]])
def test_only_text_and_bytes_are_taken(value: Any) -> None:
    """The error names the type; neither it nor the frame that raises it holds the value."""
    with pytest.raises(TypeError, match=f"not {type(value).__name__}") as caught:
        Secret(value)
    assert caught.tb.tb_next is not None
    assert not {name for name in caught.tb.tb_next.tb_frame.f_locals if name == "secret"}


def test_containers_show_no_more_than_the_secret_itself() -> None:
    """Structs, dataclasses and their conversions; what they encode to is refused."""
    holder = Credentials(Secret(CANARY))
    for shown in (holder, msgspec.structs.asdict(holder), settings(), dataclasses.asdict(settings())):
        assert CANARY not in repr(shown)
        assert MASK in repr(shown)
    for container in (holder, settings()):
        with pytest.raises(TypeError):
            msgspec.json.encode(container)
        with pytest.raises(TypeError):
            pickle.dumps(container)


def fail(secret: Secret[str], holder: Settings) -> None:
    """Have the secret in the locals of the frame that raises, and of one that is inside the secret's own code."""
    assert secret.reveal() == CANARY
    pickle.dumps({"holder": holder})


def raised() -> BaseException:
    try:
        fail(Secret(CANARY), settings())
    except TypeError as error:
        return error
    raise AssertionError


def test_tracebacks_that_show_locals_do_not_show_it() -> None:
    """Those of the standard library, of structlog and of Rich."""
    error = raised()
    with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert CANARY not in "".join(with_locals.format())
    assert MASK in "".join(with_locals.format())

    frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=True, use_rich=True)
    plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=True, use_rich=False)
    info = (type(error), error, error.__traceback__)
    for transformed in (frames(info), plain(info)):
        assert CANARY not in json.dumps(transformed)
        assert MASK in json.dumps(transformed)

    written = io.StringIO()
    Console(file=written, width=200).print(Traceback.from_exception(*info, show_locals=True))
    assert CANARY not in written.getvalue()
    assert MASK in written.getvalue()


def test_structlog_renders_a_mask() -> None:
    """As JSON, as logfmt, for the console, and by the standard library's logging."""
    for renderer in (
        structlog.processors.JSONRenderer(),
        structlog.processors.LogfmtRenderer(),
        structlog.processors.KeyValueRenderer(),
        structlog.dev.ConsoleRenderer(),
    ):
        rendered = renderer(None, "info", {"event": "x", "key": Secret(CANARY), "bytes": Secret(CANARY.encode())})
        assert CANARY not in rendered
        assert MASK in rendered
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %r", (Secret(CANARY), Secret(CANARY)), None)
    assert CANARY not in record.getMessage()


def test_the_stack_of_a_failing_comparison_does_not_hold_it() -> None:
    """Nor does any other frame of the secret's own code outlive its call."""
    secret = Secret(CANARY)
    seen: list[str] = []

    def trace(frame: Any, event: str, _argument: Any) -> Any:
        if event == "exception":
            seen.append(repr(frame.f_locals))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for way in REFUSED.values():
            with suppress(Exception):
                way(secret)
    finally:
        sys.settrace(before)
    assert seen
    assert not [shown for shown in seen if CANARY in shown]

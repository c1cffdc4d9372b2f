"""Payloads: canonical, the same for ever, and never anything that a reader could not read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byjy_events import Event, Intent, InvalidEvent, OrderFilled, OrderPlaced, OrderSubmitted, Pair, UnknownEvent
from byjy_events.codec import PAYLOAD_LIMIT, decode, encode
from byjy_events.event import EVENT_TYPES, event_type
from byjy_events.vocabulary.orders import Liquidity, Side
from byjy_events.vocabulary.venue import FactConflicted
from tests.sample_events import ID, PAIR, SAMPLES, filled, placed

GOLDEN = Path(__file__).parent / "golden"
OURS = sorted(name for name, known in EVENT_TYPES.items() if known.struct.__module__.startswith("byjy_events."))


@pytest.fixture
def register() -> Iterator[None]:
    """Event types that a test registers are gone afterwards."""
    before = dict(EVENT_TYPES)
    yield
    EVENT_TYPES.clear()
    EVENT_TYPES.update(before)


# --- golden files ---------------------------------------------------------------------------------


def test_every_event_type_has_a_sample() -> None:
    """Whoever adds an event type adds a sample of it, and gets all the tests below."""
    assert sorted(SAMPLES) == OURS


@pytest.mark.parametrize("name", OURS)
def test_the_payload_of_every_event_type_stays_as_it_is(name: str) -> None:
    """Byte by byte: logs written years ago are hashed over these bytes. A change needs a new version."""
    path = GOLDEN / f"{name}.v{EVENT_TYPES[name].version}.json"
    payload, _ = encode(SAMPLES[name])
    assert path.exists(), f"write this payload into {path}:\n{payload.decode()}"
    assert payload == path.read_bytes()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_every_payload_ever_written_can_be_read(path: Path) -> None:
    """Of every type and every version that there has been; at the current version it is the sample."""
    name, _, version = path.stem.partition(".v")
    event = decode(name, int(version), path.read_bytes())
    assert not isinstance(event, UnknownEvent)
    if int(version) == EVENT_TYPES[name].version:
        assert event == SAMPLES[name]


@pytest.mark.parametrize("name", OURS)
def test_samples_fill_in_every_field(name: str) -> None:
    """A golden file with a field left out would not notice when its spelling changes."""
    event = SAMPLES[name]
    assert [field for field in event.__struct_fields__ if getattr(event, field) is None] == []


# --- canonical and round trip ---------------------------------------------------------------------

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
ids = texts.filter(bool)
amounts = st.decimals(-(10**12), 10**12, places=8) | st.decimals(-1, 1, places=18)
fills = st.builds(
    OrderFilled,
    pair=st.builds(Pair, exchange=ids, symbol=ids, base_asset=ids, quote_asset=ids),
    account=ids,
    exchange_order_id=ids,
    client_order_id=st.none() | ids,
    execution_id=ids,
    side=st.sampled_from(Side),
    quantity=amounts,
    price=amounts,
    fee=amounts,
    fee_asset=ids,
    liquidity=st.none() | st.sampled_from(Liquidity),
)


@given(fills)
def test_an_event_comes_back_as_it_went_in(event: OrderFilled) -> None:
    """Whatever a venue calls its orders, and however many digits it sends."""
    payload, seen = encode(event)
    assert seen == event
    assert decode("OrderFilled", 1, payload) == event


@given(fills)
def test_a_payload_is_canonical(event: OrderFilled) -> None:
    """Encoding what was decoded gives the same bytes, in field order, without white space and exponents."""
    payload, seen = encode(event)
    assert encode(seen)[0] == payload
    document = json.loads(payload)
    assert tuple(document) == event.__struct_fields__
    assert json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() == payload
    for field in ("quantity", "price", "fee"):
        assert "E" not in document[field]
        assert Decimal(document[field]) == getattr(event, field)


@pytest.mark.parametrize(
    ("written", "stored"),
    [("1.10", "1.1"), ("1E+3", "1000"), ("1E-18", "0.000000000000000001"), ("0E-7", "0"), ("-0", "0"), ("007", "7")],
)
def test_equal_numbers_are_equal_bytes(written: str, stored: str) -> None:
    """So the same fill told as 1.10 and as 1.1 is the same payload."""
    payload, _ = encode(filled("x", quantity=written))
    assert json.loads(payload)["quantity"] == stored
    assert encode(filled("x", quantity=stored))[0] == payload


# --- reading what others wrote --------------------------------------------------------------------


def test_an_unknown_type_comes_back_as_it_is_stored() -> None:
    """A log with events of another program can be read by this one."""
    assert decode("MoonPhaseChanged", 3, b"\xff") == UnknownEvent("MoonPhaseChanged", 3, b"\xff")


def test_a_newer_version_comes_back_as_unknown() -> None:
    """It is not squeezed into a Struct that knows less; whoever needs it can tell that an upgrade is due."""
    assert decode("OrderSubmitted", 2, b"{}") == UnknownEvent("OrderSubmitted", 2, b"{}")


def test_a_field_that_this_program_does_not_know_is_passed_over() -> None:
    """Reading is tolerant: a field may be added without a new version when old programs can do without."""
    assert decode("OrderSubmitted", 1, b'{"client_order_id":"a","since":1}') == OrderSubmitted(client_order_id="a")


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"client_order_id":7}', b'{"client_order_id":"a"', b"null"])
def test_a_damaged_payload_is_an_error(payload: bytes) -> None:
    """Never a half-filled event."""
    with pytest.raises(msgspec.DecodeError):
        decode("OrderSubmitted", 1, payload)


@pytest.mark.usefixtures("register")
def test_old_versions_are_brought_up_step_by_step() -> None:
    """Version 1 goes through both upcasters, version 2 through the second, version 3 through none."""

    def split_name(old: dict[str, Any]) -> dict[str, Any]:
        first, _, last = old["name"].partition(" ")
        return {"first": first, "last": last}

    def add_country(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "country": "unknown"}

    @event_type(version=3, upcasters={1: split_name, 2: add_country})
    class TraderHired(Intent, frozen=True, kw_only=True):
        first: str
        last: str
        country: str

    assert decode("TraderHired", 1, b'{"name":"Ada Lovelace"}') == TraderHired(
        first="Ada", last="Lovelace", country="unknown"
    )
    assert decode("TraderHired", 2, b'{"first":"Ada","last":"L"}') == TraderHired(
        first="Ada", last="L", country="unknown"
    )
    ada = TraderHired(first="Ada", last="L", country="UK")
    assert decode("TraderHired", 3, encode(ada)[0]) == ada
    assert type(ada).schema_version == 3


@pytest.mark.parametrize("steps", [{}, {1: dict}, {2: dict}, {1: dict, 2: dict, 3: dict}])
@pytest.mark.usefixtures("register")
def test_a_version_without_its_upcasters_cannot_be_registered(steps: dict[int, Any]) -> None:
    """Else old logs would stop being readable on the day of the release."""
    with pytest.raises(TypeError, match="upcasters from 1 to 2"):
        event_type(version=3, upcasters=steps)


@pytest.mark.usefixtures("register")
def test_two_modules_cannot_register_one_name() -> None:
    """The name is what the log knows of a type."""
    with pytest.raises(TypeError, match=r"OrderPlaced is registered by byjy_events\.vocabulary\.orders"):
        event_type()(type("OrderPlaced", (Intent,), {"__module__": __name__}))


# --- what does not get in -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"account": 5}, "account"),
        ({"account": ""}, "account"),
        ({"account": "a" * 256}, "account"),
        ({"account": "a\0"}, "account"),
        ({"account": "\ud800"}, "account"),
        ({"pair": msgspec.structs.replace(PAIR, symbol="a\0")}, "pair.symbol"),
        ({"pair": msgspec.structs.replace(PAIR, symbol="\udfff")}, "pair.symbol"),
        ({"pair": msgspec.structs.replace(PAIR, symbol="")}, "pair.symbol"),
        ({"pair": None}, "pair"),
        ({"side": "UP"}, "side"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": Decimal("NaN")}, "quantity"),
        ({"quantity": Decimal("Infinity")}, "quantity"),
        ({"quantity": Decimal("1E-19")}, "quantity"),
        ({"quantity": Decimal("1E+20")}, "quantity"),
        ({"quantity": Decimal(-1)}, "quantity"),
        ({"price": None}, "price"),
        ({"stop_price": Decimal(1)}, "stop_price"),
        ({"strategy_id": "not a UUID"}, "strategy_id"),
    ],
)
def test_what_goes_round_the_constructor_is_refused_all_the_same(changes: dict[str, Any], field: str) -> None:
    """``msgspec.structs.replace`` checks nothing; the log does, and names type and field."""
    with pytest.raises(InvalidEvent) as refused:
        encode(msgspec.structs.replace(placed(), **changes))
    assert (refused.value.event_type, refused.value.field) == ("OrderPlaced", field)


@pytest.mark.parametrize(("written", "stored"), [("1.10", "1.1"), ("1E+3", "1000"), ("1E-7", "0.0000001")])
def test_a_number_that_goes_round_the_constructor_is_spelled_canonically(written: str, stored: str) -> None:
    """In the payload, and in the event that is handed to followers."""
    payload, seen = encode(msgspec.structs.replace(placed(), quantity=Decimal(written)))
    assert json.loads(payload)["quantity"] == stored
    assert payload == encode(placed(stored))[0]
    assert isinstance(seen, OrderPlaced)
    assert seen.quantity.as_tuple() == placed(stored).quantity.as_tuple()


def test_a_class_that_is_not_registered_is_refused() -> None:
    """Nobody could read it back."""

    class Forgotten(Intent, frozen=True, kw_only=True):
        pass

    class OrderSubmitted(Intent, frozen=True, kw_only=True):  # a registered name, but another class
        pass

    for event in (Forgotten(), OrderSubmitted()):
        with pytest.raises(InvalidEvent, match="not a registered event type"):
            encode(event)


def test_a_payload_that_is_too_long_is_refused() -> None:
    """With the limit in the error."""
    event = FactConflicted(fact_event_id=ID, fact_type="T", fact_position=1, first="x" * PAYLOAD_LIMIT, second="")
    with pytest.raises(InvalidEvent, match=f"more than {PAYLOAD_LIMIT}"):
        encode(event)


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "a\\", "\\\\\\u0000x"])
def test_a_backslash_is_not_taken_for_a_nul(text: str) -> None:
    """Only a real NUL is refused, not a text that looks like an escaped one."""
    event: Event = OrderSubmitted(client_order_id=text)
    assert encode(event)[1] == event

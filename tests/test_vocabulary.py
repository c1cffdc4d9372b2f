"""The vocabulary: an event that exists is right, and a fact is told apart by what its venue calls it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from byjy_events import (
    Event,
    Fact,
    InvalidEvent,
    OrderAccepted,
    OrderAmended,
    OrderAmendRequested,
    OrderFilled,
    OrderPlaced,
    OrderType,
    Pair,
    Side,
    VenueMessageUnusable,
    external_order_id,
    pair_stream,
    usable_or_kept,
    venue_stream,
)
from byjy_events.codec import encode
from byjy_events.identifiers import derived_id
from byjy_events.vocabulary.orders import OrderFact
from byjy_events.vocabulary.venue import RAW_LIMIT
from tests.sample_events import ID, PAIR, SAMPLES, facts, filled

LIMIT: dict[str, Any] = {
    "pair": PAIR,
    "account": "main",
    "side": Side.BUY,
    "type": OrderType.LIMIT,
    "quantity": Decimal(1),
    "price": Decimal(100),
}


# --- the constructor ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"account": 5}, "account", "expected `str`, got `int`"),
        ({"account": None}, "account", "expected `str`, got `null`"),
        ({"account": ""}, "account", "length >= 1"),
        ({"account": "a" * 256}, "account", "length <= 255"),
        ({"account": "a\0b"}, "account", "NUL"),
        ({"account": "\ud800"}, "account", "lone surrogate"),
        ({"client_order_id": "\udfff"}, "client_order_id", "lone surrogate"),
        ({"pair": None}, "pair", "expected `object`"),
        ({"side": "UP"}, "side", "invalid enum value 'UP'"),
        ({"is_test": 1}, "is_test", "expected `bool`, got `int`"),
        ({"quantity": 1.5}, "quantity", "expected a Decimal, got float 1.5"),
        ({"quantity": 1}, "quantity", "expected a Decimal, got int 1"),
        ({"quantity": "1"}, "quantity", "expected a Decimal, got str '1'"),
        ({"quantity": True}, "quantity", "expected a Decimal, got bool"),
        ({"quantity": None}, "quantity", "expected `decimal`, got `null`"),
        ({"quantity": Decimal("NaN")}, "quantity", "not a finite number"),
        ({"quantity": Decimal("-Infinity")}, "quantity", "not a finite number"),
        ({"quantity": Decimal("1E+20")}, "quantity", "more than 20 digits before the decimal point"),
        ({"quantity": Decimal("1E-19")}, "quantity", "more than 18 decimals"),
        ({"quantity": Decimal(0)}, "quantity", "not more than zero"),
        ({"quantity": Decimal(-1)}, "quantity", "not more than zero"),
        ({"price": None}, "price", "required for a LIMIT order"),
        ({"price": Decimal(0)}, "price", "not more than zero"),
        ({"type": OrderType.MARKET}, "price", "not allowed for a MARKET order"),
        ({"type": OrderType.STOP_LOSS_LIMIT}, "stop_price", "required for a STOP_LOSS_LIMIT order"),
        ({"stop_price": Decimal(1)}, "stop_price", "not allowed for a LIMIT order"),
        ({"strategy_id": "no"}, "strategy_id", "invalid UUID"),
    ],
)
def test_an_order_that_makes_no_sense_cannot_be_made(changes: dict[str, Any], field: str, reason: str) -> None:
    """The error names the type, the field and what is wrong with it."""
    with pytest.raises(InvalidEvent) as refused:
        OrderPlaced(**{**LIMIT, **changes})
    assert refused.value.event_type == "OrderPlaced"
    assert refused.value.field == field
    assert reason in refused.value.reason
    assert str(refused.value) == f"OrderPlaced.{field}: {refused.value.reason}"


@pytest.mark.parametrize("missing", ["pair", "account", "side", "type", "quantity"])
def test_a_missing_field_is_named(missing: str) -> None:
    """With its type, as any other fault."""
    with pytest.raises(InvalidEvent, match="missing") as refused:
        OrderPlaced(**{name: value for name, value in LIMIT.items() if name != missing})
    assert (refused.value.event_type, refused.value.field) == ("OrderPlaced", missing)


def test_a_field_too_many_is_named() -> None:
    """A misspelled field is not dropped silently."""
    with pytest.raises(TypeError, match="leverage"):
        OrderPlaced(**{**LIMIT, "leverage": 3})


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Pair(exchange="", symbol="s", base_asset="b", quote_asset="q"), "exchange"),
        (lambda: Pair(exchange="e", symbol="s\0", base_asset="b", quote_asset="q"), "symbol"),
        (OrderAmendRequested, "quantity"),
        (lambda: OrderAmendRequested(quantity=Decimal(0)), "quantity"),
        (lambda: OrderAccepted(pair=PAIR, account="main"), "exchange_order_id"),
        (lambda: filled("x", fee=Decimal(1)), "fee_asset"),
        (lambda: filled(""), "execution_id"),
        (lambda: OrderAmended(pair=PAIR, account="m", exchange_order_id="1", update_id=""), "update_id"),
    ],
)
def test_every_type_checks_its_own_rules(make: Any, field: str) -> None:
    """Also the rules that hold between fields."""
    with pytest.raises(InvalidEvent) as refused:
        make()
    assert refused.value.field == field


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_event_cannot_be_changed(name: str) -> None:
    """Events are frozen, so what was checked stays checked."""
    event = SAMPLES[name]
    with pytest.raises(AttributeError):
        setattr(event, next(iter(event.__struct_fields__), "anything"), None)


def test_a_fact_may_say_what_an_intent_may_not() -> None:
    """A venue that reports a negative price or quantity is recorded, not argued with."""
    odd = filled("x", quantity="-1", price="0")
    assert encode(odd)[1] == odd


# --- identity of facts ----------------------------------------------------------------------------


def test_ids_of_facts_never_change() -> None:
    """Every derived id in every log hangs on them; computed from RFC 9562 and the framing alone."""
    assert filled("x-1").identity() == ("binance", "main", "BTCUSDT", "venue", "28457", "x-1")
    assert UUID(bytes=filled("x-1").fact_id_bytes()) == UUID("d5e03723-8648-5d3f-b432-054a45fe2076")
    assert pair_stream("binance", "BTCUSDT").id == UUID("93d66eff-4b22-5aed-bf6d-d5603923e8d9")
    assert external_order_id("binance", "main", "BTCUSDT", "28457") == UUID("89d8d32a-d2f7-5105-8681-a45a861c8a3e")
    assert venue_stream("binance", "main").id == UUID("f747b162-62b3-58b9-8dc1-00db0bee5dbd")


def test_derived_ids_keep_their_parts_apart() -> None:
    """Letters cannot move between parts, and no text can look like a boundary."""
    spellings = [("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ('a","bc',), ("a", "bc", "")]
    assert len({derived_id(*parts) for parts in spellings}) == len(spellings)


def test_every_kind_of_fact_has_ids_of_its_own() -> None:
    """A bust never shares the id of the fill that it takes back, nor any other two kinds."""
    assert len({fact.fact_id_bytes() for fact in facts()}) == len(facts())


@pytest.mark.parametrize(
    "changes",
    [
        {"pair": msgspec.structs.replace(PAIR, exchange="kucoin")},
        {"pair": msgspec.structs.replace(PAIR, symbol="ETHUSDT")},
        {"account": "second"},
        {"exchange_order_id": "28458"},
        {"execution_id": "x-2"},
    ],
)
def test_what_names_a_fill_makes_its_id(changes: dict[str, Any]) -> None:
    """Venue, account, instrument, venue order id and execution id: venues reuse execution ids between orders."""
    other = msgspec.structs.replace(filled("x-1"), **changes)
    assert other.fact_id_bytes() != filled("x-1").fact_id_bytes()


@pytest.mark.parametrize(
    "changes", [{"quantity": Decimal(9)}, {"price": Decimal(9)}, {"client_order_id": "c"}, {"liquidity": "MAKER"}]
)
def test_what_a_fill_says_does_not_make_its_id(changes: dict[str, Any]) -> None:
    """So a second telling with other numbers is recognised, and kept as a contradiction."""
    other = msgspec.structs.replace(filled("x-1"), **changes)
    assert other.fact_id_bytes() == filled("x-1").fact_id_bytes()


def test_an_order_without_a_venue_id_is_named_by_ours() -> None:
    """And the two kinds of name cannot be taken for each other."""
    ours = OrderAccepted(pair=PAIR, account="main", client_order_id="1")
    theirs = OrderAccepted(pair=PAIR, account="main", exchange_order_id="1")
    assert ours.fact_id_bytes() != theirs.fact_id_bytes()


def test_what_one_telling_leaves_out_does_not_contradict_the_other() -> None:
    """The stream says less than the snapshot; both are the same fill."""
    assert filled("x").agrees_with(filled("x", client_order_id="c"))
    assert filled("x", client_order_id="c").agrees_with(filled("x"))
    assert not filled("x", client_order_id="c").agrees_with(filled("x", client_order_id="d"))
    assert not filled("x", price="1").agrees_with(filled("x", price="2"))


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: type(fact).__name__)
def test_every_fact_agrees_with_itself_and_with_no_other_kind(fact: Fact) -> None:
    """For all kinds of facts."""
    assert fact.agrees_with(fact)
    assert not any(fact.agrees_with(other) for other in facts() if other is not fact)


@pytest.mark.parametrize(
    "fact", [fact for fact in facts() if isinstance(fact, OrderFact)], ids=lambda fact: type(fact).__name__
)
def test_a_fact_on_paper_is_another_fact(fact: OrderFact) -> None:
    """A simulated venue may use the ids of the real one; its fills must not hide real ones."""
    assert msgspec.structs.replace(fact, is_test=not fact.is_test).fact_id_bytes() != fact.fact_id_bytes()


# --- messages that cannot be used -----------------------------------------------------------------


def failing(raw: bytes) -> Event:
    raise ValueError("no \0 such \ud800 field")


def test_a_message_that_parses_is_what_the_parser_says() -> None:
    """Nothing is kept of it besides."""
    fill = filled("x")
    assert usable_or_kept("binance", "main", b"{}", lambda raw: fill) is fill


def test_a_message_is_kept_whose_error_cannot_be_told() -> None:
    """The parser is not ours, and neither are its errors."""

    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def failing(raw: bytes) -> object:
        raise Speechless

    kept = usable_or_kept("binance", "main", b"{", failing)
    assert isinstance(kept, VenueMessageUnusable)
    assert (kept.raw, kept.error) == (b"{", "Speechless")


@pytest.mark.parametrize("length", [0, 100, RAW_LIMIT, RAW_LIMIT + 1, 5 * RAW_LIMIT])
def test_a_message_that_does_not_parse_is_kept_and_fits(length: int) -> None:
    """Of any length and any bytes; a cut one still tells its length and digest."""
    raw = bytes(index * 31 % 256 for index in range(256)) * (length // 256 + 1)
    kept = usable_or_kept("binance", "main", raw[:length], failing)
    assert isinstance(kept, VenueMessageUnusable)
    assert (kept.raw, kept.raw_length) == (raw[: min(length, RAW_LIMIT)], length)
    assert encode(kept)[1] == kept


def test_garbage_told_twice_is_one_fact_whatever_the_error_says() -> None:
    """The program may have been upgraded in between and complain in other words."""
    first = usable_or_kept("binance", "main", b"\xff", failing)
    second = usable_or_kept("binance", "main", b"\xff", msgspec.json.decode)
    other = usable_or_kept("binance", "main", b"\xfe", failing)
    assert isinstance(first, Fact)
    assert isinstance(second, Fact)
    assert isinstance(other, Fact)
    assert first != second
    assert first.agrees_with(second)
    assert first.fact_id_bytes() == second.fact_id_bytes()
    assert not first.agrees_with(other)
    assert first.fact_id_bytes() != other.fact_id_bytes()


def test_ids_in_samples_are_what_they_seem() -> None:
    """An id that came as text is a UUID afterwards."""
    assert OrderPlaced(**LIMIT, strategy_id=str(ID)).strategy_id == ID  # type: ignore[arg-type]
    assert isinstance(OrderFilled(**{**msgspec.structs.asdict(filled("x")), "side": "BUY"}).side, Side)

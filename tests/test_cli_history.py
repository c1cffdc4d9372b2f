"""``byjy history`` and ``byjy trace``, for people and for programs."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shlex
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from byjy_events import (
    EventLog,
    api_key_stream,
    configuration_stream,
    new_order_id,
    pair_stream,
    strategy_stream,
    user_stream,
)
from byjy_events.event import Event
from byjy_events.recorded import Entry
from byjy_events.stream import Stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.api_keys import ApiKeyAdded, ApiKeyRevoked
from byjy_events.vocabulary.configuration import ConfigurationSet
from byjy_events.vocabulary.pairs import PairListed
from byjy_events.vocabulary.strategies import StrategyActivated, StrategyCreated
from byjy_events.vocabulary.users import UserRegistered
from byjy_ops.entity import named
from byjy_ops.errors import InvalidArgument
from projections import CONFIGURATION, OWNERSHIP, TRADING, TRAIL, catch_up
from tests.lifecycles import BTC, Subject
from tests.sample_events import SAMPLES
from tests.test_cli_replay import Cli

SIGNAL = UUID("019a0000-0000-7000-8000-0000000000aa")
SEALED = b"\1" + os.urandom(80)
USER, KEY, STRATEGY = (UUID(int=number) for number in (0xE1, 0xE2, 0xE3))
BUY, SELL = Subject(number=1), Subject(number=2, side=events.Side.SELL)
SECOND = 1_780_000_000 * 10**9


NAME = SAMPLES["StrategyCreated"].name  # type: ignore[attr-defined]


@pytest.fixture
def cli(database: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """A user, a key, a strategy, a setting, and a signal of which two orders came; all projected."""
    settings = configuration_stream("risk.limit")
    steps: list[tuple[Stream, Event, dict[str, Any]]] = [
        (pair_stream(BTC.exchange, BTC.symbol), PairListed(pair=BTC), {}),
        (user_stream(USER), sample(UserRegistered, username="alice", email=SEALED, password_hash=SEALED), {}),
        (api_key_stream(KEY), sample(ApiKeyAdded, user_id=USER, label="hot", key=SEALED, secret=SEALED), {}),
        (api_key_stream(KEY), ApiKeyRevoked(reason="leaked"), {}),
        (strategy_stream(STRATEGY), sample(StrategyCreated, user_id=USER), {}),
        (settings, setting("1000", 1), {}),
        (settings, setting("2500", 2), {}),
        (strategy_stream(STRATEGY), StrategyActivated(), {"correlation_id": SIGNAL}),
        (BUY.stream, BUY.placed(Decimal(5), Decimal("100.5")), {"correlation_id": SIGNAL, **cause(8)}),
        (BUY.stream, BUY.filled("f1", Decimal(2), Decimal(100), fee=Decimal("0.25"), fee_asset="USDT"), {}),
        (SELL.stream, SELL.filled("f2", Decimal("0.5"), Decimal(110)), {"correlation_id": SIGNAL, **cause(9)}),
        (BUY.stream, BUY.fact(events.TradeBusted, update_id="b", execution_id="f1"), cause(99)),
    ]

    async def work() -> None:
        async with EventLog.open(database) as log:
            for number, (stream, event, about) in enumerate(steps, 1):
                own = None if isinstance(event, events.OrderFact) else event_id(number)
                entry = Entry(event, event_id=own, occurred_at=SECOND + number)
                await log.append(stream, [entry], actor="feed" if own is None else "ops", **about)
            for group in (TRADING, OWNERSHIP, CONFIGURATION, TRAIL):
                await catch_up(log, group)

    asyncio.run(work())
    yield Cli(database, capsys)
    structlog.reset_defaults()


def event_id(number: int) -> UUID:
    return UUID(int=(0x0190_0000_0000_7000_8000 << 48) + number)


def cause(number: int) -> dict[str, UUID]:
    return {"causation_id": event_id(number)}


def sample(kind: type[Event], **fields: Any) -> Any:
    """The sample of a type with some fields of our own."""
    known = {name: getattr(SAMPLES[kind.__name__], name) for name in kind.__struct_fields__}
    return kind(**{**known, **fields})


def setting(value: str, version: int) -> Any:
    plain = {"key": "risk.limit", "value": value, "version": version, "value_type": "INTEGER", "is_secret": False}
    return sample(ConfigurationSet, **plain, sealed_value=b"")


def lines(cli: Cli, *arguments: str) -> str:
    """What people see, without the clocks of this run."""
    status, out, complaint = cli(*arguments)
    assert status == 0, complaint
    return re.sub(r"20[23]\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}|\+\d\.\d{6}|\d+\.\d{6} s", "…", out)


ORDER_HISTORY = f"""\
10  OrderFilled  (version 2)
    occurred …
    received …
    recorded …
    by feed
    pair=binance:BTCUSDT account=main exchange_order_id=v1 client_order_id=c1 execution_id=f1 side=BUY quantity=2\
 price=100 fee=0.25 fee_asset=USDT
    | exchange_order_id: none -> v1
    | status: PENDING_NEW -> PARTIALLY_FILLED
    | filled_quantity: 0 -> 2
    | filled_notional: 0 -> 200
    | avg_price: none -> 100
    | commission: 0 -> 0.25
    | commission_asset: none -> USDT
    | accepted_at: none -> …
    | executed_at: none -> …
    | traded_quantity: 0 -> 2
    | traded_notional: 0 -> 200
    | order_fees USDT: new row: order_id={BUY.stream.id} asset=USDT amount=0.25

12  TradeBusted  (version 3)
    occurred …
    received …
    recorded …
    by feed
    pair=binance:BTCUSDT account=main exchange_order_id=v1 client_order_id=c1 update_id=b execution_id=f1
    | status: PARTIALLY_FILLED -> NEW
    | filled_quantity: 2 -> 0
    | filled_notional: 200 -> 0
    | avg_price: 100 -> none
    | commission: 0.25 -> 0
    | commission_asset: USDT -> none
    | executed_at: … -> none
    | traded_quantity: 2 -> 0
    | traded_notional: 200 -> 0
    | trades TRADE: status: EXECUTED -> BUSTED, revised_position: none -> 12
    | order_fees USDT: the row is gone

"""

TRACE = f"""\
correlation {SIGNAL}: 5 events, 3 streams, …
… UTC

   …        8  StrategyActivated  strategy-{STRATEGY}  by ops  | strategy: status DRAFT -> ACTIVE
   …        9  └─ OrderPlaced  order-{BUY.stream.id}  BUY 5 binance:BTCUSDT at 100.5\
  | order: status none -> PENDING_NEW
   …       10     ├┄ OrderFilled  by feed  2 at 100  | order: status PENDING_NEW -> PARTIALLY_FILLED,\
 filled_quantity 0 -> 2  | position binance:BTCUSDT main: quantity 0 -> 2, realized -0.25
   …       11     └─ OrderFilled  order-{SELL.stream.id}  by feed  0.5 at 110\
  | order: status none -> PARTIALLY_FILLED, filled_quantity none -> 0.5\
  | position binance:BTCUSDT main: quantity 2 -> 1.5, realized +5
   …       12  TradeBusted  order-{BUY.stream.id}  by feed  (its cause {event_id(99)} is not in the log)\
  | order: status PARTIALLY_FILLED -> NEW, filled_quantity 2 -> 0\
  | position binance:BTCUSDT main: quantity 1.5 -> -0.5, realized -4.75
"""


def test_a_history_shows_what_became_of_the_row(cli: Cli) -> None:
    """The columns that changed and no others, exact; the newest that were asked for, the oldest of them first."""
    shown = lines(cli, "history", str(BUY.stream.id), "--limit", "2")
    trade = next(one["id"] for one in cli.rows("trades") if one["execution_id"] == "f1")
    assert shown.replace(trade, "TRADE") == ORDER_HISTORY
    complaint = cli("history", "order", str(BUY.stream.id), "--limit", "2")[2]
    assert complaint == "byjy: the newest 2 of 3 shown: --limit N, or 0 for all\n"


def test_a_row_for_programs_has_the_states(cli: Cli) -> None:
    """Whole rows before and after, as in the listings, and the names of the columns that differ."""
    placed, filled, busted = cli.rows("history", str(BUY.stream.id))
    assert (placed["before"], placed["changed"][0]) == (None, "id")
    assert (placed["position"], placed["event_id"], placed["type"]) == (9, str(event_id(9)), "OrderPlaced")
    assert filled["before"] == placed["after"]
    assert (filled["before"]["filled_quantity"], filled["after"]["filled_quantity"]) == ("0", "2")
    assert {"status", "filled_quantity", "updated_at", "last_position"} <= set(filled["changed"])
    assert "quantity" not in filled["changed"]
    assert [(one["table"], one["changed"][:1]) for one in busted["also"]] == [
        ("trades", ["status"]),
        ("order_fees", ["order_id"]),
    ]
    [live] = cli.rows("orders", "--order", str(BUY.stream.id))
    assert {name: live[name] for name in busted["after"]} == busted["after"]


HISTORIES: list[tuple[tuple[str, ...], list[int]]] = [
    (("order", "c2"), [11]),
    (("ORDER", "v1", "--pair", "BTCUSDT", "--account", "main"), [9, 10, 12]),
    (("pair", "BTCUSDT"), [1]),
    (("position", "binance:BTCUSDT", "--account", "main"), [10, 11, 12]),
    (("user", str(USER)), [2]),
    (("api-key", "hot"), [3, 4]),
    (("strategy", NAME), [5, 8]),
    (("config", "risk.limit", "--since", "1h"), [6, 7]),
]


def test_everything_that_has_a_row_has_a_history(cli: Cli) -> None:
    """By its id or by what it is called; also an order that only the venue's id is known of."""
    for words, expected in HISTORIES:
        assert [row["position"] for row in cli.rows("history", *words)] == expected, words


def test_nothing_sealed_is_shown(cli: Cli) -> None:
    """Not in the event, not in the row, not in the tree: only how long it is."""
    for arguments in (("history", "user", "alice"), ("history", "key", "hot"), ("trace", str(event_id(2)))):
        for more in ((), ("--json",)):
            status, out, _ = cli(*arguments, *more)
            assert status == 0
            assert f"sealed ({len(SEALED)} bytes)" in out or (arguments[0], more) == ("trace", ())
            for spelling in (base64.b64encode(SEALED).decode(), SEALED.hex()):
                assert not any(spelling[start : start + 12] in out for start in range(4, 96, 12))
    *_, revoked = cli.rows("history", "key", "hot")
    assert (revoked["after"]["encrypted_secret"], revoked["changed"]) == (
        "sealed (81 bytes)",
        ["is_active", "updated_at"],
    )


REFUSALS: list[tuple[tuple[str, ...], int, str]] = [
    (("order", "v99"), 2, "NAME: no order is called 'v99'"),
    (("position", "NOPAIR", "--account", "main"), 2, "NAME: no pair is called 'NOPAIR'"),
    (("execution", "17"), 2, "NAME: '17' is no UUID, and an execution has no other name"),
    (("position", "BTCUSDT", "--account", "main", "--paper"), 1, "the log knows no position BTCUSDT on main"),
    (("position", "kucoin:X", "--account", "main"), 1, "the log knows no position kucoin:X on main"),
    (("user", str(UUID(int=5))), 1, "the log knows no user"),
    (("config", "risk.limit", "--since", "2100-01-01"), 1, "since then"),
]


def test_what_cannot_be_shown_is_said_in_one_line(cli: Cli) -> None:
    """What is called so does not exist; or the log knows nothing of it."""
    for words, expected, reason in REFUSALS:
        status, out, complaint = cli("history", *words)
        assert (status, out) == (expected, ""), words
        assert reason in complaint
        assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "account", "paper", "complaint"),
    [
        (["17"], None, False, "ORDER_ID: '17' is no UUID, and KIND NAME are two words"),
        (["thing", "17"], None, False, "KIND: 'thing' is unknown; expected one of api_key, config"),
        (["order", "a", "b"], None, False, "KIND NAME: 3 words; quote a name that has blanks"),
        (["position", "BTCUSDT"], None, False, "--account: whose position?"),
        (["pair", "BTCUSDT"], None, True, "--paper: of no use to the history of pair BTCUSDT"),
        (["user", "alice"], "main", False, "--account: of no use to the history of user alice"),
    ],
)
def test_words_that_name_nothing_are_refused(
    words: list[str], account: str | None, paper: bool, complaint: str
) -> None:
    """Before anything is opened; the error tells which word."""
    with pytest.raises(InvalidArgument, match=re.escape(complaint)):
        named(words, account, None, is_test=paper)


def test_a_trace_draws_what_led_to_what(cli: Cli) -> None:
    """The signal, its order, the fills, what each changed; what names no cause hangs by a dotted line."""
    assert lines(cli, "trace", str(SIGNAL)) == TRACE
    assert lines(cli, "trace", str(event_id(9))) == TRACE
    status, out, complaint = cli("trace", str(new_order_id()))
    assert (status, out) == (1, "")
    assert "knows no correlation, event or order" in complaint


def test_a_traced_event_for_programs_names_its_parent(cli: Cli) -> None:
    """Flat, in the order of the drawing."""
    traced = cli.rows("trace", str(SIGNAL))
    assert [(row["position"], row["parent_position"], row["depth"], row["linked_by"]) for row in traced][:3] == [
        (8, None, 0, None),
        (9, 8, 1, "CAUSE"),
        (10, 9, 2, "STREAM"),
    ]
    assert traced[1]["parent_event_id"] == str(event_id(8))
    assert traced[2]["states"][1] == {
        "of": "position",
        "name": "binance:BTCUSDT main",
        "changed": {"quantity": ["0", "2"], "realized": [None, "-0.25"]},
    }


def test_the_examples_of_the_guide_are_commands_that_there_are() -> None:
    """Each line of the guide that calls ``byjy history`` or ``byjy trace`` is one that the command line takes."""
    text = (Path(__file__).resolve().parents[1] / "docs/guide/history.md").read_text()
    called = re.findall(r"^\$ byjy (history|trace) (.*)$", text, re.MULTILINE)
    assert {name for name, _ in called} == {"history", "trace"}
    for name, arguments in called:
        if name == "history":
            words = [word for word in shlex.split(arguments) if word not in ("--paper", "--json")]
            places = [at for at, word in enumerate(words) if word.startswith("--")]
            options = {words[at]: words[at + 1] for at in places}
            plain = [word for at, word in enumerate(words) if at not in places and at - 1 not in places]
            assert str(named(plain, options.get("--account"), options.get("--pair"), is_test="--paper" in arguments))

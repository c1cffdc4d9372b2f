"""What is appended: generated lifecycles of orders, the same for the same seed, and real order flow where it is.

An event's payload is about 330 bytes of JSON. Order ids rise with time, as those of a running engine do.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from byjy_events import (
    ANY,
    NO_STREAM,
    Event,
    EventLog,
    Liquidity,
    OrderAccepted,
    OrderCanceled,
    OrderCancelRequested,
    OrderFilled,
    OrderPlaced,
    OrderType,
    Pair,
    PairListed,
    Side,
    Stream,
    Write,
    new_order_id,
    order_stream,
    pair_stream,
)
from byjy_events.stream import Expected

ACCOUNT = "subaccount-market-making-01"
STRATEGIES = 50
TOGETHER = 1_000
"""Events of one append where a log is only filled, not measured."""

PAIRS = tuple(
    Pair(exchange="binance", symbol=base + "USDT", base_asset=base, quote_asset="USDT")
    for base in ("BTC", "ETH", "SOL", "XRP")
)


class Step(NamedTuple):
    """One append of one event."""

    stream: Stream
    event: Event
    expected: Expected


def lifecycle(random: Random, number: int) -> list[Step]:
    """One order from its placing to its end: filled in one to three pieces, or cancelled."""
    pair, side = random.choice(PAIRS), random.choice((Side.BUY, Side.SELL))
    price = Decimal(random.randrange(1_000_000, 9_000_000)).scaleb(-2)
    pieces = random.choice((1, 1, 2, 3))
    piece = Decimal(random.randrange(1_000, 900_000)).scaleb(-5)
    client = f"mm-{random.randrange(STRATEGIES):02}-{number:012}"
    told: dict[str, Any] = {
        "pair": pair,
        "account": ACCOUNT,
        "exchange_order_id": f"{8_400_000_000 + number}",
        "client_order_id": client,
    }
    stream = order_stream(new_order_id())
    placed = OrderPlaced(
        pair=pair,
        account=ACCOUNT,
        side=side,
        type=OrderType.LIMIT,
        quantity=piece * pieces,
        price=price,
        client_order_id=client,
    )
    events: list[Event] = [OrderAccepted(**told)]
    if random.random() < 0.4:
        events += [
            OrderCancelRequested(reason="the quote moved away from the price of this order"),
            OrderCanceled(**told),
        ]
    else:
        for fill in range(pieces):
            events.append(
                OrderFilled(
                    **told,
                    execution_id=f"{3_900_000_000 + number * 10 + fill}",
                    side=side,
                    quantity=piece,
                    price=price,
                    fee=Decimal(random.randrange(1, 99_999)).scaleb(-6),
                    fee_asset="USDT",
                    liquidity=Liquidity.MAKER,
                )
            )
    return [Step(stream, placed, NO_STREAM), *(Step(stream, event, ANY) for event in events)]


def producers(count: int, events: int, seed: int = 1, first: int = 0) -> list[list[Step]]:
    """For each of some concurrent producers the appends that it makes one after the other, ``events`` in all.

    Args:
        first: the number of the first order. Where the log has orders already, one that none of them has: the venue's
            ids are made of it, and a fact that is told again is not appended.
    """
    share = max(1, events // count)
    random, numbers = Random(seed), itertools.count(first)
    scripts: list[list[Step]] = [[] for _ in range(count)]
    while len(scripts[-1]) < share:  # in turns, so that ids rise as they will be used
        for script in scripts:
            if len(script) < share:
                script.extend(lifecycle(random, next(numbers)))
    return [script[:share] for script in scripts]


async def fill(log: EventLog, events: int, seed: int = 1) -> None:
    """Bring a log to at least so many generated events, as fast as it goes."""
    for pair in PAIRS:
        await log.append(pair_stream(pair.exchange, pair.symbol), [PairListed(pair=pair)])
    random = Random(seed)
    number = 0
    while number < events:
        writes = []
        size = 0
        while size < TOGETHER:
            steps = lifecycle(random, number + size)
            writes.append(Write(steps[0].stream, [step.event for step in steps], NO_STREAM))
            size += len(steps)
        await log.append_all(writes)
        number += size


def lobster_files() -> Sequence[Path]:
    """Real order flow in LOBSTER's format, from the folder BYJY_SHARED or ``../shared``; empty: there is none."""
    return sorted(_lobster_files())


def _lobster_files() -> Iterator[Path]:
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("BYJY_SHARED", beside)) / "data" / "lobster"
    yield from folder.glob("*_message_*.csv.gz")

"""``byjy trail``: who did what when, for people and for programs."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from uuid import UUID

import pytest

from byjy_events import NO_STREAM, EventLog, new_order_id, order_stream, pair_stream, venue_stream
from byjy_events.vocabulary.orders import OrderCancelRequested, OrderDenied
from byjy_events.vocabulary.pairs import PairListed
from byjy_events.vocabulary.venue import VenueMessageUnusable
from byjy_ops.trail import SUMMARY_LENGTH, said
from projections import TRADING, TRAIL, catch_up
from tests.cli import byjy, rows
from tests.sample_events import PAIR, SAMPLES, placed

REASON = "limit of 5 BTC reached; \x1b[2J"


class Told(NamedTuple):
    """What the log tells of."""

    url: str
    order: UUID
    venue: UUID
    third_at: int


@pytest.fixture
def told(database: str) -> Told:
    """Six events of three actors, about an order, a pair, a venue and another order; all projected."""
    order, other = new_order_id(), new_order_id()
    unusable = SAMPLES[VenueMessageUnusable.__name__]
    venue = venue_stream("binance", "main")

    async def work() -> int:
        async with EventLog.open(database) as log:
            await log.append(pair_stream(PAIR.exchange, PAIR.symbol), [PairListed(pair=PAIR)], actor="ops:alice")
            await log.append(order_stream(order), [placed()], expected=NO_STREAM, actor="strategy:mm-1")
            third = await log.append(order_stream(order), [OrderCancelRequested()], actor="strategy:mm-1")
            await log.append(venue, [unusable], actor="feed")
            await log.append(order_stream(other), [placed()], actor="strategy:mm-1")
            await log.append(order_stream(other), [OrderDenied(reason=REASON)], actor="ops:alice")
            await catch_up(log, TRADING)
            await catch_up(log, TRAIL)
            return third.events[0].recorded_at

    return Told(database, order, venue.id, asyncio.run(work()))


def positions(told: Told, *arguments: str) -> list[int]:
    return [row["position"] for row in rows("trail", *arguments, database=told.url)]


def test_the_newest_come_first_with_all_that_is_asked(told: Told) -> None:
    """When, where in the log, who, what, to whom; and what the event says."""
    done = byjy("trail", database=told.url)
    assert (done.returncode, done.stderr) == (0, "")
    heading, newest, *_, oldest = done.stdout.splitlines()
    assert heading.split("  ")[0] == "recorded (UTC)"
    assert newest.endswith("reason=limit of 5 BTC reached; \\x1b[2J")
    assert [word in oldest for word in ("ops:alice", "PairListed", "binance:BTCUSDT", "status=TRADING")] == [True] * 4
    assert f"order:{told.order}" in done.stdout
    assert positions(told) == [6, 5, 4, 3, 2, 1]


def test_every_filter_and_all_of_them_together(told: Told) -> None:
    """What was asked for has to hold at once."""
    assert positions(told, "--actor", "strategy:mm-1") == [5, 3, 2]
    assert positions(told, "--type", "OrderPlaced") == [5, 2]
    assert positions(told, "--since", str(told.third_at)) == [6, 5, 4, 3]
    assert positions(told, "--since", "1h") == [6, 5, 4, 3, 2, 1]
    assert positions(told, "--since", "2100-01-01") == []
    for entity in (f"order:{told.order}", str(told.order), str(told.order).upper()):
        assert positions(told, "--entity", entity) == [3, 2]
    assert positions(told, "--entity", f"venue:{told.venue}") == [4]
    assert positions(told, "--entity", f"pair:{told.order}") == []
    for entity in ("BTCUSDT", "binance:BTCUSDT"):
        assert positions(told, "--entity", entity) == [1]
    asked = ("--entity", str(told.order), "--actor", "strategy:mm-1", "--type", "OrderPlaced", "--since", "1h")
    assert positions(told, *asked) == [2]


def test_every_entity_that_is_shown_can_be_asked_for(told: Told) -> None:
    """As it is written."""
    for row in rows("trail", database=told.url):
        assert row["position"] in positions(told, "--entity", row["entity"])


def test_a_row_for_programs_has_every_column(told: Told) -> None:
    """And names the stream, so that nothing has to be taken apart."""
    row = rows("trail", "--entity", str(told.order), database=told.url)[-1]
    assert list(row) == [
        "position",
        "recorded_at",
        "actor",
        "category",
        "stream_id",
        "type",
        "correlation_id",
        "entity",
        "summary",
    ]
    assert (row["category"], row["stream_id"], row["entity"]) == ("order", str(told.order), f"order:{told.order}")
    assert row["summary"].startswith("pair=binance:BTCUSDT account=")


def test_a_limit_says_that_there_is_more(told: Told) -> None:
    """And zero is no limit."""
    done = byjy("trail", "--limit", "2", database=told.url)
    assert done.stderr == "byjy: 2 shown, there are more: --limit N, or 0 for all\n"
    assert positions(told, "--limit", "2") == [6, 5]
    assert byjy("trail", "--limit", "0", database=told.url).stderr == ""


def test_a_trail_that_lags_says_so(told: Told) -> None:
    """Else silence would be taken for innocence."""

    async def work() -> None:
        async with EventLog.open(told.url) as log:
            await log.append(order_stream(told.order), [OrderCancelRequested()], actor="mallory")

    asyncio.run(work())
    done = byjy("trail", "--actor", "mallory", database=told.url)
    nothing, behind = done.stderr.splitlines()
    assert (done.returncode, done.stdout, nothing) == (0, "", "byjy: nothing found")
    assert behind.startswith("byjy: the tables are 1 events and ")
    assert behind.endswith(" project")
    assert byjy("project", "trail", database=told.url).returncode == 0
    assert len(rows("trail", "--actor", "mallory", database=told.url)) == 1


@pytest.mark.parametrize("entity", ["NOPAIR", "order:123", "order:", ":"])
def test_an_entity_that_is_none_is_refused(told: Told, entity: str) -> None:
    """In one line that names the option."""
    done = byjy("trail", "--entity", entity, database=told.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"byjy: --entity: no pair is called {entity!r}; to see all of them: byjy pairs\n"


@pytest.mark.parametrize(
    "payload", [b"null", b"7", b"[1,2]", b'"text"', b"{}", b'{"a":{"b":["' + b"c" * 9_000 + b'"]}}']
)
def test_any_payload_has_a_summary_of_one_short_line(payload: bytes) -> None:
    """Also that of an event which this program does not know."""
    summary = said(payload)
    assert len(summary) <= SUMMARY_LENGTH
    assert "\n" not in summary


def test_a_long_summary_is_cut() -> None:
    """With a sign that it was."""
    payload = ("{" + ",".join(f'"field{n}":"{"x" * 60}"' for n in range(20)) + "}").encode()
    assert len(said(payload)) == SUMMARY_LENGTH
    assert said(payload).endswith("…")
    assert said(b'{"a":1,"empty":null,"also":"","no":false}') == "a=1"

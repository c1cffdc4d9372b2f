"""LOBSTER's files, line by line: what they say, and what is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from byjy_events import (
    Liquidity,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderFilled,
    OrderPlaced,
    PairListed,
    Side,
)
from byjy_ops.errors import InvalidInput
from byjy_ops.lobster.day import TradingDay
from byjy_ops.lobster.file import MessageFile
from byjy_ops.lobster.message import Malformed, MessageType, parse
from tests.cli import NAME, sample

DAY = TradingDay("XYZ", date(2012, 6, 21), "lobster")
NANOSECOND = 10**9


def test_a_submission_is_an_order_placed_and_accepted() -> None:
    """Both carry the line's exact instant, price and size; the stream is the order's."""
    stream, entries = DAY.entries(7, parse(b"34200.004241176,1,16113575,18,5853300,1\n"))
    placed, accepted = (entry.event for entry in entries)
    assert isinstance(placed, OrderPlaced)
    assert (placed.side, placed.quantity, placed.price) == (Side.BUY, Decimal(18), Decimal("585.33"))
    assert isinstance(accepted, OrderAccepted)
    assert accepted.exchange_order_id == "16113575"
    # 09:30:00.004241176 in New York, in summer four hours behind.
    assert {entry.occurred_at for entry in entries} == {1340285400004241176}
    assert {entry.received_at for entry in entries} == {1340285400004241176}
    assert stream.category == "order"


def test_every_other_message_about_an_order_is_one_fact() -> None:
    """A partial cancel reduces, a deletion cancels, an execution fills as maker on the order's own side."""
    [amended] = DAY.entries(1, parse(b"34200,2,5,10,1000000,-1"))[1]
    [canceled] = DAY.entries(2, parse(b"34200,3,5,10,1000000,-1"))[1]
    [filled] = DAY.entries(3, parse(b"34200,4,5,10,1000000,-1"))[1]
    assert isinstance(amended.event, OrderAmended)
    assert (amended.event.reduced_by, amended.event.quantity) == (Decimal(10), None)
    assert isinstance(canceled.event, OrderCanceled)
    assert isinstance(filled.event, OrderFilled)
    assert (filled.event.side, filled.event.liquidity, filled.event.fee) == (Side.SELL, Liquidity.MAKER, Decimal(0))
    assert (filled.event.quantity, filled.event.price) == (Decimal(10), Decimal(100))


def test_the_pair_is_listed_the_same_on_every_day() -> None:
    """Its event id and content do not depend on the date, so a second day lists nothing anew."""
    other = TradingDay("XYZ", date(2013, 1, 2), "another")
    assert DAY.listing().event_id == other.listing().event_id
    assert DAY.listing().event == other.listing().event
    listed = DAY.listing().event
    assert isinstance(listed, PairListed)
    assert (listed.pair.exchange, listed.pair.quote_asset, listed.tick_size) == ("nasdaq", "USD", Decimal("0.01"))


def test_order_ids_rise_with_dates_and_order_numbers() -> None:
    """They are UUIDs of version 8, in the order that the index likes."""

    def order_id(day: TradingDay, number: int) -> str:
        return str(day.entries(1, parse(f"34200,3,{number},1,100,1".encode()))[0].id)

    next_day = TradingDay("XYZ", date(2012, 6, 22), "lobster")
    ids = [order_id(DAY, 1), order_id(DAY, 2), order_id(DAY, 2**40), order_id(next_day, 1)]
    assert ids == sorted(ids)
    assert all(text[14] == "8" and text[19] in "89ab" for text in ids)


def test_ids_of_other_accounts_symbols_and_days_differ() -> None:
    """And so do those of numbers that differ only beyond the bits that an id has for them."""
    days = [
        DAY,
        TradingDay("XYZ", date(2012, 6, 22), "lobster"),
        TradingDay("XYZ", date(2012, 6, 21), "two"),
        TradingDay("ABC", date(2012, 6, 21), "lobster"),
    ]
    streams = {day.entries(1, parse(f"1,3,{number},1,1,1".encode()))[0] for day in days for number in (5, 5 + 2**50)}
    assert len(streams) == 8
    facts = {day.entries(1, parse(b"1,3,5,1,1,1"))[1][0].event.fact_id_bytes() for day in days}  # type: ignore[attr-defined]
    assert len(facts) == 4


def test_midnight_is_that_of_new_york() -> None:
    """Five hours behind in winter, four in summer."""
    winter = TradingDay("XYZ", date(2024, 1, 2), "lobster")
    assert winter.midnight == 1704171600 * NANOSECOND
    assert DAY.midnight == 1340251200 * NANOSECOND


@pytest.mark.parametrize(
    ("time", "nanoseconds"),
    [
        ("34200", 34200 * NANOSECOND),
        ("34200.5", 34200500000000),
        ("0.000000001", 1),
        ("35821.088778456004", 35821088778456),  # noise of a float, as the samples have it
        ("34200.9999999996", 34201 * NANOSECOND),
    ],
)
def test_times_are_exact_to_the_nanosecond(time: str, nanoseconds: int) -> None:
    """From the digits, without a float; what is finer than a nanosecond is rounded."""
    assert parse(f"{time},1,1,1,1,1".encode()).nanoseconds == nanoseconds


def test_hidden_executions_and_halts_are_told_apart() -> None:
    """A halt has zeros and a price of -1, which no other message may have."""
    assert parse(b"34200,5,0,7,1000500,-1").type is MessageType.HIDDEN_EXECUTION
    assert parse(b"34200,7,0,0,-1,-1\r\n").type is MessageType.HALT


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (b"", None, "found 0"),
        (b"34200,1,1,1,1", None, "expected 6 columns, found 5"),
        (b"34200,1,1,1,1,1,1", None, "found 7"),
        (b"Time,Type,Order ID,Size,Price,Direction", "time", "'Time'"),
        (b"34200.,1,1,1,1,1", "time", "seconds after midnight"),
        (b"-1,1,1,1,1,1", "time", "'-1'"),
        (b"86400,1,1,1,1,1", "time", "less than 86400"),
        (b"1e3,1,1,1,1,1", "time", "'1e3'"),
        ("३४,1,1,1,1,1".encode(), "time", "seconds after midnight"),
        (b"34200,6,1,1,1,1", "type", "'6'"),
        (b"34200,x,1,1,1,1", "type", "expected one of 1, 2, 3, 4, 5, 7"),
        (b"34200,1,0,1,1,1", "order id", "at least 1"),
        (b"34200,1,abc,1,1,1", "order id", "'abc'"),
        (b"34200,1,99999999999999999999,1,1,1", "order id", "at most 19 digits"),
        (b"34200,1,1,0,1,1", "size", "at least 1"),
        (b"34200,1,1,1.5,1,1", "size", "'1.5'"),
        (b"34200,1,1,1,-5,1", "price", "'-5'"),
        (b"34200,1,1,1,0,1", "price", "'0'"),
        (b"34200,1,1,1,1,0", "direction", "1 or -1"),
        (b"34200,1,1,1,1,", "direction", "1 or -1"),
        (b"34200,1,1,1,1,1 ", "direction", "'1 '"),
        (b"\xff\xfe,1,1,1,1,1", "time", "seconds after midnight"),
    ],
)
def test_a_line_that_is_no_message_is_refused_by_column(line: bytes, field: str | None, reason: str) -> None:
    """The first column at fault is named, with what it holds."""
    with pytest.raises(Malformed, match=reason) as refused:
        parse(line)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("name", "on", "reason"),
    [
        ("XYZ.csv", None, "no trading date in the name"),
        ("messages.csv", date(2012, 6, 21), "no ticker in the name"),
        ("XYZ_2012-06-21_1_2_message_1.txt", None, "no ticker in the name"),
        ("XYZ_2012-02-30_1_2_message_1.csv", None, "2012-02-30 in the name is no date"),
        ("XYZ_1969-12-31_1_2_message_1.csv", None, "1969-12-31 is out of range"),
        ("XYZ.csv", date(2262, 1, 1), "2262-01-01 is out of range"),
        ("XYZ_2012-06-21_1_2_orderbook_1.csv", None, "order book"),
        ("XYZ_2012-06-21_1_2_message_1.csv", date(2012, 6, 22), "--date says 2012-06-22"),
    ],
)
def test_a_name_that_does_not_say_what_the_file_holds_is_refused(
    tmp_path: Path, name: str, on: date | None, reason: str
) -> None:
    """Before anything is imported."""
    with pytest.raises(InvalidInput, match=reason) as refused:
        MessageFile(sample(tmp_path, name=name), on)
    assert refused.value.line is None


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """A missing one, a folder, an empty one."""
    (tmp_path / "FOLDER_2012-06-21_1_2_message_1.csv").mkdir()
    (tmp_path / "EMPTY_2012-06-21_1_2_message_1.csv").touch()
    for ticker, reason in (("GONE", "No such file"), ("FOLDER", "directory"), ("EMPTY", "empty")):
        with pytest.raises(InvalidInput, match=reason):
            MessageFile(tmp_path / f"{ticker}_2012-06-21_1_2_message_1.csv")


def test_the_date_may_be_told_where_the_name_does_not(tmp_path: Path) -> None:
    """The ticker still comes from the name."""
    file = MessageFile(sample(tmp_path, name="BRK.B.csv"), date(2012, 6, 21))
    assert (file.symbol, file.date) == ("BRK.B", date(2012, 6, 21))


def test_compressed_files_read_like_plain_ones(tmp_path: Path) -> None:
    """Whatever their name says."""
    plain = sample(tmp_path)
    packed = tmp_path / f"{NAME}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    misnamed = tmp_path / f"X{NAME}"
    misnamed.write_bytes(packed.read_bytes())
    lines = list(MessageFile(plain).lines())
    assert lines == list(MessageFile(packed).lines()) == list(MessageFile(misnamed).lines())
    assert lines[0] == (1, b"34200.000000001,1,101,100,1000000,1\n")


def _cut(data: bytes) -> bytes:
    return data[:-20]


def _flipped(data: bytes) -> bytes:
    """The checksum at the end no longer fits."""
    return data[:-6] + bytes([data[-6] ^ 0xFF]) + data[-5:]


@pytest.mark.parametrize(("spoilt", "reason"), [(_cut, "end early"), (_flipped, "damaged")])
def test_damaged_compressed_data_are_refused_where_they_break(
    tmp_path: Path, spoilt: Callable[[bytes], bytes], reason: str
) -> None:
    """The lines before come out, then the error names the line."""
    path = tmp_path / f"{NAME}.gz"
    path.write_bytes(spoilt(gzip.compress("".join(f"34200.{n},1,{n},1,1,1\n" for n in range(1, 50_000)).encode())))
    came = []
    lines = MessageFile(path).lines()
    with pytest.raises(InvalidInput, match=reason) as refused:  # noqa: PT012 (the loop counts how far it came)
        for number, _ in lines:
            came.append(number)
    assert len(came) > 1_000
    assert refused.value.line == len(came) + 1

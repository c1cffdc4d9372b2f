"""The formats of exports: what others read back is what was written, whatever it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byjy_events.numbers import canonical
from byjy_ops.exporting import Column, ColumnType, Format, FormatUnavailable, UnknownFormat
from byjy_ops.exporting.formats import Row, WrongRow, format_of, rows_of, writer_of
from byjy_ops.exporting.spelling import instant_text, instant_value
from tests.exported import nanoseconds, read_back
from tests.postgres import Server

COLUMNS = (
    Column("whole", ColumnType.INTEGER, False),
    *(Column(f"maybe_{one}", one, True) for one in ColumnType),
    Column("said", ColumnType.TEXT, False),
)
INT64 = st.integers(-(2**63), 2**63 - 1)
ODD = [
    "",
    " ",
    '"',
    '""',
    ",",
    "\r",
    "\n",
    "\r\n",
    "=1+1",
    "@SUM(A1)",
    "null",
    "\\N",
    "\u2028",
    "\ufeff",
    "ä",
    "😀",
    "\t",
]
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.lists(st.sampled_from([*ODD, "a"]), max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
)
MONEY = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda digits: canonical(Decimal(f"{digits}E-18")))
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.INTEGER: INT64,
    ColumnType.TEXT: TEXTS,
    ColumnType.UUID: st.uuids().map(str),
    ColumnType.INSTANT: INT64,
    ColumnType.DECIMAL: MONEY,
    ColumnType.FLAG: st.booleans(),
    ColumnType.HASH: st.binary(min_size=32, max_size=32).map(bytes.hex),
}
ROWS = st.lists(
    st.tuples(*(st.none() | VALUES[one.type] if one.nullable else VALUES[one.type] for one in COLUMNS)),
    min_size=1,
    max_size=8,
)
EXTREMES = [
    (number, number, "", str(UUID(int=number & (2**128 - 1))), number, money, number > 0, "ab" * 32, text)
    for number, money, text in (
        (2**63 - 1, Decimal("99999999999999999999.999999999999999999"), "\r\n"),
        (-(2**63), Decimal("-0.000000000000000001"), '""'),
        (0, Decimal(0), ","),
    )
] + [(1, *(None,) * len(ColumnType), "")]


class Pile:
    """A sink in memory."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def tell(self) -> int:
        return len(self.data)


def written(file_format: Format, path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    """A file with these rows, written in two chunks."""
    pile = Pile()
    writer = writer_of(file_format, pile, COLUMNS)
    for some in (rows[:1], rows[1:]):
        if some:
            writer.write(list(zip(*some, strict=True)))
    writer.close()
    path.write_bytes(pile.data)
    return path


@pytest.mark.parametrize("file_format", list(Format))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_every_value_comes_back(file_format: Format, tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    """To readers of others and to our own: texts of any kind, nothing and the empty text, every digit."""
    path = written(file_format, tmp_path / f"rows.{file_format}", rows)
    expected = [dict(zip([one.name for one in COLUMNS], row, strict=True)) for row in rows]
    assert read_back(path, COLUMNS) == expected
    assert [tuple(row.values) for row in rows_of(file_format, path, COLUMNS)] == rows


@pytest.mark.parametrize("file_format", list(Format))
def test_the_extremes_come_back(file_format: Format, tmp_path: Path) -> None:
    """The longest numbers, the first and the last instant."""
    path = written(file_format, tmp_path / f"rows.{file_format}", EXTREMES)
    assert [tuple(row.values()) for row in read_back(path, COLUMNS)] == EXTREMES
    assert [tuple(row.values) for row in rows_of(file_format, path, COLUMNS)] == EXTREMES


async def test_postgresql_reads_the_csv_as_it_was_meant(postgresql: Server, tmp_path: Path) -> None:
    """COPY takes an empty field for null and a quoted one for a text, as the documentation promises."""
    texts = [(1, *(None,) * len(ColumnType), text) for text in ODD]
    path = written(Format.CSV, tmp_path / "rows.csv", [*EXTREMES, *texts])
    names = [column.name for column in COLUMNS]
    connection = await asyncpg.connect(postgresql.url("postgres"))
    try:
        await connection.execute(f"CREATE TEMPORARY TABLE read ({', '.join(f'{name} text' for name in names)})")
        await connection.copy_to_table("read", source=path, format="csv", header=True)
        found = [(row["maybe_text"], row["said"]) for row in await connection.fetch("SELECT * FROM read")]
    finally:
        await connection.close()
    assert found == [(row[2], row[-1]) for row in [*EXTREMES, *texts]]


@given(INT64)
def test_instants_keep_every_nanosecond(at: int) -> None:
    """Each has one spelling, which sorts as the instant does, and the way back."""
    text = instant_text(at)
    assert (len(text), instant_value(text), nanoseconds(text)) == (30, at, at)


@pytest.mark.parametrize(
    "text",
    [
        "2012-06-21T13:30:00.004241176",
        "2012-06-21T13:30:00.004241176+00:00",
        "2012-06-21 13:30:00.004241176Z",
        "2012-06-21T13:30:00Z",
        "2012-02-30T13:30:00.000000000Z",
        "1600-01-01T00:00:00.000000000Z",
        "",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    """Other spellings, days that there are not, and what 64 bits do not hold."""
    with pytest.raises(ValueError, match=r"instant|64 bits|day|range"):
        instant_value(text)


LINE = (
    b'{"whole":1,"maybe_integer":null,"maybe_text":"a","maybe_uuid":null,"maybe_instant":null,'
    b'"maybe_decimal":"1.5","maybe_flag":true,"maybe_hash":null,"said":""}\n'
)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b'"whole":1', b'"whole":1.0', "whole: expected integer, found float"),
        (b'"whole":1', b'"whole":true', "whole: expected integer, found bool"),
        (b'"whole":1', b'"whole":9223372036854775808', "whole: 9223372036854775808 does not fit 64 bits"),
        (b'"whole":1', b'"whole":1e400', "not JSON"),
        (b'"1.5"', b'"1.50"', "not spelled as it was written"),
        (b'"1.5"', b'"15e-1"', "maybe_decimal: '15e-1' is no decimal"),
        (b'"1.5"', b"1.5", "maybe_decimal: expected decimal, found float"),
        (b'"a"', b'"\\u0061"', "not spelled as it was written"),
        (b'"a"', b'"\\ud800"', "line 1"),
        (b'"a"', b'"\xff"', "line 1"),
        (b'"said":""', b'"said":"","said":""', "not spelled as it was written"),
        (b',"said":""', b"", "not an object with the columns"),
        (b"{", b"[{", "not JSON"),
        (b"true", b'"true"', "maybe_flag: expected flag, found str"),
        (b"\n", b"", "cut off"),
        (b"\n", b"\r\n", "not spelled as it was written"),
    ],
)
def test_a_wrong_line_of_json_is_named(tmp_path: Path, before: bytes, after: bytes, reason: str) -> None:
    """By its number and what is wrong with it."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINE)
    assert [row.place for row in rows_of(Format.JSONL, path, COLUMNS)] == ["line 1"]
    path.write_bytes(LINE.replace(before, after, 1))
    with pytest.raises(WrongRow, match=r"^line 1") as raised:
        list(rows_of(Format.JSONL, path, COLUMNS))
    assert reason in str(raised.value)


HEADER = ",".join(column.name for column in COLUMNS).encode() + b"\r\n"
RECORD = b'1,,"a\r\nb",,,1.5,true,,""\r\n'


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"1,,", b"01,,", "line 4: not spelled as it was written"),
        (b"1,,", b"one,,", "line 4: whole: 'one' is no whole number"),
        (b'""', b"", "line 4: not spelled as it was written|said"),
        (b'"a\r\nb"', b'"a"', "line 4: not spelled as it was written"),
        (b'"a\r\nb"', b'"a\r\nb', "line 4: "),
        (b'"a\r\nb"', b'a"b', "line 4: "),
        (b"true", b"yes", "line 4: maybe_flag: 'yes' is neither true nor false"),
        (b",,,", b",,", "line 4: not 9 fields"),
        (b'""\r\n', b'""\n', "line 4: cut off"),
        (b"1.5", b"1.5\xff", "line 4: not UTF-8"),
    ],
)
def test_a_wrong_record_of_csv_is_named(tmp_path: Path, before: bytes, after: bytes, reason: str) -> None:
    """By the line that it begins in, also behind records of several lines."""
    path = tmp_path / "rows.csv"
    path.write_bytes(HEADER + RECORD + RECORD)
    assert [row.place for row in rows_of(Format.CSV, path, COLUMNS)] == ["line 2", "line 4"]
    path.write_bytes(HEADER + RECORD + RECORD.replace(before, after, 1))
    with pytest.raises(WrongRow, match=reason):
        checked(rows_of(Format.CSV, path, COLUMNS))
    path.write_bytes(HEADER.replace(b"whole", b"hole") + RECORD)
    with pytest.raises(WrongRow, match="line 1: not the header"):
        list(rows_of(Format.CSV, path, COLUMNS))


def checked(rows: Any) -> list[Row]:
    """The rows; one that has nothing where something has to be is wrong, which only the manifest's checks know."""
    found = list(rows)
    for row in found:
        if row.values[-1] is None:
            raise WrongRow(row.place, "said: is null")
    return found


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    """Cut off, of other columns, or none at all."""
    path = written(Format.PARQUET, tmp_path / "rows.parquet", EXTREMES)
    whole = path.read_bytes()
    for broken in (whole[:-20], whole[:50], b"", b"PAR1 and nothing else PAR1"):
        path.write_bytes(broken)
        with pytest.raises(WrongRow, match="cannot be read as Parquet"):
            list(rows_of(Format.PARQUET, path, COLUMNS))
    path.write_bytes(whole)
    with pytest.raises(WrongRow, match="column 10 is nothing, not more: int64 not null"):
        list(rows_of(Format.PARQUET, path, [*COLUMNS, Column("more", ColumnType.INTEGER, False)]))
    with pytest.raises(WrongRow, match="column 9, said: string not null, is not in the manifest"):
        list(rows_of(Format.PARQUET, path, COLUMNS[:-1]))
    with pytest.raises(WrongRow, match="column 1 is whole: int64 not null, not whole: string not null"):
        list(rows_of(Format.PARQUET, path, [Column("whole", ColumnType.TEXT, False), *COLUMNS[1:]]))


def test_the_name_of_the_file_tells_the_format() -> None:
    """Unless another one is asked for; a stream has no name."""
    assert format_of(Path("a.b.CSV"), None) is Format.CSV
    assert format_of(Path("a.csv"), "parquet") is Format.PARQUET
    assert format_of(None, None) is Format.JSONL
    for path, given_format in ((Path("a.xlsx"), None), (Path("a"), None), (Path("a.csv"), "xlsx")):
        with pytest.raises(UnknownFormat, match="expected one of jsonl, csv, parquet"):
            format_of(path, given_format)


def test_parquet_without_its_library_names_the_extra() -> None:
    """And the other formats do without it."""
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from byjy_ops.exporting.formats import format_of\n"
        "format_of(Path('x.jsonl'), None), format_of(Path('x.csv'), None)\n"
        "try: format_of(Path('x.parquet'), None)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    expected = "Parquet needs pyarrow, which is not installed: pip install 'byjy-events[parquet]'"
    assert done.stdout == f"{FormatUnavailable.__name__} {expected}\n"

"""Rows stored by one statement come out as they went in, whichever columns they agree in."""

from __future__ import annotations

import random
import sqlite3
from decimal import Decimal

import pytest

from projections import sqlite_upsert
from projections.sqlite_upsert import Upsert
from projections.sqlite_values import column_inward
from projections.tables import orders

ROWS, WIDTH = sqlite_upsert.FORMED_FROM, 4


@pytest.fixture
def connection() -> sqlite3.Connection:
    """With a table of four columns."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c)")
    return connection


def upsert() -> Upsert:
    return Upsert("INSERT INTO t (id, a, b, c) VALUES ", " ON CONFLICT (id) DO UPDATE SET a = excluded.a", ROWS, WIDTH)


def stored(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT id, a, b, c FROM t ORDER BY id").fetchall()


@pytest.mark.parametrize("forms", [16, 2, 1])
def test_any_columns_may_agree(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, forms: int) -> None:
    """None, one or several of them, again and again in other combinations, also when few texts are kept."""
    monkeypatch.setattr(sqlite_upsert, "FORMS", forms)
    chance, statement = random.Random(1), upsert()
    for start in range(0, 100 * ROWS, ROWS):
        agreeing = [chance.random() < 0.5 for _ in range(WIDTH - 1)]
        rows = [
            (start + n, *(None if same else chance.choice((n, str(n), b"x", None)) for same in agreeing))
            for n in range(ROWS)
        ]
        connection.execute(*statement.filled(list(zip(*rows, strict=True))))
        assert stored(connection)[start:] == rows


def test_rows_that_agree_take_fewer_parameters(connection: sqlite3.Connection) -> None:
    """A column in which all agree is handed over once."""
    rows = [(n, "same", n, None) for n in range(ROWS)]
    text, parameters = upsert().filled(list(zip(*rows, strict=True)))
    assert len(parameters) == 2 * ROWS + 2
    connection.execute(text, parameters)
    assert stored(connection) == rows


def test_a_row_that_is_there_is_updated(connection: sqlite3.Connection) -> None:
    """By what the conflict clause says."""
    for a in ("old", "new"):
        connection.execute(*upsert().filled([list(range(ROWS)), [a] * ROWS, [1] * ROWS, list(range(ROWS))]))
    assert {row[1] for row in stored(connection)} == {"new"}


def test_a_column_of_money_is_spelled_canonically() -> None:
    """One odd spelling among many, a null or an exponent changes nothing about the others."""
    change = column_inward(orders.c.price.type)
    assert change is not None
    odd_ones = {"1E-7": "0.0000001", "1.50": "1.5", "-0": "0", "100": "100", "0": "0", "10.0": "10"}
    for odd, spelled in odd_ones.items():
        assert change([Decimal("585.33"), Decimal(odd), Decimal("1000")]) == ["585.33", spelled, "1000"]
        assert change([None, Decimal(odd)]) == [None, spelled]
    assert change([Decimal("1.05"), Decimal("20"), Decimal("0.10203")]) == ["1.05", "20", "0.10203"]

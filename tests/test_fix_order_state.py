"""Orders against the worked cases of FIX, Order State Changes: the oracle's, and every matrix that we can express."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from byjy_events.event import Event
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus
from projections.rows import OrderRow
from tests.fix_matrices import DEPARTURES, LEFT_OUT, MATRICES, Row
from tests.folding import Folded, recorded
from tests.lifecycles import Subject
from tests.shared import oracle

ORDER = Subject(number=1)
PRICE = Decimal(100)
QUANTITY = 10000

ORACLE = (
    "D34/J.1.a bust+correct chain",
    "J.1.b canceled, then bust, then late fill",
    "B.1.c fills race a cancel; too late to cancel",
    "C.3.a amend down to 8000, fills race",
)
PATHS = {
    f"{matrix.name}{f', end {n}' if n else ''}": path for matrix in MATRICES for n, path in enumerate(matrix.paths())
}
"""The rows of each matrix; and each other end that it may take."""

FACTS: dict[str, type[events.OrderFact]] = {
    "New": events.OrderAccepted,
    "Rejected": events.OrderRejected,
    "Triggered": events.OrderTriggered,
    "PendingCancel": events.OrderCancelPending,
    "Canceled": events.OrderCanceled,
    "PendingReplace": events.OrderAmendPending,
    "DoneForDay": events.OrderDoneForDay,
}


class Life:
    """An order that lives through the rows of a matrix, one event for each.

    A matrix that does not begin with a message to the venue begins after the order was placed.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        begins = rows[0].get("in", "").startswith(("New", "Telephone"))
        self.rows = list(rows) if begins else [{"in": "New", "oq": QUANTITY}, *rows]
        self.folded = Folded()
        self.position = 0
        self.asked = ""

    def unfold(self) -> None:
        """Every row in turn: what FIX says after a report, and nothing new after a message to the venue."""
        for row in self.rows:
            before = self.standing()
            self._tell(row)
            expected = said(row) if "exec" in row else before or placed(row)
            after = self.standing()
            assert after == after | expected, row

    def standing(self) -> dict[str, Any]:
        """How the order stands, in FIX's names; empty: nobody knows it."""
        if not self.folded.of(OrderRow):
            return {}
        order = self.folded.one(OrderRow)
        return {
            "st": order.status,
            "oq": order.quantity,
            "cum": order.filled_quantity,
            "lv": order.leaves_quantity,
            "avg": order.avg_price,
        }

    def _tell(self, row: Row) -> None:
        self.position += 1
        self.asked = row.get("in", self.asked)
        event = self._asked(row) if "in" in row else self._told(row)
        if event is not None:
            self.folded.fold(recorded(event, self.position, ORDER.stream, self.position))

    def _asked(self, row: Row) -> Event | None:
        match row["in"].split():
            case ["New", *_]:
                return ORDER.placed(Decimal(row["oq"]), PRICE)
            case ["Cancel", *_]:
                return events.OrderCancelRequested()
            case ["Replace", *_]:
                return events.OrderAmendRequested(quantity=Decimal(row["oq"]))
        return None  # by telephone

    def _told(self, row: Row) -> Event:
        name = str(row.get("id", self.position))
        known = {"update_id": name} | ({"client_order_id": row["cl"]} if "cl" in row else {})
        match row["exec"]:
            case "Trade":
                return ORDER.filled(name, Decimal(row["lq"]), price_of(row))
            case "TradeCancel":
                return ORDER.fact(events.TradeBusted, execution_id=row["ref"], **known)
            case "TradeCorrect":
                corrected = {"quantity": Decimal(row["lq"]), "price": price_of(row), "corrected_execution_id": name}
                return ORDER.fact(events.TradeCorrected, execution_id=row["ref"], **corrected, **known)
            case "Replaced":
                return ORDER.fact(events.OrderAmended, quantity=Decimal(row["oq"]), **known)
            case "CancelReject" if self.asked.startswith("Replace"):
                return ORDER.fact(events.OrderAmendRejected, **known)
            case "CancelReject":
                return ORDER.fact(events.OrderCancelRejected, **known)
            case "Restated" | "OrderStatus":
                return snapshot(row, known)
            case "New" if not self.standing():  # an acceptance tells no quantity of an order that nobody placed
                return snapshot(row, known)
        return ORDER.fact(FACTS[row["exec"]], **known)


def snapshot(row: Row, known: dict[str, Any]) -> Event:
    average = {"avg_price": Decimal(row["avg"])} if "avg" in row else {}
    terms = {"status": status_of(row["st"]), "quantity": Decimal(row["oq"]), "filled_quantity": Decimal(row["cum"])}
    return ORDER.fact(events.OrderRestated, **terms, **average, **known)


def placed(row: Row) -> dict[str, Any]:
    """What is to hold once the order is placed: it waits for the venue."""
    return {"st": OrderStatus.PENDING_NEW, "oq": row["oq"], "cum": 0, "lv": row["oq"]} if "oq" in row else {}


def said(row: Row) -> dict[str, Any]:
    """What is to hold after a report: FIX's numbers, but for those where we depart."""
    told = row | row.get("ours", {})
    numbers = {name: Decimal(told[name]) for name in ("oq", "cum", "lv", "avg") if name in told}
    return {"st": status_of(told["st"]), **numbers}


def price_of(row: Row) -> Decimal:
    return Decimal(row.get("px", PRICE))


def status_of(name: str) -> OrderStatus:
    """``PartiallyFilled`` is PARTIALLY_FILLED."""
    return OrderStatus(re.sub(r"(?<!^)([A-Z])", r"_\1", name).upper())


@pytest.mark.parametrize("case_name", ORACLE)
def test_every_row_of_the_oracle_holds(case_name: str) -> None:
    """Status, quantity, filled, leaves and average price after every row; what we ask for changes none of them."""
    (case,) = [case for case in oracle("fix_order_state.json")["cases"] if case["id"] == case_name]
    Life(case["rows"]).unfold()


def test_no_case_of_the_oracle_is_left_out() -> None:
    """All that the oracle has are followed above."""
    assert {case["id"] for case in oracle("fix_order_state.json")["cases"]} == set(ORACLE)


@pytest.mark.parametrize("name", PATHS)
def test_every_row_of_a_matrix_holds(name: str) -> None:
    """As the oracle's, and so does each other end that FIX prints."""
    Life(PATHS[name]).unfold()


def test_where_we_depart_from_fix_it_is_said_why() -> None:
    """Every row that is otherwise with us has its reason, every reason a row; and it is really otherwise."""
    departing = [(matrix, row) for matrix in MATRICES for row in matrix.rows if row["ours"]]
    assert {matrix.ref for matrix, _ in departing} == set(DEPARTURES)
    assert all(row[name] != value for _, row in departing for name, value in row["ours"].items())


def test_every_matrix_of_fix_is_told_or_left_out_for_a_reason() -> None:
    """Of the 47 of FIX 4.4, by their names."""
    groups = {"A.1": 2, "B.1": 6, "C.1": 3, "C.2": 1, "C.3": 3, "D.1": 3, "D.2": 4, "E.1": 5, "F.1": 3, "G.1": 3}
    groups |= {"H.1": 4, "I.1": 2, "J.1": 4, "K.1": 2, "L.1": 2}
    fix = {f"{group}.{letter}" for group, count in groups.items() for letter in "abcdef"[:count]}
    told = {matrix.ref for matrix in MATRICES} | {"B.1.c", "J.1.a", "J.1.b"}  # the oracle's
    assert fix - told - set(LEFT_OUT) == set()
    assert told & set(LEFT_OUT) == set()

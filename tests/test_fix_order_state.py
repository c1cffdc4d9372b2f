"""Order status against the worked cases of FIX, Order State Changes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from byjy_events.event import Event
from byjy_events.vocabulary import orders as events
from projections.rows import OrderRow
from tests.folding import Folded, recorded
from tests.lifecycles import Subject
from tests.shared import oracle

ORDER = Subject(number=1)
PRICE = Decimal(100)

CASES = {
    "B.1.c fills race a cancel; too late to cancel": 7,
    "C.3.a amend down to 8000, fills race": 7,
    "J.1.b canceled, then bust, then late fill": 5,
}
"""The cases, and how many of their rows come before a bust, which is not folded yet."""


def event_of(row: dict[str, Any], name: str, requested: dict[str, Any]) -> Event:
    """The event that a row of the matrix stands for; ``requested`` is the last request of the engine."""
    match row:
        case {"in": "Cancel Y"}:
            return events.OrderCancelRequested()
        case {"in": "Replace Y"}:
            return events.OrderAmendRequested(quantity=Decimal(row["oq"]))
        case {"exec": "Trade"}:
            return ORDER.filled(name, Decimal(row["lq"]), Decimal(row.get("px", PRICE)))
        case {"exec": "Replaced"}:
            return ORDER.fact(events.OrderAmended, update_id=name, quantity=Decimal(requested["oq"]))
    kinds: dict[str, type[events.OrderFact]] = {
        "New": events.OrderAccepted,
        "PendingCancel": events.OrderCancelPending,
        "Canceled": events.OrderCanceled,
        "PendingReplace": events.OrderAmendPending,
        "CancelReject": events.OrderCancelRejected,
    }
    return ORDER.fact(kinds[row["exec"]], update_id=name)


def status_in_fix_spelling(status: str) -> str:
    """``PartiallyFilled`` as ``PARTIALLY_FILLED``."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", status).upper()


@pytest.mark.parametrize("case_name", CASES)
def test_every_row_of_the_matrix_holds(case_name: str) -> None:
    """Status, quantity, filled and leaves are FIX's after every row; a request of ours changes none of them."""
    (case,) = [case for case in oracle("fix_order_state.json")["cases"] if case["id"] == case_name]
    rows = case["rows"][: CASES[case_name]]
    folded = Folded()
    folded.fold(recorded(ORDER.placed(Decimal(10000), PRICE), 1, ORDER.stream))
    requested: dict[str, Any] = {}
    for position, row in enumerate(rows, 2):
        before = folded.one(OrderRow)
        folded.fold(recorded(event_of(row, str(position), requested), position, ORDER.stream))
        after = folded.one(OrderRow)
        if "in" in row:
            requested = row
            assert (after.status, after.quantity) == (before.status, before.quantity)
            continue
        assert after.status == status_in_fix_spelling(row["st"])
        told = {"oq": after.quantity, "cum": after.filled_quantity, "lv": after.leaves_quantity}
        assert told == told | {name: Decimal(row[name]) for name in told if name in row}


def test_the_cases_end_where_a_bust_begins() -> None:
    """No row of the cases is left out but those from the first bust on."""
    for case in oracle("fix_order_state.json")["cases"]:
        if case["id"] in CASES:
            rest = case["rows"][CASES[case["id"]] :]
            assert not rest or rest[0]["exec"] == "TradeCancel"

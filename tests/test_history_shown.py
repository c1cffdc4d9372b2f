"""Rows and events as they are shown: what changed, exact and readable, and nothing of what is sealed."""

from __future__ import annotations

import base64
import os
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from byjy_events.event import UnknownEvent
from byjy_events.stream import Stream
from byjy_events.vocabulary.orders import OrderStatus, OrderSubmitted, Side
from byjy_ops.states import VALUE_LENGTH, changed, difference, masked, row_cells, said, written
from projections import OrderRow
from projections.users.table import UserRow
from tests.folding import recorded
from tests.sample_events import SAMPLES

SEALED = b"\1" + os.urandom(60)
SECOND = 1_780_000_000 * 10**9
ROW = OrderRow(
    id=UUID(int=1), trading_pair_id=UUID(int=2), account="main", side=Side.BUY, status=OrderStatus.NEW,
    quantity=Decimal("0.000000000000000001"), exchange="binance", created_at=SECOND, updated_at=SECOND, last_position=1,
)  # fmt: skip


def test_only_what_changed_is_told() -> None:
    """Decimals to their last digit, instants to the nanosecond; when and where it changed is the event's to tell."""
    after = replace(
        ROW,
        status=OrderStatus.FILLED,
        filled_quantity=ROW.quantity,
        executed_at=SECOND + 5,
        updated_at=1,
        last_position=2,
    )
    assert list(difference(ROW, after)) == [
        "status: NEW -> FILLED",
        "filled_quantity: 0 -> 0.000000000000000001",
        "executed_at: none -> 2026-05-28 20:26:40.000000005",
    ]
    assert changed(ROW, after) == ["status", "filled_quantity", "executed_at", "updated_at", "last_position"]
    assert list(difference(ROW, ROW)) == changed(ROW, ROW) == changed(None, None) == []


def test_a_row_that_comes_says_what_it_holds() -> None:
    """And one that goes that it is gone."""
    (new,) = difference(None, ROW)
    assert new.startswith(f"new row: id={UUID(int=1)} trading_pair_id={UUID(int=2)} account=main side=BUY status=NEW")
    assert "filled_quantity" not in new
    assert list(difference(ROW, None)) == ["the row is gone"]
    assert changed(None, ROW) == list(OrderRow.__struct_fields__)


def test_what_a_venue_said_cannot_steer_the_terminal_nor_fill_it() -> None:
    """Control characters are spelled out, and a long value is cut for people."""
    assert written("reject_reason", "\x1b[2J") == "\\x1b[2J"
    assert len(written("parameters", "x" * 300_000)) == VALUE_LENGTH
    assert written("id", True) == "yes"


def test_bytes_are_only_counted() -> None:
    """In rows, in events, and in those that this program does not know, where they look like any other text."""
    assert (masked(SEALED), masked(b"x" * 32), masked("text")) == ("sealed (61 bytes)", "32 bytes", "text")
    assert masked(b"") == ""  # nothing is sealed there
    user = UserRow(
        id=UUID(int=1), username="alice", email=SEALED, email_hash=b"x" * 32, password_hash=SEALED,
        role="ADMIN", created_at=1, updated_at=1,  # type: ignore[arg-type]
    )  # fmt: skip
    cells = row_cells(user) or {}
    assert (cells["username"], cells["email"], cells["email_hash"]) == ("alice", "sealed (61 bytes)", "32 bytes")
    registered = replace(SAMPLES["UserRegistered"], email=SEALED)
    known = replace(recorded(registered, 1, Stream("user", UUID(int=1))), payload=msgspec.json.encode(registered))
    assert said(known)["email"] == "sealed (61 bytes)"
    told = {"a": {"b": [base64.b64encode(SEALED).decode()]}, "c": "plain text", "d": 7, "e": "0123abcd" * 10}
    payload = msgspec.json.encode(told)
    unknown = replace(
        recorded(OrderSubmitted(), 1, Stream("user", UUID(int=1))), payload=payload, event=UnknownEvent("X", 1, payload)
    )
    assert said(unknown) == {**told, "a": {"b": ["sealed (61 bytes)"]}}

"""Pairs, external ids, and the anomalies that belong to no order."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from byjy_events.event import Event
from byjy_events.stream import pair_stream, venue_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.pairs import PairDelisted, PairListed, PairStatus, PairStatusChanged
from byjy_events.vocabulary.venue import FactConflicted, VenueMessageUnusable
from projections.choices import AliasKind
from projections.rows import AnomalyRow, OrderAliasRow, OrderRow, TradingPairRow
from tests.folding import Folded, columns, log_of
from tests.lifecycles import BTC, MOVES, Step, Subject

LISTED = (pair_stream(BTC.exchange, BTC.symbol), PairListed(pair=BTC, tick_size=Decimal("0.01")))
FIRST, SECOND = Subject(number=1), Subject(number=2)


def after(*steps: Step) -> Folded:
    return Folded().fold_all(log_of(steps))


def move(order: Subject, name: str, number: str = "1") -> Step:
    return order.stream, MOVES[name](order, number, Decimal(1))


def of_pair(event: Event) -> Step:
    return LISTED[0], event


def kinds(rows: Folded) -> list[str]:
    return [row.kind for row in rows.of(AnomalyRow)]


def aliases(rows: Folded) -> dict[tuple[str, str], UUID]:
    return {(row.kind, row.external_id): row.order_id for row in rows.of(OrderAliasRow)}


def test_a_listing_is_the_whole_truth_of_its_moment() -> None:
    """Listed again, every filter is as told last; what the first told and the second did not is gone."""
    rows = after(LISTED, of_pair(PairListed(pair=BTC, min_quantity=Decimal(1))))
    pair = rows.one(TradingPairRow)
    assert columns(pair, "tick_size min_quantity created_at updated_at") == (0, 1, 1000, 2000)


def test_a_pair_that_is_gone_keeps_its_row_and_its_filters() -> None:
    """Delisted or halted, a pair can still be joined with."""
    halted = after(LISTED, of_pair(PairStatusChanged(pair=BTC, status=PairStatus.MAINTENANCE))).one(TradingPairRow)
    assert columns(halted, "status is_active") == (PairStatus.MAINTENANCE, True)
    gone = after(LISTED, of_pair(PairDelisted(pair=BTC))).one(TradingPairRow)
    assert columns(gone, "status is_active tick_size") == (PairStatus.INACTIVE, False, Decimal("0.01"))


def test_a_venue_s_word_of_an_unknown_pair_makes_a_stub_and_one_anomaly() -> None:
    """The second message finds the stub."""
    rows = after(move(FIRST, "filled", "1"), move(FIRST, "filled", "2"))
    pair = rows.one(TradingPairRow)
    assert columns(pair, "external base_asset quote_asset") == (True, "BTC", "USDT")
    assert kinds(rows).count("UNKNOWN_PAIR") == 1


def test_an_order_of_our_own_on_an_unlisted_pair_makes_a_stub_without_fuss() -> None:
    """The engine may trade before it lists; the stub becomes a pair when it is listed."""
    rows = after(move(FIRST, "placed"))
    assert rows.one(TradingPairRow).external
    assert kinds(rows) == []
    pair = after(move(FIRST, "placed"), LISTED).one(TradingPairRow)
    assert columns(pair, "external tick_size created_at") == (False, Decimal("0.01"), 1000)


def test_the_first_claim_of_an_external_id_wins() -> None:
    """A second order under the same ids is an anomaly, and keeps its own row."""
    rows = after(LISTED, move(FIRST, "accepted"), move(SECOND, "placed"), move(SECOND, "another's id", "2"))
    assert aliases(rows)["EXCHANGE", "v1"] == FIRST.stream.id
    assert aliases(rows)["CLIENT", "c1"] == FIRST.stream.id
    assert aliases(rows)["CLIENT", "c2"] == SECOND.stream.id
    assert kinds(rows) == ["UNKNOWN_ORDER", "ALIAS_CONFLICT"]


def test_the_same_order_claims_its_id_as_often_as_it_likes() -> None:
    """Every message of a venue repeats it; the row says who came first and when."""
    rows = after(LISTED, move(FIRST, "placed"), move(FIRST, "accepted"), move(FIRST, "filled", "2"))
    assert kinds(rows) == []
    claimed = {(row.kind, row.claimed_at) for row in rows.of(OrderAliasRow)}
    assert claimed == {(AliasKind.CLIENT, 2), (AliasKind.EXCHANGE, 3)}


def test_a_renamed_order_answers_to_both_names() -> None:
    """Venues that replace an order give it a new id; late messages still use the old one."""
    rows = after(LISTED, move(FIRST, "placed"), move(FIRST, "accepted"), move(FIRST, "renamed", "7"))
    assert aliases(rows)["EXCHANGE", "v1"] == aliases(rows)["EXCHANGE", "w7"] == FIRST.stream.id


def test_an_id_means_something_else_on_another_account() -> None:
    """Venues number orders for each account and pair."""
    elsewhere = Subject(number=1, account="second")
    other = FIRST.stream._replace(id=UUID(int=99)), elsewhere.fact(events.OrderAccepted)
    rows = after(LISTED, move(FIRST, "accepted"), other)
    assert "ALIAS_CONFLICT" not in kinds(rows)
    assert len(rows.of(OrderAliasRow)) == 4


@pytest.mark.parametrize("name", sorted(MOVES))
def test_every_alias_means_an_order_that_has_a_row(name: str) -> None:
    """The foreign key holds whatever is the first thing ever said of an order."""
    rows = after(LISTED, move(FIRST, name))
    assert {row.order_id for row in rows.of(OrderAliasRow)} <= {row.id for row in rows.of(OrderRow)}


def test_what_a_venue_garbled_or_contradicted_is_an_anomaly() -> None:
    """Neither concerns any other row."""
    garbled = VenueMessageUnusable(
        exchange="binance", account="main", raw=b"{", raw_length=1, raw_sha256="00", error="no JSON"
    )
    conflict = FactConflicted(
        fact_event_id=UUID(int=1), fact_type="OrderFilled", fact_position=3, first="{}", second="[]"
    )
    rows = after((venue_stream("binance", "main"), garbled), (FIRST.stream, conflict))
    unusable, conflicted = rows.of(AnomalyRow)
    assert columns(unusable, "kind order_id") == ("MESSAGE_UNUSABLE", None)
    assert "no JSON" in unusable.message
    assert columns(conflicted, "kind order_id") == ("FACT_CONFLICTED", FIRST.stream.id)
    assert "position 3" in conflicted.message

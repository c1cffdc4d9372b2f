"""Hard cases of orders and positions: what is told, and by hand what the tables have to say afterwards."""

from __future__ import annotations

from msgspec import Struct


class Case(Struct, frozen=True):
    """One case. A row that there is not is "none".

    Attributes:
        name: in the docs and of the test.
        told: its moves, one event each; see ``tests.moves``.
        order: status, quantity, filled quantity, leaves quantity and average price of the order that buys.
        trades: of all orders of the case: execution, quantity and price, and what became of it.
        position: quantity and average price, and the profit made.
        closed: the profit of each closed holding.
        fees: of the order that buys, in each asset.
        position_fees: of all orders.
        odd: the kind of each anomaly, and the number of the move that it is about.
        sell, venue: as ``order``, of the other orders.
        waits: requests for cancels and amends that the venue has not answered.
    """

    name: str
    told: str
    order: str
    trades: str = "none"
    position: str = "none"
    closed: str = "none"
    fees: str = "none"
    position_fees: str = "none"
    odd: str = "none"
    sell: str = "none"
    venue: str = "none"
    waits: str = "0 0"

    @property
    def moves(self) -> list[str]:
        return self.told.split("; ")


CASES = (
    # --- fills at the wrong time, or too much
    Case(
        "late_fill_after_cancel",
        "place 10; accept; fill a 4; cancel; fill b 3 @ 110",
        "CANCELED 10 7 0 104.285714285714285714",
        trades="a 4 @ 100, b 3 @ 110",
        position="7 @ 104.285714285714285714 made 0",
        odd="LATE_FILL 5",
    ),
    Case(
        "late_fill_of_all_after_cancel",
        "place 10; accept; want cancel; cancel; fill a 10",
        "CANCELED 10 10 0 100",
        trades="a 10 @ 100",
        position="10 @ 100 made 0",
        odd="LATE_FILL 5",
        waits="1 0",
    ),
    Case(
        "late_fill_after_expire",
        "place 10; accept; expire; fill a 3",
        "EXPIRED 10 3 0 100",
        trades="a 3 @ 100",
        position="3 @ 100 made 0",
        odd="LATE_FILL 4",
    ),
    Case(
        "late_fill_after_reject",
        "place 10; submit; reject; fill a 3",
        "REJECTED 10 3 0 100",
        trades="a 3 @ 100",
        position="3 @ 100 made 0",
        odd="LATE_FILL 4",
    ),
    Case(
        "late_fill_after_denied",
        "place 10; deny; fill a 3",
        "REJECTED 10 3 0 100",
        trades="a 3 @ 100",
        position="3 @ 100 made 0",
        odd="LATE_FILL 3",
    ),
    Case(
        "overfill",
        "place 10; accept; fill a 8; fill b 5",
        "FILLED 10 13 0 100",
        trades="a 8 @ 100, b 5 @ 100",
        position="13 @ 100 made 0",
        odd="OVERFILL 4",
    ),
    Case(
        "late_overfill",
        "place 10; accept; fill a 8; cancel; fill b 5",
        "CANCELED 10 13 0 100",
        trades="a 8 @ 100, b 5 @ 100",
        position="13 @ 100 made 0",
        odd="LATE_FILL 5, OVERFILL 5",
    ),
    Case(
        "fill_before_accept",
        "place 10; submit; fill a 4; accept",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
    ),
    Case(
        "fill_before_placed",
        "fill a 4; place 10; fill b 6",
        "FILLED 10 10 0 100",
        trades="a 4 @ 100, b 6 @ 100",
        position="10 @ 100 made 0",
        odd="UNKNOWN_ORDER 1",
    ),
    Case(
        "overfill_before_placed",
        "fill a 12; place 10",
        "FILLED 10 12 0 100",
        trades="a 12 @ 100",
        position="12 @ 100 made 0",
        odd="UNKNOWN_ORDER 1, OVERFILL 2",
    ),
    Case(
        "fill_of_an_order_never_placed",
        "fill a 4; fill b 1",
        "PARTIALLY_FILLED - 5 - 100",
        trades="a 4 @ 100, b 1 @ 100",
        position="5 @ 100 made 0",
        odd="UNKNOWN_ORDER 1, UNKNOWN_ORDER 2",
    ),
    # --- told twice
    Case(
        "duplicate_with_equal_content",
        "place 10; accept; fill a 4; fill a 4; fill a 4",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
    ),
    Case(
        "duplicate_with_different_content",
        "place 10; accept; fill a 4; fill a 5 @ 99",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="FACT_CONFLICTED 4",
    ),
    # --- cancels and amends
    Case("cancel_of_an_unknown_order", "cancel", "none", odd="UNKNOWN_ORDER 1"),
    Case(
        "cancel_rejected_because_filled",
        "place 10; accept; want cancel; cancel pending; fill a 10; cancel rejected",
        "FILLED 10 10 0 100",
        trades="a 10 @ 100",
        position="10 @ 100 made 0",
    ),
    Case(
        "cancel_pending_while_filled",
        "place 10; accept; want cancel; cancel pending; fill a 10",
        "PENDING_CANCEL 10 10 0 100",
        trades="a 10 @ 100",
        position="10 @ 100 made 0",
        waits="1 0",
    ),
    Case(
        "cancel_of_a_filled_order",
        "place 10; accept; fill a 10; cancel",
        "CANCELED 10 10 0 100",
        trades="a 10 @ 100",
        position="10 @ 100 made 0",
    ),
    Case(
        "amend_racing_a_fill",
        "place 10; accept; want amend 6; amend pending y; fill a 5; amended 6 y",
        "PARTIALLY_FILLED 6 5 1 100",
        trades="a 5 @ 100",
        position="5 @ 100 made 0",
    ),
    Case(
        "amend_rejected_because_filled",
        "place 10; accept; want amend 6; amend pending y; fill a 10; amend rejected y",
        "FILLED 10 10 0 100",
        trades="a 10 @ 100",
        position="10 @ 100 made 0",
    ),
    Case(
        "amend_to_the_filled_quantity",
        "place 10; accept; want amend 6; fill a 6; amended 6 y",
        "FILLED 6 6 0 100",
        trades="a 6 @ 100",
        position="6 @ 100 made 0",
    ),
    Case(
        "amend_below_the_filled_quantity",
        "place 10; accept; want amend 6; fill a 8; amended 6 y",
        "FILLED 6 8 0 100",
        trades="a 8 @ 100",
        position="8 @ 100 made 0",
        odd="OVERFILL 5",
    ),
    Case(
        "amend_of_a_filled_order_upwards",
        "place 10; accept; fill a 10; want amend 12; amended 12 y",
        "PARTIALLY_FILLED 12 10 2 100",
        trades="a 10 @ 100",
        position="10 @ 100 made 0",
    ),
    Case(
        "two_pending_amends_one_answered",
        "place 10; accept; want amend 8; want amend 7; amend pending y; amend pending z; amended 8 y",
        "PENDING_REPLACE 8 0 8 -",
        waits="0 1",
    ),
    Case(
        "two_pending_amends_both_answered",
        "place 10; accept; want amend 8; want amend 7; amend pending y; amend pending z; amended 8 y; amended 7 z",
        "NEW 7 0 7 -",
    ),
    Case(
        "two_pending_amends_answered_in_reverse",
        "place 10; accept; want amend 8; want amend 7; amend pending y; amend pending z; amend rejected z; amended 8 y",
        "NEW 8 0 8 -",
    ),
    Case(
        "second_amend_rejected_before_it_is_pending",
        "place 10; accept; want amend 8; want amend 7; amend pending y; amend rejected z",
        "PENDING_REPLACE 10 0 10 -",
        waits="0 1",
    ),
    # --- busts
    Case(
        "bust_on_an_open_order",
        "place 10; accept; fill a 4; bust a",
        "NEW 10 0 10 -",
        trades="a 4 @ 100 BUSTED",
    ),
    Case(
        "bust_on_a_filled_order",
        "place 10; accept; fill a 4; fill b 6 @ 110; bust a",
        "PARTIALLY_FILLED 10 6 4 110",
        trades="a 4 @ 100 BUSTED, b 6 @ 110",
        position="6 @ 110 made 0",
    ),
    Case(
        "bust_on_a_cancelled_order",
        "place 10; accept; fill a 4; fill b 1 @ 110; cancel; bust a",
        "CANCELED 10 1 0 110",
        trades="a 4 @ 100 BUSTED, b 1 @ 110",
        position="1 @ 110 made 0",
    ),
    Case(
        "bust_on_a_done_for_day_order",
        "place 10; accept; fill a 4; done for day; bust a",
        "DONE_FOR_DAY 10 0 10 -",
        trades="a 4 @ 100 BUSTED",
    ),
    Case(
        "bust_while_a_cancel_is_pending",
        "place 10; accept; fill a 10; want cancel; cancel pending; bust a",
        "PENDING_CANCEL 10 0 10 -",
        trades="a 10 @ 100 BUSTED",
        waits="1 0",
    ),
    Case(
        "bust_of_the_only_fill_with_a_fee",
        "place 10; accept; fill a 4 for 1 BNB; fill b 1; bust a",
        "PARTIALLY_FILLED 10 1 9 100",
        trades="a 4 @ 100 BUSTED, b 1 @ 100",
        position="1 @ 100 made 0",
    ),
    Case(
        "bust_of_a_late_fill",
        "place 10; accept; cancel; fill a 4; bust a",
        "CANCELED 10 0 0 -",
        trades="a 4 @ 100 BUSTED",
        odd="LATE_FILL 4",
    ),
    Case(
        "bust_of_an_overfill",
        "place 10; accept; fill a 10; fill b 5 @ 110; bust b",
        "FILLED 10 10 0 100",
        trades="a 10 @ 100, b 5 @ 110 BUSTED",
        position="10 @ 100 made 0",
        odd="OVERFILL 4",
    ),
    Case(
        "bust_of_a_trade_that_closed",
        "place 4; fill a 4; sell place 4; sell fill b 4 @ 110; sell bust b",
        "FILLED 4 4 0 100",
        sell="NEW 4 0 4 -",
        trades="a 4 @ 100, b 4 @ 110 BUSTED",
        position="4 @ 100 made 0",
    ),
    Case(
        "bust_of_a_trade_that_flipped",
        "place 4; fill a 4; sell place 6; sell fill b 6 @ 110; sell fill c 1 @ 120; sell bust b",
        "FILLED 4 4 0 100",
        sell="PARTIALLY_FILLED 6 1 5 120",
        trades="a 4 @ 100, b 6 @ 110 BUSTED, c 1 @ 120",
        position="3 @ 100 made 20",
        odd="OVERFILL 5",
    ),
    Case(
        "bust_of_a_trade_that_opened_what_is_closed",
        "place 4; fill a 4; sell place 4; sell fill b 4 @ 110; bust a",
        "NEW 4 0 4 -",
        sell="FILLED 4 4 0 110",
        trades="a 4 @ 100 BUSTED, b 4 @ 110",
        position="-4 @ 110 made 0",
    ),
    Case(
        "bust_in_a_holding_closed_long_ago",
        "place 9; fill a 1; sell place 9; sell fill b 1 @ 103; fill c 2; sell fill d 2 @ 101; sell bust b",
        "PARTIALLY_FILLED 9 3 6 100",
        sell="PARTIALLY_FILLED 9 2 7 101",
        trades="a 1 @ 100, b 1 @ 103 BUSTED, c 2 @ 100, d 2 @ 101",
        position="1 @ 100 made 2",
    ),
    # --- corrections
    Case(
        "correct_on_an_open_order",
        "place 10; accept; fill a 4; correct a 5 @ 99",
        "PARTIALLY_FILLED 10 5 5 99",
        trades="a 5 @ 99 CORRECTED",
        position="5 @ 99 made 0",
    ),
    Case(
        "correct_on_a_filled_order",
        "place 10; accept; fill a 4; fill b 6 @ 110; correct b 3 @ 107",
        "PARTIALLY_FILLED 10 7 3 103",
        trades="a 4 @ 100, b 3 @ 107 CORRECTED",
        position="7 @ 103 made 0",
    ),
    Case(
        "correct_on_a_cancelled_order",
        "place 10; accept; fill a 4; cancel; correct a 5 @ 99",
        "CANCELED 10 5 0 99",
        trades="a 5 @ 99 CORRECTED",
        position="5 @ 99 made 0",
    ),
    Case(
        "correct_on_a_done_for_day_order",
        "place 10; accept; fill a 4; done for day; correct a 5 @ 99",
        "DONE_FOR_DAY 10 5 5 99",
        trades="a 5 @ 99 CORRECTED",
        position="5 @ 99 made 0",
    ),
    Case(
        "correct_beyond_the_quantity",
        "place 10; accept; fill a 4; correct a 11 @ 100",
        "FILLED 10 11 0 100",
        trades="a 11 @ 100 CORRECTED",
        position="11 @ 100 made 0",
        odd="OVERFILL 4",
    ),
    Case(
        "correct_of_a_trade_that_closed",
        "place 4; fill a 4; sell place 4; sell fill b 4 @ 110; sell correct b 3 @ 110",
        "FILLED 4 4 0 100",
        sell="PARTIALLY_FILLED 4 3 1 110",
        trades="a 4 @ 100, b 3 @ 110 CORRECTED",
        position="1 @ 100 made 30",
    ),
    Case(
        "correct_of_a_trade_that_flipped",
        "place 4; fill a 4; sell place 6; sell fill b 6 @ 110; sell correct b 4 @ 110",
        "FILLED 4 4 0 100",
        sell="PARTIALLY_FILLED 6 4 2 110",
        trades="a 4 @ 100, b 4 @ 110 CORRECTED",
        position="0 @ - made 40",
        closed="40",
    ),
    Case(
        "correct_of_a_trade_into_one_that_flips",
        "place 4; fill a 4; sell place 6; sell fill b 4 @ 110; sell correct b 6 @ 105",
        "FILLED 4 4 0 100",
        sell="FILLED 6 6 0 105",
        trades="a 4 @ 100, b 6 @ 105 CORRECTED",
        position="-2 @ 105 made 20",
        closed="20",
    ),
    Case(
        "correct_then_bust_by_the_new_name",
        "place 10; accept; fill a 4; correct a 5 @ 99 f; bust f",
        "NEW 10 0 10 -",
        trades="f 5 @ 99 BUSTED",
    ),
    Case(
        "correct_to_a_fee_in_another_asset",
        "place 10; accept; fill a 4 for 1 USDT; correct a 4 @ 100 for 2 BNB; fill b 1 for 3 BNB",
        "PARTIALLY_FILLED 10 5 5 100",
        trades="a 4 @ 100 CORRECTED, b 1 @ 100",
        position="5 @ 100 made 0",
        fees="5 BNB",
        position_fees="5 BNB",
    ),
    # --- revisions of what is not there
    Case(
        "bust_of_an_unknown_trade",
        "place 10; accept; fill a 4; bust z",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="UNKNOWN_TRADE 4",
    ),
    Case(
        "correct_of_an_unknown_trade",
        "place 10; accept; fill a 4; correct z 5 @ 99",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="UNKNOWN_TRADE 4",
    ),
    Case("bust_of_an_unknown_order", "bust a", "none", odd="UNKNOWN_ORDER 1, UNKNOWN_TRADE 1"),
    Case(
        "bust_of_a_busted_trade",
        "place 10; accept; fill a 4; bust a; bust a",
        "NEW 10 0 10 -",
        trades="a 4 @ 100 BUSTED",
        odd="REVISED_AGAIN 5",
    ),
    Case(
        "correct_of_a_busted_trade",
        "place 10; accept; fill a 4; bust a; correct a 5 @ 99",
        "NEW 10 0 10 -",
        trades="a 4 @ 100 BUSTED",
        odd="REVISED_AGAIN 5",
    ),
    Case(
        "bust_before_its_fill",
        "place 10; accept; bust a; fill a 4",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="UNKNOWN_TRADE 3",
    ),
    # --- out of the venue's order
    Case(
        "rejection_after_a_fill",
        "place 10; accept; fill a 4; reject",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="STATUS_CONFLICT 4",
    ),
    Case("accept_after_cancel", "place 10; cancel; accept", "CANCELED 10 0 0 -"),
    Case("cancel_pending_after_cancel", "place 10; accept; cancel; cancel pending", "CANCELED 10 0 0 -"),
    Case("cancel_after_expire", "place 10; accept; expire; cancel", "EXPIRED 10 0 0 -", odd="STATUS_CONFLICT 4"),
    Case(
        "amend_before_accept",
        "place 10; want amend 8; amended 8 y; accept",
        "NEW 8 0 8 -",
    ),
    Case(
        "fills_in_reverse_with_the_accept_last",
        "place 10; fill b 6 @ 110; fill a 4; accept",
        "FILLED 10 10 0 106",
        trades="b 6 @ 110, a 4 @ 100",
        position="10 @ 106 made 0",
    ),
    Case("snapshot_reopens_a_cancelled_order", "place 10; accept; cancel; restate NEW 10 0", "NEW 10 0 10 -"),
    # --- one order under two ids
    Case(
        "fees_of_an_order_that_was_linked",
        "venue fill a 4 for 1 BNB; place 10; link; fill b 1 for 2 BNB; sell place 1; sell fill c 1 for 0.5 BNB",
        "PARTIALLY_FILLED 10 5 5 100",
        sell="FILLED 1 1 0 100",
        trades="a 4 @ 100, b 1 @ 100, c 1 @ 100",
        position="4 @ 100 made 0",
        fees="3 BNB",
        position_fees="3.5 BNB",
        odd="UNKNOWN_ORDER 1",
    ),
    Case(
        "reported_under_its_own_id_then_linked",
        "venue fill a 4; place 10; fill b 1 @ 110; link",
        "PARTIALLY_FILLED 10 5 5 102",
        trades="a 4 @ 100, b 1 @ 110",
        position="5 @ 102 made 0",
        odd="UNKNOWN_ORDER 1",
    ),
    Case(
        "cancelled_under_its_own_id_then_linked",
        "place 10; submit; venue accept; venue fill a 4; venue cancel; link",
        "CANCELED 10 4 0 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="UNKNOWN_ORDER 3, UNKNOWN_ORDER 4, UNKNOWN_ORDER 5",
    ),
    Case(
        "overfill_by_linking",
        "place 10; fill a 8; venue fill b 5; link",
        "FILLED 10 13 0 100",
        trades="a 8 @ 100, b 5 @ 100",
        position="13 @ 100 made 0",
        odd="UNKNOWN_ORDER 3, OVERFILL 4",
    ),
    Case(
        "filled_under_its_own_id_after_the_link",
        "venue fill a 4; place 10; link; venue fill b 2",
        "PARTIALLY_FILLED 10 4 6 100",
        venue="PARTIALLY_FILLED - 2 - 100",
        trades="a 4 @ 100, b 2 @ 100",
        position="6 @ 100 made 0",
        odd="UNKNOWN_ORDER 1, ALIAS_CONFLICT 4, UNKNOWN_ORDER 4",
    ),
    Case(
        "linked_again",
        "venue fill a 4; place 10; link; venue fill b 2; link",
        "PARTIALLY_FILLED 10 6 4 100",
        trades="a 4 @ 100, b 2 @ 100",
        position="6 @ 100 made 0",
        odd="UNKNOWN_ORDER 1, ALIAS_CONFLICT 4, UNKNOWN_ORDER 4",
    ),
    Case(
        "bust_of_a_trade_that_was_linked",
        "venue fill a 4; place 10; fill b 1 @ 110; link; bust a",
        "PARTIALLY_FILLED 10 1 9 110",
        trades="a 4 @ 100 BUSTED, b 1 @ 110",
        position="1 @ 110 made 0",
        odd="UNKNOWN_ORDER 1",
    ),
    Case(
        "cancelled_under_its_own_id_after_the_link",
        "venue fill a 4; place 10; link; venue cancel",
        "PARTIALLY_FILLED 10 4 6 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="UNKNOWN_ORDER 1, UNKNOWN_ORDER 4",
    ),
    Case(
        "linked_to_an_unknown_order",
        "place 10; accept; link",
        "NEW 10 0 10 -",
        odd="LINK_CONFLICT 3",
    ),
    Case(
        "linked_to_an_own_order",
        "place 10; sell place 5; link sell",
        "PENDING_NEW 10 0 10 -",
        sell="PENDING_NEW 5 0 5 -",
        odd="LINK_CONFLICT 3",
    ),
    Case(
        "linked_to_the_other_side",
        "place 10; sell fill a 4; link sell",
        "PENDING_NEW 10 0 10 -",
        sell="PARTIALLY_FILLED - 4 - 100",
        trades="a 4 @ 100",
        position="-4 @ 100 made 0",
        odd="UNKNOWN_ORDER 2, LINK_CONFLICT 3",
    ),
    Case(
        "linked_without_being_placed",
        "venue fill a 4; link",
        "none",
        venue="PARTIALLY_FILLED - 4 - 100",
        trades="a 4 @ 100",
        position="4 @ 100 made 0",
        odd="UNKNOWN_ORDER 1, LINK_CONFLICT 2",
    ),
)

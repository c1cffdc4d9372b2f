"""The Order State Change matrices of FIX beyond those of the oracle: the numbers of each row, in the oracle's shape.

All of them are in FIX 4.4, volume 4, with errata of 2003-06-18, but for those of exchanges and E.1.f, which came later;
no OrdStatus of theirs is another in FIX 5.0 SP2. Each has the address of a page or a document that prints it.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Row = dict[str, Any]

DEPARTURES = {
    "A.1.b": "LeavesQty 0, for a day order that is done: our orders know no day, and rest until the next session",
    "B.1.d": "New, though Pending Cancel goes before it in FIX's table of precedence: the cancel is not answered yet",
    "D.2.b": "the second Pending Replace tells the quantity of a replace that is confirmed only in the row after it",
    "E.1.a": "LeavesQty 0, though the order for 10000 is New and unfilled",
    "J.1.d": "LeavesQty 0, as in A.1.b",
}
"""Matrices with rows that are otherwise with us: what FIX prints, and why we do not follow."""

LEFT_OUT = {
    "B.1.f": "the cancel of an unknown order is an anomaly and makes no row",
    "F.1.b": "without OrdRejReason the duplicate of an unfilled order looks like the rejection of it, as in A.1.a",
    "G.1.a": "the status of an order that nobody has",
    "I.1.b, exchanges, bundled": "one report that is a fill and a cancel at once is two facts with us, as in I.1.b",
    "L.1.a": "OrdStatus Stopped: no fact of ours guarantees an execution",
    "L.1.b": "CashOrderQty: our orders have a quantity in the base asset",
}
"""Matrices of single orders that are not here, and why."""

_PAGES = {
    "volume-4": "https://www.fixtrading.org/packages/fix-4-4-specification-with-20030618-errata/",
    "latest": "https://www.fixtrading.org/online-specification/order-state-changes/",
}
_DICTIONARY = "https://www.onixs.biz/fix-dictionary/"


class Matrix(Struct, frozen=True):
    """One matrix.

    Attributes:
        name: in FIX 4.4, in brackets in an older version, and what it is about.
        url: of what prints it.
        rows: the oracle's, with ``or``: whether the row ends those before it in another way, and ``ours``: what is
            otherwise with us.
    """

    name: str
    url: str
    rows: tuple[Row, ...]

    @property
    def ref(self) -> str:
        """The name in FIX 4.4 alone."""
        return self.name.partition(" ")[0]

    def paths(self) -> list[list[Row]]:
        """The rows without ``or``; then for each one with it, those before it and itself."""
        ends = [n for n, row in enumerate(self.rows) if row["or"]]
        straight = [[row for row in self.rows[:n] if not row["or"]] for n in (*ends, len(self.rows))]
        return [straight[-1], *([*before, self.rows[n]] for before, n in zip(straight, ends, strict=False))]


def _matrix(block: str) -> Matrix:
    head, *lines = block.splitlines()
    name, _, page = head.partition(" @ ")
    return Matrix(name, _PAGES.get(page, _DICTIONARY + page), tuple(_row(line.split()) for line in lines))


def _row(words: list[str]) -> Row:
    row: Row = {"or": words[0] == "or", "ours": {}}
    told = [word for word in words if word != "or" and "=" not in word]
    names = ("in", "oq") if told[0] == "in" else ("exec", "st", "oq", "cum", "lv")
    row.update(zip(names, map(_value, told[told[0] == "in" :]), strict=False))
    for name, value in (word.split("=") for word in words if "=" in word):
        of = row["ours"] if name.startswith("ours.") else row
        of[name.removeprefix("ours.")] = _value(value)
    return row


def _value(word: str) -> int | str:
    return int(word) if word.isdigit() else word


# A block is a matrix, "name @ page"; a line of it is a row: ExecType OrdStatus OrderQty CumQty LeavesQty, then by name
# lq LastQty, px LastPx, avg AvgPx, id ExecID, ref ExecRefID, cl the ClOrdID of the request that is made or answered.
# "in" begins what is said to the venue; the order is for 10000 where no "in New" says otherwise. FIX prints a row with
# "or" beside the one after it, and goes on without it. Two orders in one matrix are two blocks. That a new order may be
# rejected FIX prints in almost every matrix; here it is in A.1.a.
_TABLES = """
A.1.a (4.2: D1) filled @ volume-4
    or Rejected Rejected 10000 0 0
    New New 10000 0 10000
    or Rejected Rejected 10000 0 0
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    Trade PartiallyFilled 10000 3000 7000 lq=1000
    Trade Filled 10000 10000 0 lq=7000

A.1.b (4.2: D2) part-filled, done for day @ 4.4/app_da.1.b.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    Trade PartiallyFilled 10000 3000 7000 lq=1000
    DoneForDay DoneForDay 10000 3000 0 ours.lv=7000

A.1.c (exchanges) filled at once, not accepted before @ latest
    Trade Filled 10000 10000 0 lq=10000

A.1.d (exchanges) part-filled at once @ latest
    Trade PartiallyFilled 10000 7000 3000 lq=7000

B.1.a (4.2: D3) cancel of an unfilled order @ 4.2/app_d3.html
    New New 10000 0 10000
    in Cancel
    or CancelReject New
    PendingCancel PendingCancel 10000 0 10000
    or CancelReject New
    Canceled Canceled 10000 0 0

B.1.b (4.2: D4) fills while a cancel is pending @ 4.4/app_db.1.b.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    in Cancel
    Trade PartiallyFilled 10000 5000 5000 lq=3000
    or CancelReject PartiallyFilled
    PendingCancel PendingCancel 10000 5000 5000
    Trade PendingCancel 10000 6000 4000 lq=1000
    or CancelReject PartiallyFilled
    Canceled Canceled 10000 6000 0

B.1.d (4.3: 6) cancel before the acceptance, which comes @ volume-4
    in Cancel
    PendingCancel PendingCancel 10000 0 10000
    New New 10000 0 10000 ours.st=PendingCancel
    Canceled Canceled 10000 0 0

B.1.d (4.3: 6) cancel before the acceptance, which never comes @ volume-4
    in New 5000
    in Cancel
    PendingCancel PendingCancel 5000 0 5000
    Canceled Canceled 5000 0 0

B.1.e (4.3: 7) cancel and acceptance cross @ 5.0.sp1/app_db.1.e.html
    in Cancel
    New New 10000 0 10000
    PendingCancel PendingCancel 10000 0 10000
    Canceled Canceled 10000 0 0

C.1.a (4.2: D6) unfilled, replaced by more @ volume-4
    New New 10000 0 10000
    in Replace 11000
    or CancelReject New
    PendingReplace PendingReplace 10000 0 10000
    or CancelReject New
    Replaced New 11000 0 11000
    Trade PartiallyFilled 11000 1000 10000 lq=1000
    Trade PartiallyFilled 11000 3000 8000 lq=2000

C.1.b (4.2: D7) part-filled, replaced by more, a fill meanwhile @ 5.0.sp1/app_dc.1.b.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 12000
    or CancelReject PartiallyFilled
    PendingReplace PendingReplace 10000 1000 9000
    Trade PendingReplace 10000 1100 8900 lq=100
    or CancelReject PartiallyFilled
    Replaced PartiallyFilled 12000 1100 10900
    Trade Filled 12000 12000 0 lq=10900

C.1.c (4.2: D8) filled, replaced by more @ volume-4
    New New 10000 0 10000
    Trade Filled 10000 10000 0 lq=10000
    in Replace 12000
    or CancelReject Filled
    PendingReplace PendingReplace 10000 10000 0
    or CancelReject Filled
    Replaced PartiallyFilled 12000 10000 2000
    Trade Filled 12000 12000 0 lq=2000

C.2.a (4.2: D9) replace of the price refused, filled meanwhile @ 4.4/app_dC.2.a.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 10000
    Trade Filled 10000 10000 0 lq=9000
    CancelReject Filled

C.3.a (4.2: D10) the ends of the oracle's case that refuse @ 4.2/app_d10.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000
    Trade PartiallyFilled 10000 1500 8500 lq=500
    or CancelReject PartiallyFilled
    PendingReplace PendingReplace 10000 1500 8500
    Trade PendingReplace 10000 1600 8400 lq=100
    CancelReject PartiallyFilled

C.3.b (4.2: D11) replaced by as much as is filled @ 4.3/app_d13.html
    New New 10000 0 10000
    in Replace 7000
    Trade PartiallyFilled 10000 7000 3000 lq=7000
    Replaced Filled 7000 7000 0

C.3.c (4.2: D12) a replace by less than is filled ends at what is filled @ 5.0.sp2/app_dc.3.c.html
    New New 10000 0 10000
    in Replace 7000
    Trade PartiallyFilled 10000 8000 2000 lq=8000
    Replaced Filled 8000 8000 0

D.1.a (4.2: D13) a replace, then another @ 5.0.sp2.ep272/app_dD.1.a.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000
    PendingReplace PendingReplace 10000 1000 9000
    Trade PendingReplace 10000 1500 8500 lq=500
    Replaced PartiallyFilled 8000 1500 6500
    Trade PartiallyFilled 8000 3500 4500 lq=2000
    in Replace 6000
    PendingReplace PendingReplace 8000 3500 4500
    Trade PendingReplace 8000 4000 4000 lq=500
    Replaced PartiallyFilled 6000 4000 2000
    Trade Filled 6000 6000 0 lq=2000

D.1.b (4.2: D14) a replace refused before it is pending, then another @ 4.3/app_d16.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000
    CancelReject PartiallyFilled
    Trade PartiallyFilled 10000 1500 8500 lq=500
    Trade PartiallyFilled 10000 3500 6500 lq=2000
    in Replace 6000
    PendingReplace PendingReplace 10000 3500 6500
    Replaced PartiallyFilled 6000 3500 2500
    Trade PartiallyFilled 6000 5000 1000 lq=1500

D.1.c (4.2: D15) a replace refused after it is pending, then another @ 5.0.sp1/app_dD.1.c.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000
    PendingReplace PendingReplace 10000 1000 9000
    Trade PendingReplace 10000 1500 8500 lq=500
    CancelReject PartiallyFilled
    Trade PartiallyFilled 10000 3500 6500 lq=2000
    in Replace 6000
    PendingReplace PendingReplace 10000 3500 6500
    or CancelReject PartiallyFilled
    Replaced PartiallyFilled 6000 3500 2500
    Trade PartiallyFilled 6000 5000 1000 lq=1500

D.2.a (4.2: D16) two replaces, one after the other @ volume-4
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000 cl=Y
    in Replace 7000 cl=Z
    PendingReplace PendingReplace 10000 1000 9000 cl=Y
    Replaced PartiallyFilled 8000 1000 7000 cl=Y
    PendingReplace PendingReplace 8000 1000 7000 cl=Z
    Replaced PartiallyFilled 7000 1000 6000 cl=Z
    Trade Filled 7000 7000 0 lq=6000

D.2.b (4.3: 19) two replaces, the second pending while the first is answered @ 5.0.sp2/app_dD.2.b.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000 cl=Y
    in Replace 7000 cl=Z
    PendingReplace PendingReplace 10000 1000 9000 cl=Y
    PendingReplace PendingReplace 8000 1000 7000 cl=Z ours.oq=10000 ours.lv=9000
    Replaced PendingReplace 8000 1000 7000 cl=Y
    Replaced PartiallyFilled 7000 1000 6000 cl=Z
    Trade Filled 7000 7000 0 lq=6000

D.2.c (4.3: 20) two replaces, both refused @ volume-4
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000 cl=Y
    in Replace 7000 cl=Z
    PendingReplace PendingReplace 10000 1000 9000 cl=Y
    CancelReject PartiallyFilled cl=Y
    PendingReplace PendingReplace 10000 1000 9000 cl=Z
    CancelReject PartiallyFilled cl=Z
    Trade PartiallyFilled 10000 7000 3000 lq=6000

D.2.d (4.2: D17) two replaces, the second refused while the first is pending @ 4.3/app_d21.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in Replace 8000 cl=Y
    in Replace 7000 cl=Z
    PendingReplace PendingReplace 10000 1000 9000 cl=Y
    CancelReject PendingReplace cl=Z
    Replaced PartiallyFilled 8000 1000 7000 cl=Y
    Trade PartiallyFilled 8000 3000 5000 lq=2000

E.1.a (4.2: D18) telephoned @ 4.4/app_dE.1.a.html
    in Telephone
    New New 10000 0 0 ours.lv=10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    Trade PartiallyFilled 10000 3000 7000 lq=1000
    Trade Filled 10000 10000 0 lq=7000

E.1.b (4.2: D19) part-filled, canceled unasked @ 5.0.sp1/app_dE.1.b.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    Canceled Canceled 10000 1000 0

E.1.c (4.2: D20) replaced unasked, unfilled and part-filled @ 5.0.sp2/app_de.1.c.html
    New New 10000 0 10000
    Restated New 11000 0 11000
    Trade PartiallyFilled 11000 1000 10000 lq=1000
    Restated PartiallyFilled 12000 1000 11000

E.1.d (4.2: D21) reduced unasked @ 4.2/app_d21.html
    New New 10000 0 10000
    Restated New 9000 0 9000
    Trade Filled 9000 9000 0 lq=9000

E.1.e canceled unasked, as not the best @ 5.0.SP2/app_dE.1.e.html
    New New 10000 0 10000
    Canceled Canceled 10000 0 0

E.1.f (5.0) held, then triggered @ 5.0.sp2/app_de.1.f.html
    New New 10000 0 10000
    Triggered New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    Trade Filled 10000 10000 0 lq=8000

F.1.a (4.2: D22) another order of the same id is rejected @ volume-4
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    in New 15000
    Rejected PartiallyFilled 10000 1000 9000

F.1.c (4.2: D23) rejected, told by telephone before @ 4.3/app_d28.html
    Rejected Rejected 10000 0 0

G.1.b (4.2: D25) status of an unfilled order @ volume-4
    New New 10000 0 10000
    OrderStatus New 10000 0 10000

G.1.c (4.2: D26) status all along @ volume-4
    OrderStatus PendingNew 10000 0 10000
    or Rejected Rejected 10000 0 0
    New New 10000 0 10000
    OrderStatus New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    OrderStatus PartiallyFilled 10000 2000 8000
    Trade Filled 10000 10000 0 lq=8000
    OrderStatus Filled 10000 10000 0
    in Replace 12000
    PendingReplace PendingReplace 10000 10000 0
    Replaced PartiallyFilled 12000 10000 2000
    OrderStatus PartiallyFilled 12000 10000 2000
    OrderStatus PartiallyFilled 12000 10000 2000

H.1.a (4.2: D27) done for day, restated, filled on @ 4.2/app_d27.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    DoneForDay DoneForDay 10000 2000 8000
    Restated PartiallyFilled 10000 2000 8000
    Trade PartiallyFilled 10000 3000 7000 lq=1000

H.1.a (4.2: D27) the same without the restatement, which is optional @ 4.2/app_d27.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    DoneForDay DoneForDay 10000 2000 8000
    Trade PartiallyFilled 10000 3000 7000 lq=1000

H.1.b (4.2: D28) done for day, restated after a split of 2:1, filled @ volume-4
    New New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000 px=50
    DoneForDay DoneForDay 10000 2000 8000
    Restated PartiallyFilled 20000 4000 16000 avg=25
    Trade PartiallyFilled 20000 9000 11000 lq=5000
    Trade Filled 20000 20000 0 lq=11000

H.1.c (4.2: D29) done for day, restated, canceled @ 4.2/app_d29.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    DoneForDay DoneForDay 10000 2000 8000
    Restated PartiallyFilled 10000 2000 8000
    in Cancel
    or CancelReject PartiallyFilled
    PendingCancel PendingCancel 10000 2000 8000
    or CancelReject PartiallyFilled
    Canceled Canceled 10000 2000 0

H.1.d (4.2: D30) done for day, restated, replaced by more @ 5.0.sp2.ep264/app_dH.1.d.html
    New New 10000 0 10000
    Trade PartiallyFilled 10000 2000 8000 lq=2000
    DoneForDay DoneForDay 10000 2000 8000
    Restated PartiallyFilled 10000 2000 8000
    in Replace 15000
    or CancelReject PartiallyFilled
    PendingReplace PendingReplace 10000 2000 8000
    Trade PendingReplace 10000 3000 7000 lq=1000
    or CancelReject PartiallyFilled
    Replaced PartiallyFilled 15000 3000 12000

I.1.a (4.2: D32) fill or kill, killed @ volume-4
    New New 10000 0 10000
    Canceled Canceled 10000 0 0

I.1.a (exchanges) killed, not accepted before @ latest
    Canceled Canceled 10000 0 0

I.1.b (4.2: D33) immediate or cancel, part-filled @ volume-4
    New New 10000 0 10000
    Trade PartiallyFilled 10000 1000 9000 lq=1000
    Canceled Canceled 10000 1000 0

J.1.c (4.2: D36) restated, then both fills corrected @ 5.0.SP1/app_dJ.1.c.html
    New New 10000 0 10000 id=A
    Trade PartiallyFilled 10000 2000 8000 lq=2000 id=B
    DoneForDay DoneForDay 10000 2000 8000 id=C
    Restated PartiallyFilled 10000 2000 8000 id=D
    Trade PartiallyFilled 10000 3000 7000 lq=1000 id=E
    TradeCorrect PartiallyFilled 10000 2500 7500 lq=1500 id=F ref=B
    TradeCorrect PartiallyFilled 10000 2000 8000 lq=500 id=G ref=E

J.1.d (4.3: 41) done for day, then its fill corrected and busted @ 5.0.sp2.ep289/app_dJ.1.d.html
    New New 10000 0 10000 id=A
    Trade PartiallyFilled 10000 5000 5000 lq=5000 px=50 id=B
    DoneForDay DoneForDay 10000 5000 0 id=C ours.lv=5000
    TradeCorrect DoneForDay 10000 4000 0 lq=4000 px=50 id=D ref=B ours.lv=6000
    TradeCancel DoneForDay 10000 0 0 id=E ref=D ours.lv=10000

K.1.a (4.3: 43) trading halted, then filled @ volume-4
    New New 10000 0 10000
    Trade Filled 10000 10000 0 lq=10000

K.1.b (4.3: 44) trading halted, canceled @ volume-4
    New New 10000 0 10000
    Canceled Canceled 10000 0 0
"""

MATRICES = tuple(map(_matrix, _TABLES.strip().split("\n\n")))

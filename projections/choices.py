"""What a column of the read side may say, where it says one word of a few."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import sqlalchemy as sa


class AliasKind(StrEnum):
    """Who gave an order its external id."""

    EXCHANGE = "EXCHANGE"
    CLIENT = "CLIENT"


class AnomalyKind(StrEnum):
    """What was odd about an event that the log holds all the same.

    Attributes:
        UNKNOWN_ORDER: about an order the engine never placed.
        UNKNOWN_PAIR: a venue told of a pair that nobody listed; a stub row was made.
        UNKNOWN_TRADE: a bust or correction of an execution that was never told.
        REVISED_AGAIN: a bust or correction of an execution that was busted already; the bust stands.
        LATE_FILL: a fill after the order's end; it counts, the status stays.
        OVERFILL: more was filled than ordered.
        ALIAS_CONFLICT: an external id that belongs to another order already; the first claim stands.
        FACT_CONFLICTED: a fact was told again with other content; the first telling stands.
        MESSAGE_UNUSABLE: a venue's message could not be decoded; it is kept whole in the log.
        NUMBER_OUT_OF_RANGE: a derived number does not fit NUMERIC(38, 18).
        PLACED_AGAIN: an order was placed a second time; the first placing stands.
        STATUS_CONFLICT: a status that what was told before rules out: the rejection of an order that was filled, an
            end after another end, an acceptance after a rejection. The former stands.
        LINK_CONFLICT: two orders were said to be one that cannot be; they stay apart.
    """

    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    UNKNOWN_PAIR = "UNKNOWN_PAIR"
    UNKNOWN_TRADE = "UNKNOWN_TRADE"
    REVISED_AGAIN = "REVISED_AGAIN"
    LATE_FILL = "LATE_FILL"
    OVERFILL = "OVERFILL"
    ALIAS_CONFLICT = "ALIAS_CONFLICT"
    FACT_CONFLICTED = "FACT_CONFLICTED"
    MESSAGE_UNUSABLE = "MESSAGE_UNUSABLE"
    NUMBER_OUT_OF_RANGE = "NUMBER_OUT_OF_RANGE"
    PLACED_AGAIN = "PLACED_AGAIN"
    STATUS_CONFLICT = "STATUS_CONFLICT"
    LINK_CONFLICT = "LINK_CONFLICT"


class TradeStatus(StrEnum):
    """What became of an execution.

    Attributes:
        EXECUTED: as it was first told.
        CORRECTED: the venue corrected it; the row holds what should have been.
        BUSTED: it never was; no sum counts it.
    """

    EXECUTED = "EXECUTED"
    CORRECTED = "CORRECTED"
    BUSTED = "BUSTED"


class FeeIn(StrEnum):
    """Which asset of the pair a fee was paid in, by the pair as the fill told it; a third asset is neither."""

    BASE = "BASE"
    QUOTE = "QUOTE"


class PositionSide(StrEnum):
    """FIX 704 and 705: whether more was bought or sold."""

    LONG = "LONG"
    SHORT = "SHORT"


class Choice(sa.types.TypeDecorator[StrEnum]):
    """One of an enum's values, kept as its text; the CHECK is made by ``one_of``."""

    impl = sa.String
    cache_ok = True

    def __init__(self, values: type[StrEnum]) -> None:
        super().__init__(32)
        self.values = values

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.String(32))

    def process_bind_param(self, value: StrEnum | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> StrEnum | None:
        return None if value is None else self.values(value)

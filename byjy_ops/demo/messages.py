"""The simulated venue's wire format: JSON with short-lived names, much like what real venues send."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from byjy_events import Liquidity, Side


class Kind(StrEnum):
    """What an execution report reports."""

    NEW = "NEW"
    REJECTED = "REJECTED"
    TRADE = "TRADE"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELED = "CANCELED"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    REPLACED = "REPLACED"
    REPLACE_REJECTED = "REPLACE_REJECTED"
    EXPIRED = "EXPIRED"
    TRADE_CANCELED = "TRADE_CANCELED"
    TRADE_CORRECTED = "TRADE_CORRECTED"


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One message of the venue about one order.

    Attributes:
        time: the venue's clock, nanoseconds UTC.
        update: the venue's number of this message.
        order: the venue's id of the order; ``client``: the trader's.
        quantity, price, fee: of the execution, or the new terms of a replaced order.
    """

    kind: Kind
    time: int
    update: int
    symbol: str
    order: str
    client: str
    side: Side
    quantity: Decimal | None = None
    price: Decimal | None = None
    execution: str | None = None
    fee: Decimal | None = None
    fee_asset: str | None = None
    liquidity: Liquidity | None = None
    text: str = ""


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(ExecutionReport).decode

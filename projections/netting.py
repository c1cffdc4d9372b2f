"""Netting at average cost: what a signed trade makes of a signed holding."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from byjy_events.numbers import CONTEXT, ZERO
from projections.amounts import settled, total

_add, _subtract, _multiply, _divide = CONTEXT.add, CONTEXT.subtract, CONTEXT.multiply, CONTEXT.divide


class Netted(Struct, frozen=True, gc=False):
    """A holding after a trade.

    Attributes:
        quantity: signed.
        avg_price: None when flat.
        realized: by this trade, not rounded yet, before fees.
        opened: whether a new holding began, from flat or through zero.
    """

    quantity: Decimal
    avg_price: Decimal | None
    realized: Decimal
    opened: bool


def netted(held: Decimal, avg_price: Decimal | None, traded: Decimal, price: Decimal) -> Netted | None:
    """A holding of ``held`` at ``avg_price`` after ``traded`` more at ``price``; None: it is out of range."""
    quantity = total(held, traded)
    if quantity is None:
        return None
    if not held or avg_price is None:
        return Netted(quantity, price if quantity else None, ZERO, bool(quantity))
    if not traded:
        return Netted(quantity, avg_price, ZERO, False)
    if (traded > 0) is (held > 0):
        cost = _add(_multiply(held, avg_price), _multiply(traded, price))
        return Netted(quantity, settled(_divide(cost, quantity)), ZERO, False)
    return _reduced(held, avg_price, traded, price, quantity)


def _reduced(held: Decimal, avg_price: Decimal, traded: Decimal, price: Decimal, quantity: Decimal) -> Netted:
    gained = _subtract(price, avg_price)
    if not quantity:
        return Netted(quantity, None, _multiply(gained, held), False)
    if (quantity > 0) is (held > 0):
        return Netted(quantity, avg_price, _multiply(gained, traded.copy_negate()), False)
    return Netted(quantity, price, _multiply(gained, held), True)

"""What an export is asked for, and which rows that means."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from byjy_ops.errors import InvalidArgument
from byjy_ops.exporting.columns import LAYOUTS, Kind
from byjy_ops.exporting.spelling import instant_text
from byjy_ops.pairs import PairName, Pairs


class Filters(NamedTuple):
    """What is to be exported; None: everything.

    Attributes:
        since, until: nanoseconds UTC, the first included, the second not, so that exports of one day after the other
            hold every row once.
        pair: a trading pair as ``SYMBOL`` or ``EXCHANGE:SYMBOL``.
        actor: who caused the event, or the event that a row comes of.
        account: whose orders, trades or positions.
    """

    since: int | None = None
    until: int | None = None
    pair: str | None = None
    actor: str | None = None
    account: str | None = None


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The filters of an export as its manifest tells them.

    Attributes:
        since, until: instants as exports spell them.
        pair: exchange and symbol, ``binance:BTCUSDT``.
        trading_pair_id: of that pair.
    """

    since: str | None = None
    until: str | None = None
    pair: str | None = None
    trading_pair_id: str | None = None
    actor: str | None = None
    account: str | None = None

    @property
    def gapless(self) -> bool:
        """Whether the events that are left follow one another without gaps."""
        return self.pair is None and self.actor is None


class NamedPair(NamedTuple):
    """A trading pair by its id, and what it is called."""

    id: UUID
    name: PairName


def named_pair(pairs: Pairs, filters: Filters) -> NamedPair | None:
    """The pair that the filters name.

    Raises:
        InvalidArgument: no pair is called so, or several are.
    """
    if filters.pair is None:
        return None
    found = pairs.resolve(filters.pair)
    return NamedPair(found, pairs.called(filters.pair)[found])


def chosen(filters: Filters, pair: NamedPair | None) -> Chosen:
    """The filters for the manifest."""
    return Chosen(
        since=_text(filters.since),
        until=_text(filters.until),
        pair=None if pair is None else str(pair.name),
        trading_pair_id=None if pair is None else str(pair.id),
        actor=filters.actor,
        account=filters.account,
    )


def refuse_unfit(kind: Kind, filters: Filters) -> None:
    """
    Raises:
        InvalidArgument: the kind has nothing that could be filtered so.
    """
    given: dict[str, Any] = {"actor": filters.actor, "account": filters.account}
    for name, value in given.items():
        if value is not None and name not in LAYOUTS[kind].filters:
            raise InvalidArgument(f"--{name}", f"{kind} have nothing that could be filtered so")


def _text(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else instant_text(nanoseconds)

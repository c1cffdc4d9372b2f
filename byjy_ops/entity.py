"""What a command line names: an order, a pair, a position, or anything else that has a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from byjy_ops.errors import InvalidArgument
from byjy_ops.pairs import PairName, known_pairs
from byjy_ops.reading import Fetch
from projections import entities
from projections.api_keys.table import api_keys
from projections.configuration.keys import checked_key
from projections.entities import Entity
from projections.strategies.table import strategies
from projections.tables import order_aliases, orders
from projections.users.table import users

CANDIDATES = 10
"""How many entities of one name an error names."""

_ORDER, _PAIR, _POSITION, _CONFIGURATION = "order", "pair", "position", "configuration"

_KINDS = {
    "order": _ORDER,
    "pair": _PAIR,
    "position": _POSITION,
    "user": "user",
    "key": "key",
    "api_key": "key",
    "strategy": "strategy",
    "execution": "execution",
    "strategy_execution": "execution",
    "config": _CONFIGURATION,
    "configuration": _CONFIGURATION,
}

_OPTIONS = {"--account": (_ORDER, _POSITION), "--pair": (_ORDER,), "--paper": (_POSITION,)}
"""The kinds that take them."""

_OWNED: dict[str, tuple[Callable[[UUID], Entity], sa.Column[str] | None]] = {
    "user": (entities.user, users.c.username),
    "key": (entities.api_key, api_keys.c.label),
    "strategy": (entities.strategy, strategies.c.name),
    "execution": (entities.strategy_execution, None),
}
"""How each is made of its id, and the column that has its name."""


class Named(NamedTuple):
    """What a command line says.

    Attributes:
        kind: one word of those above.
        name: an id, or what people call it.
        account, pair: of a position, or of an order that a venue's or a client's id names.
    """

    kind: str
    name: str
    account: str | None = None
    pair: str | None = None
    is_test: bool = False

    def __str__(self) -> str:
        account = f" on {self.account}" if self.kind == _POSITION else ""
        return f"{self.kind} {self.name}{account}"


def named(words: list[str], account: str | None, pair: str | None, *, is_test: bool) -> Named:
    """What the words of a command line name: an order's id alone, or a kind and a name.

    Raises:
        InvalidArgument: neither.
    """
    if len(words) == 1:
        if _uuid(words[0]) is None:
            raise InvalidArgument("ORDER_ID", f"{words[0]!r} is no UUID, and KIND NAME are two words")
        words = [_ORDER, *words]
    if len(words) > 2:
        raise InvalidArgument("KIND NAME", f"{len(words)} words; quote a name that has blanks")
    kind = _KINDS.get(words[0].lower().replace("-", "_"))
    if kind is None:
        raise InvalidArgument("KIND", f"{words[0]!r} is unknown; expected one of {', '.join(sorted(_KINDS))}")
    for option, given in (("--account", account), ("--pair", pair), ("--paper", is_test)):
        if given and kind not in _OPTIONS[option]:
            raise InvalidArgument(option, f"of no use to the history of {kind} {words[1]}")
    if kind == _POSITION and account is None:
        raise InvalidArgument("--account", "whose position? An account holds one of each pair")
    return Named(kind, words[1], account, pair, is_test)


async def found(fetch: Fetch, asked: Named) -> Entity:
    """The entity that is meant. That it ever existed, only the log can tell.

    Args:
        fetch: of the live tables, which know what things are called.

    Raises:
        InvalidArgument: nothing is called so, or several things are.
    """
    if asked.kind == _ORDER:
        return entities.order(_uuid(asked.name) or await _order_called(fetch, asked))
    if asked.kind == _CONFIGURATION:
        return entities.setting(checked_key(asked.name))
    if asked.kind in (_PAIR, _POSITION):
        pair = await _pair(fetch, asked.name)
        if asked.kind == _PAIR:
            return entities.pair(pair.exchange, pair.symbol)
        return entities.position(pair.exchange, pair.symbol, asked.account or "", is_test=asked.is_test)
    make, column = _OWNED[asked.kind]
    return make(_uuid(asked.name) or await _owned_called(fetch, asked, column))


async def _pair(fetch: Fetch, name: str) -> PairName:
    """The pairs that there are, or, of one that no table knows yet, exchange and symbol as they are written."""
    pairs = await known_pairs(fetch)
    exchange, _, symbol = name.partition(":")
    if not pairs.called(name) and exchange and symbol:
        return PairName(exchange, symbol)
    return pairs.called(name)[pairs.resolve(name, "NAME")]


async def _order_called(fetch: Fetch, asked: Named) -> UUID:
    """By the venue's id or ours, now or before it was renamed."""
    o, a = orders.c, order_aliases.c
    carried = sa.select(o.id).where(sa.or_(o.exchange_order_id == asked.name, o.client_order_id == asked.name))
    claimed = sa.select(a.order_id).where(a.external_id == asked.name)
    if asked.account is not None:
        carried, claimed = carried.where(o.account == asked.account), claimed.where(a.account == asked.account)
    if asked.pair is not None:
        pair = (await known_pairs(fetch)).resolve(asked.pair)
        carried, claimed = carried.where(o.trading_pair_id == pair), claimed.where(a.trading_pair_id == pair)
    ids = {row[0] for statement in (carried, claimed) for row in await fetch(statement.limit(CANDIDATES + 1))}
    return _only(ids, asked, "--account and --pair tell them apart, or the order's own id")


async def _owned_called(fetch: Fetch, asked: Named, column: sa.Column[str] | None) -> UUID:
    if column is None:
        raise InvalidArgument("NAME", f"{asked.name!r} is no UUID, and an execution has no other name")
    table = column.table
    rows = await fetch(sa.select(table.c.id).where(column == asked.name).limit(CANDIDATES + 1))
    return _only({row.id for row in rows}, asked, "their ids tell them apart")


def _only(ids: set[UUID], asked: Named, advice: str) -> UUID:
    if not ids:
        raise InvalidArgument("NAME", f"no {asked.kind} is called {asked.name!r}")
    if len(ids) > 1:
        some = ", ".join(sorted(map(str, ids))[:CANDIDATES])
        raise InvalidArgument("NAME", f"several are called {asked.name!r}: {some}; {advice}")
    return next(iter(ids))


def _uuid(written: str) -> UUID | None:
    try:
        return UUID(written)
    except ValueError:
        return None

"""Aliases: which order an external id means. The first claim wins; a second one is an anomaly.

Claims are made by the events that are sure to leave a row in ``orders``: a placing, an acceptance, a fill, a
snapshot, a new name. Any other id that a venue mentions is found in ``orders`` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from byjy_events.event import Event
from byjy_events.recorded import Recorded
from byjy_events.vocabulary import orders as events
from projections.anomalies import anomaly
from projections.choices import AliasKind, AnomalyKind
from projections.pairs import trading_pair_id
from projections.projection import Evolved, Key, Projection, on
from projections.rows import OrderAliasRow
from projections.tables import order_aliases

# Plain text in keys: it equals the enum's members, and hashing one of those is a call in Python, many times an event.
_EXCHANGE, _CLIENT = str(AliasKind.EXCHANGE), str(AliasKind.CLIENT)


class OrderAliases(Projection[OrderAliasRow]):
    """``order_aliases``: one row for each external id, at its venue, account and pair."""

    name = "order_aliases"
    version = 1
    table = order_aliases
    row_type = OrderAliasRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        exchange_id, client_id = _claims(event)
        if exchange_id is None and client_id is None:
            return ()
        pair = event.pair
        venue, account, pair_id = pair.exchange, event.account, trading_pair_id(pair)
        keys: list[Key] = []
        if exchange_id is not None:
            keys.append((venue, account, pair_id, _EXCHANGE, exchange_id))
        if client_id is not None:
            keys.append((venue, account, pair_id, _CLIENT, client_id))
        return keys

    @on(
        events.OrderPlaced,
        events.OrderAccepted,
        events.OrderFilled,
        events.OrderAmended,
        events.OrderRestated,
    )
    def claimed(
        self, row: OrderAliasRow | None, event: Event, recorded: Recorded, key: Key
    ) -> OrderAliasRow | Evolved[OrderAliasRow]:
        exchange, account, pair, kind, external_id = key
        order_id = recorded.stream_id
        if row is None:
            return OrderAliasRow(
                exchange=exchange,
                account=account,
                trading_pair_id=pair,
                kind=AliasKind(kind),
                external_id=external_id,
                order_id=order_id,
                claimed_at=recorded.position,
            )
        if row.order_id == order_id:
            return row
        message = f"{kind} order id {external_id} belongs to order {row.order_id}, which claimed it first"
        return Evolved(row, (anomaly(AnomalyKind.ALIAS_CONFLICT, recorded, message, pair),))


def _claims(event: Any) -> tuple[str | None, str | None]:
    """The venue's and our id that an event claims for its order."""
    kind = type(event)
    if kind is events.OrderAmended:
        return event.new_exchange_order_id, event.new_client_order_id
    return None if kind is events.OrderPlaced else event.exchange_order_id, event.client_order_id

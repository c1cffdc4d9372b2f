"""Which pair an event is about, where it does not say so itself: that of its order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from byjy_events.identifiers import pair_id
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.stream import ORDER, PAIR, Stream
from byjy_events.vocabulary.pairs import Pair

ORDERS_KEPT = 50_000
"""Orders whose pair is remembered; that of others is looked up in the log again."""


class OrderPairs:
    """Tells events of one pair from others, by the log alone.

    An event is about a pair if it names the pair, if its stream is the pair's, or if it is in the stream of an order
    whose first event that names any pair names this one.

    Args:
        upto: no event behind this position is looked at.
    """

    def __init__(self, log: EventLog, exchange: str, symbol: str, upto: int) -> None:
        self._log = log
        self._exchange = exchange
        self._symbol = symbol
        self._stream_id = pair_id(exchange, symbol).bytes
        self._upto = upto
        self._ours: OrderedDict[bytes, bool] = OrderedDict()

    async def about(self, chunk: Sequence[Recorded]) -> list[Recorded]:
        """Those of some events that are about the pair."""
        unknown: set[Stream] = set()
        for recorded in chunk:
            if recorded.category == ORDER and recorded.stream_id_bytes not in self._ours:
                if recorded.stream_version == 1 and _named(recorded) is not None:
                    self._ours[recorded.stream_id_bytes] = self._names_it(recorded)
                else:
                    unknown.add(recorded.stream)
        if unknown:
            await self._look_up(unknown)
        about = [recorded for recorded in chunk if self._is_about(recorded)]
        while len(self._ours) > ORDERS_KEPT:
            self._ours.popitem(last=False)
        return about

    async def _look_up(self, unknown: set[Stream]) -> None:
        found: dict[bytes, bool] = {}
        async for recorded in self._log.read(streams=unknown, upto=self._upto):
            if recorded.stream_id_bytes not in found and _named(recorded) is not None:
                found[recorded.stream_id_bytes] = self._names_it(recorded)
                if len(found) == len(unknown):
                    break
        self._ours.update({stream.id.bytes: found.get(stream.id.bytes, False) for stream in unknown})

    def _is_about(self, recorded: Recorded) -> bool:
        if recorded.category == PAIR and recorded.stream_id_bytes == self._stream_id:
            return True
        in_order = recorded.category == ORDER and self._ours.get(recorded.stream_id_bytes, False)
        return in_order or self._names_it(recorded)

    def _names_it(self, recorded: Recorded) -> bool:
        pair = _named(recorded)
        return pair is not None and pair.symbol == self._symbol and pair.exchange == self._exchange


def _named(recorded: Recorded) -> Pair | None:
    pair = getattr(recorded.event, "pair", None)
    return pair if isinstance(pair, Pair) else None

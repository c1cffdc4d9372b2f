"""The events of the log, as rows to be exported."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from byjy_events.errors import CorruptLog
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_ops.exporting.columns import Chunk
from byjy_ops.exporting.filters import Filters, NamedPair, chosen, named_pair
from byjy_ops.exporting.order_pairs import OrderPairs
from byjy_ops.exporting.snapshot import snapshot
from byjy_ops.exporting.source import Progress, Source
from byjy_ops.pairs import known_pairs
from projections import position_at

CHUNK_EVENTS = 1_000
"""Events that are in memory at once, and as many more while they are fetched ahead."""


@contextlib.asynccontextmanager
async def event_rows(
    log: EventLog, filters: Filters, as_of: int | None, progress: Progress | None
) -> AsyncIterator[Source]:
    """Events up to a position; None: up to the head. Each one's leaf hash is checked.

    Raises:
        InvalidArgument: no pair is called so, or several are.
        CorruptLog: an event is missing or altered.
    """
    head = await log.head()
    upto = head if as_of is None else as_of
    pair = await _pair(log, filters)
    first = 0 if filters.since is None else await position_at(log, filters.since - 1)
    last = upto if filters.until is None else min(upto, await position_at(log, filters.until - 1))
    of_pair = None if pair is None else OrderPairs(log, pair.name.exchange, pair.name.symbol, upto)
    async with contextlib.aclosing(_chunks(log, first, last, filters.actor, of_pair, progress)) as chunks:
        yield Source(chunks, chosen(filters, pair), upto, head, None)


async def _pair(log: EventLog, filters: Filters) -> NamedPair | None:
    if filters.pair is None:
        return None
    async with snapshot(log) as fetch:
        return named_pair(await known_pairs(fetch), filters)


async def _chunks(
    log: EventLog, after: int, upto: int, actor: str | None, of_pair: OrderPairs | None, progress: Progress | None
) -> AsyncGenerator[Chunk, None]:
    if after >= upto:
        return
    async with contextlib.aclosing(log.read_chunks(after=after, upto=upto, size=CHUNK_EVENTS, checked=True)) as chunks:
        async for chunk in chunks:
            reached = chunk[-1].position
            if of_pair is not None:
                chunk = await of_pair.about(chunk)  # noqa: PLW2901 - the rest is of no interest
            found = [recorded for recorded in chunk if actor is None or recorded.actor == actor]
            if found:
                yield _columns(found)
            if progress is not None:
                progress(reached, upto)


def _columns(events: Sequence[Recorded]) -> Chunk:
    """In the order of the table of events."""
    return [
        [one.position for one in events],
        [_uuid(one.event_id_bytes) for one in events],
        [one.category for one in events],
        [_uuid(one.stream_id_bytes) for one in events],
        [one.stream_version for one in events],
        [one.type for one in events],
        [one.schema_version for one in events],
        [_payload(one) for one in events],
        [one.occurred_at for one in events],
        [one.received_at for one in events],
        [one.recorded_at for one in events],
        [one.actor for one in events],
        [_uuid(one.correlation_id_bytes) for one in events],
        [_uuid(one.causation_id_bytes) for one in events],
        [one.leaf_hash.hex() for one in events],
    ]


def _payload(recorded: Recorded) -> str:
    try:
        return recorded.payload.decode()
    except UnicodeDecodeError:
        raise CorruptLog(recorded.position, "its payload is not UTF-8") from None


def _uuid(found: bytes | None) -> str | None:
    if found is None:
        return None
    digits = found.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

"""The live end of the log: hands what was just committed to whoever follows, without reading it again.

The writer publishes every batch once it is durable. A subscriber that is at the head takes the events from memory;
one that is behind, or fell behind so far that its buffer overflowed, reads the database until it has caught up.
Positions have no gaps, so a subscriber always knows whether what it is handed is the next event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from byjy_events.recorded import Recorded
from byjy_events.writer import BYTES_OF_AN_EVENT

BUFFER_EVENTS = 20_000
"""Events that wait in memory for one subscriber before it is sent back to the database; large ones count as several."""


class Subscription:
    """One follower's end of the tail."""

    def __init__(self) -> None:
        self._batches: deque[tuple[Sequence[Recorded], int]] = deque()
        self._size = 0
        self._wake = asyncio.Event()

    def offer(self, batch: Sequence[Recorded], size: int) -> None:
        """Take a batch, or drop everything when it is too much; the follower will notice the gap."""
        self._batches.append((batch, size))
        self._size += size
        if self._size > BUFFER_EVENTS:
            self._batches.clear()
            self._size = 0
        self._wake.set()

    def wake(self) -> None:
        """Something may have changed in the database."""
        self._wake.set()

    def take(self, after: int) -> list[Recorded] | None:
        """What follows directly upon a position; None: not in memory, look into the database."""
        events: list[Recorded] = []
        while self._batches:
            batch, size = self._batches[0]
            if batch[0].position > after + 1:
                break
            self._batches.popleft()
            self._size -= size
            fresh = [event for event in batch if event.position > after] if batch[0].position <= after else batch
            if fresh:
                events.extend(fresh)
                after = events[-1].position
        return events or None

    async def changed(self) -> None:
        """Wait until something was offered, or the database may have changed."""
        await self._wake.wait()

    def rearm(self) -> None:
        """From here on, :meth:`changed` waits for news."""
        self._wake.clear()


class Tail:
    """The newest known position, and everyone who wants to hear of the next one."""

    def __init__(self) -> None:
        self.head = 0
        self._subscriptions: set[Subscription] = set()

    @property
    def followed(self) -> bool:
        """Whether anybody follows; if not, nobody needs to make the objects to hand over."""
        return bool(self._subscriptions)

    def subscribe(self) -> Subscription:
        """Begin to listen."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening."""
        self._subscriptions.discard(subscription)

    def publish(self, batch: Sequence[Recorded]) -> None:
        """Hand over what this process committed."""
        self.head = max(self.head, batch[-1].position)
        size = len(batch) + sum(len(recorded.payload) for recorded in batch) // BYTES_OF_AN_EVENT
        for subscription in self._subscriptions:
            subscription.offer(batch, size)

    def wake(self) -> None:
        """Have every follower look whether it still should."""
        for subscription in self._subscriptions:
            subscription.wake()

    def advance(self, head: int) -> None:
        """Another process, or a part of this one that hands nothing over, brought the log to this position."""
        if head > self.head:
            self.head = head
            self.wake()

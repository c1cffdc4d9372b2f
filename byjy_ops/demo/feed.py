"""One account's private messages on their way from the venue to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class Feed:
    """The messages of one account, in the order in which the venue sent them; for one listener."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._news = asyncio.Event()
        self._ended = False

    def send(self, message: bytes) -> None:
        """Put a message on the wire."""
        self._messages.append(message)
        self._news.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._news.set()

    async def arrivals(self) -> AsyncIterator[list[bytes]]:
        """What has arrived since the last look, together; ends with the feed."""
        while self._messages or not self._ended:
            await self._news.wait()
            if not self._ended:
                self._news.clear()
            arrived, self._messages = self._messages, []
            if arrived:
                yield arrived

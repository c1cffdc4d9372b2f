"""Places where a key-encryption key of this machine lies. Each is a key provider."""

from __future__ import annotations

import abc
import asyncio

from byjy_events.sealing.local_key import LocalKey
from byjy_events.secret import Secret


class KeySource(abc.ABC):
    """A key that is read at its first use, in a thread, and kept in memory from then on.

    A key that could not be had is looked for again at the next use.
    """

    def __init__(self) -> None:
        self._key: LocalKey | None = None

    @abc.abstractmethod
    def read(self) -> LocalKey:
        """The key; made now if there is none and the source makes some. Blocks.

        Raises:
            KeyUnavailable: it cannot be had.
        """

    async def key_id(self) -> str:
        return (await self._read()).id

    async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        return await (await self._read()).wrap(data_key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        return await (await self._read()).unwrap(wrapped, context)

    async def _read(self) -> LocalKey:
        if self._key is None:
            self._key = await asyncio.to_thread(self.read)
        return self._key

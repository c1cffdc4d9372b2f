"""Key providers: whoever holds a key-encryption key, in a file or in a service that never gives it away."""

from __future__ import annotations

from typing import Protocol

from byjy_events.secret import Secret


class KeyProvider(Protocol):
    """One key-encryption key. ``examples/sealing_with_kms.py`` shows one for a key management service.

    Any number of calls may be under way at once. What a provider raises besides the errors named here ends the call it
    was needed for, and nothing is lost; :class:`byjy_events.sealing.KeyUnavailable` is the error to raise when a
    service cannot be reached.
    """

    async def key_id(self) -> str:
        """The name of the key, at most 255 characters, which the key store keeps beside everything it wrapped.

        The same key has the same id for ever, and no other key has it.
        """
        ...

    async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        """Encrypt 32 bytes, authenticating the context."""
        ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        """The reverse.

        Raises:
            NotUnwrapped: these bytes were not made by :meth:`wrap` with this key and this context.
        """
        ...

"""A key-encryption key in a key management service: the service wraps and unwraps, and never gives the key away.

``python examples/sealing_with_kms.py`` runs it against a stand-in for such a service, on a new database in a temporary
folder. For a real one, replace ``PretendKms`` by its client; the provider stays as it is. The context goes where the
service takes what it shall authenticate: ``EncryptionContext`` or ``additionalAuthenticatedData``.
"""

from __future__ import annotations

import asyncio
import os
import tempfile

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from byjy_events import EventLog, new_event_id
from byjy_events.sealing import KeyUnavailable, NotUnwrapped, Vault
from byjy_events.secret import Secret
from byjy_events.stream import Stream


class PretendKms:
    """Stands in for a service: keys by name, and a network that takes a moment."""

    def __init__(self) -> None:
        self._keys: dict[str, AESGCM] = {}
        self.reachable = True

    def create_key(self, name: str) -> None:
        self._keys[name] = AESGCM(AESGCM.generate_key(256))

    async def encrypt(self, name: str, plaintext: bytes, context: bytes) -> bytes:
        await self._travel()
        nonce = os.urandom(12)
        return nonce + self._keys[name].encrypt(nonce, plaintext, context)

    async def decrypt(self, name: str, ciphertext: bytes, context: bytes) -> bytes:
        await self._travel()
        try:
            return self._keys[name].decrypt(ciphertext[:12], ciphertext[12:], context)
        except (InvalidTag, ValueError):
            raise PermissionError("invalid ciphertext") from None

    async def _travel(self) -> None:
        await asyncio.sleep(0.001)
        if not self.reachable:
            raise ConnectionError("no route to the service")


class KmsKey:
    """A key of the service, as a key provider."""

    def __init__(self, kms: PretendKms, name: str) -> None:
        self._kms, self._name = kms, name

    async def key_id(self) -> str:
        return f"kms:{self._name}"  # of a real service: the full name of the key, which never changes

    async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        try:
            return await self._kms.encrypt(self._name, data_key.reveal(), context)
        except ConnectionError as error:
            raise KeyUnavailable(await self.key_id(), str(error)) from None

    async def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        try:
            return Secret(await self._kms.decrypt(self._name, wrapped, context))
        except PermissionError:
            raise NotUnwrapped(await self.key_id()) from None
        except ConnectionError as error:
            raise KeyUnavailable(await self.key_id(), str(error)) from None


async def main(url: str) -> None:
    """Seal, rotate, reveal, and lose the network."""
    kms = PretendKms()
    for name in ("trading-2026", "trading-2027"):
        kms.create_key(name)
    old, new = KmsKey(kms, "trading-2026"), KmsKey(kms, "trading-2027")
    user = Stream("user", new_event_id())
    async with EventLog.open(url) as log:
        vault = Vault(log, old)
        value = await vault.seal(user, "email", Secret("ada@example.org"))
        print(f"sealed: {len(value)} bytes, under {await vault.in_use()}")
        done = await vault.rotate(new)
        print(f"rotated: {done.rewrapped} data key, {done.remaining} remaining, under {await vault.in_use()}")
        secret = await vault.reveal(user, "email", value)
        print(f"revealed: {secret!r} of {len(secret.reveal())} characters")
        kms.reachable = False
        try:
            await vault.reveal(user, "email", value)
        except KeyUnavailable as error:
            print(f"without the service: {error}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(f"sqlite:///{folder}/example.db"))

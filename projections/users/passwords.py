"""Passwords: their spelling, and their hashes.

Argon2id (RFC 9106), stored in the PHC format, which says the parameters: so they can be raised, and who logs in next is
hashed anew. Hashing takes much memory and a tenth of a second of a processor. So it runs in a thread, and in a process
one password at a time: whatever strangers ask for, it takes the memory of one. One is also all that OpenSSL can do:
two computations with several lanes at the same time wait for each other's threads, for ever.
"""

from __future__ import annotations

import asyncio
import os
import threading
import unicodedata
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from byjy_events.secret import Secret
from projections.users.errors import InvalidPassword

SHORTEST, LONGEST = 8, 1024
"""Characters of a password."""

SALT_BYTES, HASH_BYTES = 16, 32

_one_at_a_time = threading.Lock()


class Cost(NamedTuple):
    """What computing one hash costs. Unless told: the second recommendation of RFC 9106, for any machine.

    Attributes:
        memory_kib: at least 8 for each lane.
        passes: over the memory.
        lanes: that fill it side by side.
    """

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4


RECOMMENDED = Cost()


class Passwords:
    """Hashes passwords and checks them. Any number of tasks may use it."""

    def __init__(self, cost: Cost = RECOMMENDED) -> None:
        """
        Raises:
            ValueError: parameters that Argon2 does not know.
        """
        _argon2(cost)
        self._cost = cost
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="byjy-passwords")

    async def hashed(self, password: Secret[str]) -> Secret[str]:
        """The hash of a password, with a salt of its own.

        Raises:
            InvalidPassword: as :func:`prepared`.
        """
        return await self._in_thread(prepared(password))

    async def fits(self, password: Secret[str], password_hash: Secret[str] | None) -> bool:
        """Whether a password has this hash. Without a hash, or with a password that is none, the answer is no, and
        takes the same time as with the parameters of this object.
        """
        found, possible = password_hash, True
        try:
            given = prepared(password)
        except InvalidPassword:
            given, possible = Secret(""), False
        if found is None:
            found, possible = _hash_of_nothing(self._cost), False
        return await self._checked(given, found) and possible

    def outdated(self, password_hash: Secret[str]) -> bool:
        """Whether a hash was made with other parameters."""
        return not password_hash.reveal().startswith(_parameters(self._cost))

    async def _in_thread(self, given: Secret[str]) -> Secret[str]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _computed, self._cost, given)

    async def _checked(self, given: Secret[str], password_hash: Secret[str]) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _equal, given, password_hash)


def prepared(password: Secret[str]) -> Secret[str]:
    """A password in the one spelling that is hashed: RFC 8265's OpaqueString, blanks of other scripts as the plain one,
    then NFC; case and width are left as they are.

    Raises:
        InvalidPassword: not 8 to 1,024 characters, control characters, or a lone surrogate.
    """
    reason = _no_text(password)
    if reason is None:
        password = Secret(_spelled(password.reveal()))
        length = len(password.reveal())
        if not SHORTEST <= length <= LONGEST:
            reason = f"{length} characters, not {SHORTEST} to {LONGEST}"
    if reason is not None:
        raise InvalidPassword(reason)
    return password


def _no_text(password: Secret[str]) -> str | None:
    if not isinstance(password, Secret) or not isinstance(password.reveal(), str):
        return "expected a Secret text"
    if len(password.reveal()) > 4 * LONGEST:  # which no Unicode form makes shorter than allowed
        return f"{len(password.reveal())} characters, not {SHORTEST} to {LONGEST}"
    categories = set(map(unicodedata.category, password.reveal()))
    if "Cs" in categories:
        return "holds a lone surrogate"
    return "holds control characters" if "Cc" in categories else None


def _spelled(plain: str) -> str:
    blanks = (" " if unicodedata.category(character) == "Zs" else character for character in plain)
    return unicodedata.normalize("NFC", "".join(blanks))


def _argon2(cost: Cost) -> Argon2id:
    salt = os.urandom(SALT_BYTES)
    return Argon2id(salt=salt, length=HASH_BYTES, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib)


def _hash_of_nothing(cost: Cost) -> Secret[str]:
    """Nobody knows a password that has it; and nothing is computed, so that the first one takes no longer."""
    salt, digest = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (SALT_BYTES, HASH_BYTES))
    return Secret(f"{_parameters(cost)}{salt}${digest}")


def _parameters(cost: Cost) -> str:
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}$"


def _computed(cost: Cost, given: Secret[str]) -> Secret[str]:
    with _one_at_a_time:
        return Secret(_argon2(cost).derive_phc_encoded(given.reveal().encode()))


def _equal(given: Secret[str], password_hash: Secret[str]) -> bool:
    with _one_at_a_time:
        try:
            Argon2id.verify_phc_encoded(given.reveal().encode(), password_hash.reveal())
        except InvalidKey:
            return False
    return True

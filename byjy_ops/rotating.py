"""``byjy keys rotate``: all data keys under another key-encryption key."""

from __future__ import annotations

import time
from contextlib import suppress

from byjy_events.sealing import KeyUnavailable, Rotation, StrangeWrappingKey, Vault
from byjy_ops.errors import InvalidArgument
from byjy_ops.keys_option import KeyOptions, provider_for
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES

REFUSALS_SHOWN = 10


async def rotate_keys(database: str, old: KeyOptions, new: KeyOptions, *, as_json: bool) -> int:
    """Wrap all data keys under the new key, and write how many were.

    Returns:
        1, if some still need another key; standard error says why.

    Raises:
        InvalidArgument: nothing says where the new key is.
        KeyUnavailable, StrangeWrappingKey: the old key is not there, or is not the one in use; no new one was made.
    """
    if new == KeyOptions():
        raise InvalidArgument("--new-key-file", "give one of --new-key-file, --new-key-variable and --new-keyring")
    async with existing_log(database) as log:
        vault = Vault(log, provider_for(database, old, create=False))
        await _refuse_strange(vault, database, old, new)
        began = time.perf_counter()
        done = await vault.rotate(provider_for(database, new, create=True))
        seconds = time.perf_counter() - began
    if as_json:
        told = {"key_id": done.key_id, "rewrapped": done.rewrapped, "remaining": done.remaining, "seconds": seconds}
        write_json([told])
    else:
        emit(f"{done.rewrapped} data keys rewrapped in {seconds:.1f} s, all new ones under {done.key_id}\n")
    return _told_of_rest(done)


def _told_of_rest(done: Rotation) -> int:
    for error in done.refused[:REFUSALS_SHOWN]:
        tell(str(error))
    if done.remaining:
        tell(f"{done.remaining} data keys still need another key: keep the old one, and rotate again")
    return NO if done.remaining else YES


async def _refuse_strange(vault: Vault, database: str, old: KeyOptions, new: KeyOptions) -> None:
    """Before a new key is made: it would be one more that opens nothing."""
    in_use = await vault.in_use()
    with suppress(KeyUnavailable):  # it is made later, or its own error comes then
        in_use.pop(await provider_for(database, new, create=False).key_id(), None)
    if in_use:
        old_id = await provider_for(database, old, create=False).key_id()
        if old_id not in in_use:
            raise StrangeWrappingKey(old_id, list(in_use))

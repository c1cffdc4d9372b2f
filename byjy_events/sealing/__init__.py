"""Secrets in events: sealed under keys that can be erased, found by keyed hash.

The format of sealed values, and what to do about keys, is in ``docs/reference/sealing.md``.
"""

from byjy_events.sealing.blind_index import BlindIndex
from byjy_events.sealing.content import MAX_BYTES, Sealable
from byjy_events.sealing.errors import (
    DataKeyBroken,
    Erased,
    InsecureKeyFile,
    InvalidKey,
    InvalidSecret,
    KeyStoreUnavailable,
    KeyUnavailable,
    NotSealed,
    NotUnwrapped,
    SealBroken,
    SealedElsewhere,
    SealingError,
    StrangeWrappingKey,
    UnknownDataKey,
    UnknownWrappingKey,
)
from byjy_events.sealing.key_file import KeyFile
from byjy_events.sealing.key_variable import KeyVariable
from byjy_events.sealing.os_keyring import OsKeyring
from byjy_events.sealing.place import Place
from byjy_events.sealing.provider import KeyProvider
from byjy_events.sealing.rotation import Rotation
from byjy_events.sealing.vault import Vault

__all__ = [
    "MAX_BYTES",
    "BlindIndex",
    "DataKeyBroken",
    "Erased",
    "InsecureKeyFile",
    "InvalidKey",
    "InvalidSecret",
    "KeyFile",
    "KeyProvider",
    "KeyStoreUnavailable",
    "KeyUnavailable",
    "KeyVariable",
    "NotSealed",
    "NotUnwrapped",
    "OsKeyring",
    "Place",
    "Rotation",
    "SealBroken",
    "Sealable",
    "SealedElsewhere",
    "SealingError",
    "StrangeWrappingKey",
    "UnknownDataKey",
    "UnknownWrappingKey",
    "Vault",
]

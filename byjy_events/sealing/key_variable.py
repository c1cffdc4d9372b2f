"""A key-encryption key in an environment variable."""

from __future__ import annotations

import os

from byjy_events.sealing.errors import KeyUnavailable
from byjy_events.sealing.key_source import KeySource
from byjy_events.sealing.local_key import LocalKey, key_of
from byjy_events.secret import Secret


class KeyVariable(KeySource):
    """A key in an environment variable: Base64 of 32 bytes, e.g. of ``openssl rand -base64 32``.

    Whoever may look at the process sees its environment, and child processes inherit it.
    """

    def __init__(self, name: str = "BYJY_KEY") -> None:
        super().__init__()
        self._name = name

    def __repr__(self) -> str:
        return f"KeyVariable({self._name!r})"

    def read(self) -> LocalKey:
        """The key in the variable.

        Raises:
            KeyUnavailable: the variable is not set, or empty.
            InvalidKey: it holds no key.
        """
        source = f"environment variable {self._name}"
        text = Secret(os.environ.get(self._name, ""))
        if not text:
            raise KeyUnavailable(source, "not set")
        return key_of(source, text)

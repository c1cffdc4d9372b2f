"""A key-encryption key in the keyring of the operating system, by the library ``keyring``, which is an extra."""

from __future__ import annotations

import importlib
import threading
from typing import Any

from byjy_events.sealing.errors import KeyUnavailable
from byjy_events.sealing.key_source import KeySource
from byjy_events.sealing.local_key import LocalKey, key_of, new_key_text
from byjy_events.secret import Secret

_one_at_a_time = threading.Lock()


class OsKeyring(KeySource):
    """A key in the keyring of the logged-in user, made at the first use.

    A keyring has no way to store an entry only if there is none. So let one process make the key before others start.
    """

    def __init__(self, name: str = "default", *, service: str = "byjy-events", create: bool = True) -> None:
        """An entry that is not looked at yet.

        Args:
            name: which of the service's keys.
            create: whether to make a key if there is none.
        """
        super().__init__()
        self._service, self._name, self._create = service, name, create

    def __repr__(self) -> str:
        return f"OsKeyring({self._name!r}, service={self._service!r})"

    def read(self) -> LocalKey:
        """The key in the keyring.

        Raises:
            KeyUnavailable: the library is not installed, there is no keyring, it is locked, or it has no such entry.
            InvalidKey: the entry is no key.
        """
        keyring = self._library()
        try:
            with _one_at_a_time:
                return key_of(self._source, self._entry(keyring))
        except keyring.errors.KeyringError as error:
            raise KeyUnavailable(self._source, f"{type(error).__name__}: {error}") from None

    @property
    def _source(self) -> str:
        return f"keyring entry {self._service}/{self._name}"

    def _library(self) -> Any:
        try:
            importlib.import_module("keyring.errors")
            return importlib.import_module("keyring")
        except ImportError:
            raise KeyUnavailable(self._source, "needs the library keyring: install byjy-events[keyring]") from None

    def _entry(self, keyring: Any) -> Secret[str]:
        found = keyring.get_password(self._service, self._name)
        if found is None and self._create:
            keyring.set_password(self._service, self._name, new_key_text().reveal())
            found = keyring.get_password(self._service, self._name)  # what is there counts
        if not isinstance(found, str):
            raise KeyUnavailable(self._source, "there is no such entry")
        return Secret(found)

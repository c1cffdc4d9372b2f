"""A key-encryption key in a file that only its owner may read."""

from __future__ import annotations

import os
from pathlib import Path

from byjy_events import private_file
from byjy_events.private_file import FileOpenToOthers, FileTooLong, NotAFile
from byjy_events.sealing.errors import InsecureKeyFile, InvalidKey, KeyUnavailable
from byjy_events.sealing.key_source import KeySource
from byjy_events.sealing.local_key import LocalKey, key_of, new_key_text
from byjy_events.secret import Secret


class KeyFile(KeySource):
    """A key in a file of mode 0600, made at the first use.

    The file appears whole or not at all, and never takes the place of another: of any number of processes that find
    none, one makes it, and all use that one. Losing it is losing every secret: keep a copy of it apart from the
    database and its backups.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        """A key file that is not looked at yet.

        Args:
            create: whether to make the file if there is none; not so for a key that is about to be retired.
        """
        super().__init__()
        self._path = Path(path)
        self._create = create

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    def read(self) -> LocalKey:
        """The key in the file.

        Raises:
            KeyUnavailable: there is no file and none may be made, or it cannot be read.
            InsecureKeyFile: others than its owner may read or write it.
            InvalidKey: it holds no key.
        """
        try:
            if self._create:
                self._make()
            return key_of(self._source, private_file.text_of(self._path))
        except NotAFile:
            raise InvalidKey(self._source, "not a file") from None
        except FileTooLong:
            raise InvalidKey(self._source, "too long for a key") from None
        except FileOpenToOthers as error:
            raise InsecureKeyFile(self._source, error.mode) from None
        except OSError as error:
            raise KeyUnavailable(self._source, error.strerror or str(error)) from None

    @property
    def _source(self) -> str:
        return f"key file {self._path}"

    def _make(self) -> None:
        if not self._path.exists():
            private_file.make(self._path, Secret(f"{new_key_text().reveal()}\n"))
        # Whoever made it: the name has to outlive a power failure before anything is wrapped by the key.
        private_file.sync_folder(self._path.parent)

"""Whatever fsspec has a filesystem for, as a target for backups: ``s3://bucket/prefix``, ``sftp://host/folder``.

An object that is uploaded is there whole or not at all; where files are written in place instead, and renamed by the
store, they get their name last. A store has no locks. Those of the workplace keep out who works with the same URL on
this machine; what another machine may be doing there is left alone until it is a day old.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from byjy_events.backup.access import scrubbed, secrets_in, shown, user_info
from byjy_events.backup.compressed import Stopped
from byjy_events.backup.errors import BackupError, FolderUnusable
from byjy_events.backup.target import PART, FileInfo, Readable
from byjy_events.backup.workplace import TemporaryWorkplace

EXTRA = "pip install 'byjy-events[remote]'"
BLOCK_BYTES = 1 << 23
"""What is read at once, and the parts of an upload to S3, which allows 10,000 of them."""

UPLOADS, DOWNLOADS = 4, 16
"""At the same time: parts of one file, and small files."""

_TIMES = ("LastModified", "mtime", "modified", "updated", "last_modified", "created")
_TAGS = ("ETag", "etag")


class FsspecTarget:
    """See :class:`~byjy_events.backup.target.Target`. To make one loads a library, which takes a moment.

    Args:
        url: of a folder or prefix.
        options: for the filesystem, such as ``key`` and ``secret``. Without, it finds access by itself.

    Raises:
        FolderUnusable: fsspec, or what it needs for such a URL, is not installed.
    """

    is_exclusive = False

    def __init__(self, url: str, **options: object) -> None:
        self._access = _hidden(url, options)
        self._secrets = secrets_in(url, options)
        self.where = shown(url).rstrip("/")
        del url, options  # a traceback may show this frame
        with self.usable():
            _refuse_unknown(self._access()[0])
            self.workplace = TemporaryWorkplace(self.where)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where!r})"

    def files(self) -> Mapping[str, FileInfo]:
        with self.usable():
            self._store.invalidate_cache()
            try:
                listed = self._store.ls(self._root, detail=True)
            except FileNotFoundError as error:
                if error.errno is not None or error.__cause__ is not None:  # a server says so, such as of a bucket
                    raise
                return {}  # nothing begins with that prefix
            return dict(_informed(listed, self._root))

    def has(self, name: str) -> bool:
        with self.usable(), contextlib.suppress(FileNotFoundError):
            self._store.invalidate_cache()
            self._store.info(self._at(name))
            return True
        return False

    def read(self, name: str) -> bytes:
        with self.usable(), contextlib.suppress(FileNotFoundError):
            return bytes(self._store.cat_file(self._at(name)))
        raise FileNotFoundError(errno.ENOENT, "it is gone", name)

    def read_all(self, names: Iterable[str]) -> dict[str, bytes | OSError]:
        wanted = list(names)
        with self.usable():
            workers = DOWNLOADS if self._store.async_impl else 1  # the others may have one connection
        with ThreadPoolExecutor(workers) as threads:
            return dict(zip(wanted, threads.map(self._read_or_why, wanted), strict=True))

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        with self.usable():
            file = self._store.open(self._at(name), "rb", block_size=BLOCK_BYTES)
        with file:
            yield _Guarded(file, self)

    def put(self, path: Path, name: str, stop: threading.Event) -> None:
        from fsspec.callbacks import Callback

        limits = {"chunksize": BLOCK_BYTES, "max_concurrency": UPLOADS} if self._is_s3 else {}
        callback = Callback(hooks={"stop": lambda *_, **__: _end_if(stop)})
        with self.usable(), self._named_last(name) as at:
            self._store.put_file(str(path), at, callback=callback, **limits)
        path.unlink()

    def write(self, name: str, data: bytes) -> None:
        with self.usable(), self._named_last(name) as at:
            self._store.pipe_file(at, data)

    def remove(self, name: str) -> None:
        with self.usable(), contextlib.suppress(FileNotFoundError):
            self._store.rm_file(self._at(name))

    def sweep(self, before: int) -> None:
        if not self._is_s3:
            return
        bucket, _, folder = self._root.partition("/")
        prefix = f"{folder}/" if folder else ""
        with contextlib.suppress(Exception):  # not everybody may, and not every server can; they cost space, no more
            begun = self._store.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix).get("Uploads", ())
            for upload in begun:
                moment = _nanoseconds(upload["Initiated"])
                if "/" not in upload["Key"].removeprefix(prefix) and moment is not None and moment < before:
                    self._store.abort_mpu(bucket, upload["Key"], upload["UploadId"])

    @contextlib.contextmanager
    def usable(self) -> Iterator[None]:
        """Whatever goes wrong, in one error that gives no access.

        Raises:
            FolderUnusable: in place of it.
        """
        try:
            yield
        except (BackupError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - filesystems raise what their libraries do
            reason = scrubbed(str(error) or type(error).__name__, self._secrets)
            raise FolderUnusable(self.where, reason) from None  # the error may hold what gives access

    @contextlib.contextmanager
    def _named_last(self, name: str) -> Iterator[str]:
        """Where to write a file, which gets its name afterwards if the store writes in place and can rename."""
        from fsspec import AbstractFileSystem

        at = self._at(name)
        if type(self._store).mv is AbstractFileSystem.mv:
            yield at
            return
        try:
            yield at + PART
            self._store.mv(at + PART, at)
            if self._store.exists(at + PART):  # some servers replace nothing, and do not say so
                raise OSError(f"{name} could not be renamed")
        except BaseException:
            with contextlib.suppress(Exception):
                self._store.rm_file(at + PART)
            raise

    def _read_or_why(self, name: str) -> bytes | OSError:
        try:
            return self.read(name)
        except OSError as error:
            return error

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @property
    def _store(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @property
    def _is_s3(self) -> bool:
        return "s3" in self._store.protocol

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The filesystem, which may connect, and the path in it."""
        with self.usable():  # what this frame knows may be shown, but not what those inside of it do
            return _opened(*self._access())


class _Guarded:
    """A file whose reader is told what is wrong with the target."""

    def __init__(self, file: Any, target: FsspecTarget) -> None:
        self._file = file
        self._target = target

    def read(self, count: int) -> bytes:
        with self._target.usable():
            return bytes(self._file.read(count))


def _hidden(url: str, options: dict[str, Any]) -> Callable[[], tuple[str, dict[str, Any]]]:
    """What gives access, where nothing that shows variables finds it."""
    return lambda: (url, options)


def _opened(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    store, root = url_to_fs(url, skip_instance_cache=True, **options)
    user = user_info(url)
    if user and f"{user}@" in root:
        raise ValueError("such a URL has no place for what gives access: it belongs in the environment")
    if "//" in root and "s3" in store.protocol:  # some such are written to and never listed
        raise ValueError("a name is missing between two slashes")
    return store, root.rstrip("/")


def _refuse_unknown(url: str) -> None:
    try:
        from fsspec import get_filesystem_class
    except ImportError:
        raise ImportError(f"fsspec is not installed: {EXTRA}") from None
    scheme, _, _ = url.partition("://")
    if "::" in scheme:
        raise ValueError("no chain of filesystems holds backups")
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        raise ImportError(f"{error}: {EXTRA}" if scheme in ("s3", "s3a") else str(error)) from None


def _end_if(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped


def _informed(listed: Iterable[Mapping[str, Any]], root: str) -> Iterator[tuple[str, FileInfo]]:
    for one in listed:
        folder, _, name = str(one["name"]).rpartition("/")
        if one["type"] == "file" and name and folder.strip("/") == root.strip("/"):
            modified = next((one[key] for key in _TIMES if one.get(key) is not None), None)
            tag = next((str(one[key]) for key in _TAGS if one.get(key)), None)
            yield name, FileInfo(int(one["size"] or 0), _nanoseconds(modified), tag)


def _nanoseconds(moment: object) -> int | None:
    """UTC; None: it is not known what is meant."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    return int(moment * 10**9) if isinstance(moment, int | float) else None

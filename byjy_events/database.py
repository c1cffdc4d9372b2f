"""Database URLs and engines.

Two kinds of URL: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, and ``postgresql://…``. The engine serves
queries and chunked reads; on SQLite its connections cannot write, because every write goes through the lane.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from byjy_events.errors import ByjyError
from byjy_events.redaction import Redactor

SQLITE_PRAGMAS = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA page_size = 8192",  # has effect on a new file only
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",  # else INSERT OR REPLACE would pass the DELETE trigger by
    "PRAGMA secure_delete = ON",  # what is erased is overwritten, not only forgotten
    "PRAGMA wal_autocheckpoint = 0",  # checkpoints are made under the turnstile only
)
"""What every connection to SQLite starts with, whoever opens it."""

_OF_LIBPQ = frozenset(
    (
        "application_name", "gsslib", "krbsrvname", "options", "passfile", "sslcert", "sslcrl", "sslkey", "sslmode",
        "sslnegotiation", "sslpassword", "sslrootcert", "ssl_max_protocol_version", "ssl_min_protocol_version",
        "target_session_attrs",
    )
)  # fmt: skip
"""Parameters of a URL as libpq names them, which the driver knows of a DSN only."""

_OF_DRIVER = frozenset({"command_timeout", "host", "port", "ssl", "direct_tls", "prepared_statement_cache_size"})
_CONNECT_TIMEOUT = "connect_timeout"

_REDACTOR = Redactor()
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class InvalidDatabaseUrl(ByjyError):
    """The URL names no database that byjy-events can work with.

    Attributes:
        url: what was given, without a password.
        reason: what is wrong with it.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"database URL {url!r}: {reason}")


def parse_url(url: str | sa.URL) -> sa.URL:
    """The URL with the asynchronous driver that we use.

    Raises:
        InvalidDatabaseUrl: not a URL, another database, or SQLite in memory, which cannot be shared by connections.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port that is no number
        reason = "not a URL; try sqlite:///byjy.db or postgresql://host/name"
        raise InvalidDatabaseUrl(_unparsed(str(url)), reason) from None
    backend = parsed.drivername.partition("+")[0]
    if backend != "sqlite" and "@" in f"{parsed.host}{parsed.database}":  # else what is left of it would be shown
        raise InvalidDatabaseUrl(_unparsed(str(url)), "an @ in a user name or password is written %40")
    if backend not in _DRIVERS:
        raise InvalidDatabaseUrl(display(parsed), f"{backend} is not supported; sqlite and postgresql are")
    if backend == "sqlite" and (not parsed.database or ":memory:" in parsed.database):
        raise InvalidDatabaseUrl(display(parsed), "SQLite needs a file")
    if backend == "sqlite" and (parsed.host or parsed.username or parsed.port):
        raise InvalidDatabaseUrl(display(parsed), "SQLite has no host: three slashes stand before a path")
    if backend != "sqlite":
        _refuse_parameters(parsed)
    return parsed.set(drivername=_DRIVERS[backend])


def _refuse_parameters(url: sa.URL) -> None:
    for name in url.query:  # names only: a value may be a password, and a log shows the variables of a traceback
        if name not in _OF_LIBPQ | _OF_DRIVER | {_CONNECT_TIMEOUT}:
            raise InvalidDatabaseUrl(display(url), f"{name} is no parameter that a URL may have")
        if name == _CONNECT_TIMEOUT and not str(url.query[name]).isdecimal():
            raise InvalidDatabaseUrl(display(url), f"{name} is a number of seconds")


def display(url: sa.URL) -> str:
    """The URL as a user would write it, without password and driver."""
    secret = [name for name in url.query if _REDACTOR.is_secret_name(name)]
    plain = url.set(drivername=url.drivername.partition("+")[0]).difference_update_query(secret)
    return plain.render_as_string(hide_password=True)


def _unparsed(text: str) -> str:
    """What is no URL, without what may be a password: all that stands before an @."""
    _, at, rest = text.rpartition("@")
    return _REDACTOR.text(f"***@{rest}" if at else text)


def is_sqlite(url: sa.URL) -> bool:
    """Whether the URL names a SQLite file."""
    return url.drivername.startswith("sqlite")


def sqlite_path(url: sa.URL) -> Path:
    """The file of a SQLite URL, with links resolved: two names of one file share one pair of lock files."""
    assert url.database is not None  # parse_url saw to it
    return Path(os.path.realpath(url.database))


def create_sqlite_file(path: Path) -> None:
    """Make sure the file is there, readable and writable by its owner only.

    Raises:
        InvalidDatabaseUrl: the folder is missing, or the file cannot be written.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise InvalidDatabaseUrl(f"sqlite:///{path}", error.strerror or str(error)) from None


def open_engine(url: sa.URL, *, writable: bool = False, pooled: bool = True) -> AsyncEngine:
    """An engine with our settings on every connection.

    Args:
        writable: on SQLite, whether its connections may write: migrations do, nothing else does.
        pooled: whether connections are shared and bounded in number; not so for those that one user keeps for long,
            since a pool that many keep from is empty for everybody else.
    """
    pool = None if pooled else sa.NullPool
    if not is_sqlite(url):
        plain, arguments = _postgres_arguments(url)
        return create_async_engine(plain, poolclass=pool, pool_pre_ping=pooled, connect_args=arguments)
    engine = create_async_engine(url, poolclass=pool)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        cursor = connection.cursor()
        for pragma in (*SQLITE_PRAGMAS, *(() if writable else ("PRAGMA query_only = ON",))):
            cursor.execute(pragma)
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writable else "BEGIN")

    return engine


def _postgres_arguments(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    """The URL with what SQLAlchemy hands on, and what the driver needs besides."""
    settings = {"application_name": "byjy-events", "idle_in_transaction_session_timeout": "60000"}
    arguments: dict[str, Any] = {"server_settings": settings}
    named = {name: value for name, value in url.query.items() if name in _OF_LIBPQ}
    if named:
        settings.pop("application_name" if "application_name" in named else "", None)
        arguments["dsn"] = f"postgresql:///?{urlencode(named, quote_via=quote)}"
    if _CONNECT_TIMEOUT in url.query:
        arguments["timeout"] = float(str(url.query[_CONNECT_TIMEOUT]))
    return url.difference_update_query([*named, _CONNECT_TIMEOUT]), arguments

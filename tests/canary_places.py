"""Everything that anybody gets to see: what programs and databases show, and errors and objects with all they hold."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import pprint
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.parquet
import sqlalchemy as sa
import structlog

from byjy_events import EventLog
from byjy_events.redaction import Redactor
from tests.canaries import Canary, Search
from tests.rows import writable_engine


class Place(NamedTuple):
    """Something that can be seen.

    Attributes:
        kind: what a decoy has to be found in.
        name: what exactly it is.
    """

    kind: str
    name: str
    content: bytes


class Finding(NamedTuple):
    """A canary where none may be."""

    kind: str
    name: str
    canary: Canary


class Places:
    """Collects what is seen."""

    def __init__(self) -> None:
        self.all: list[Place] = []
        self._redactor = Redactor(show_locals=True)
        self._log = structlog.get_logger("canaries")

    def __repr__(self) -> str:
        return f"<{len(self.all)} places>"

    def see(self, kind: str, name: str, content: bytes | str) -> None:
        seen = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        self.all.append(Place(kind, name, seen))

    def see_error(self, name: str, error: BaseException, *, plain: bool = False) -> None:
        """All that an error and those behind it show, also the variables of their frames.

        Args:
            plain: the secret was given as a plain text, which only a redactor can know for one.
        """
        shown = [*traceback.format_exception(error), str(self._redactor.entry({"event": name, "exc_info": error}))]
        for one in behind(error):
            shown += [str(one), repr(one), repr(one.args), repr(vars(one)), repr(getattr(one, "__notes__", None))]
            shown += _with_locals(one) if not plain else []
        self._log.error(name, exc_info=error, error=error, facts=vars(error))
        self.see("exceptions", name, "\n".join(shown))

    def see_object(self, name: str, found: Any) -> Any:
        """All that an object shows, and what it becomes when somebody stores or copies it; the object."""
        for way, show in WAYS.items():
            try:
                shown = show(found)
            except Exception as error:  # noqa: BLE001 - a refusal is seen as well
                self.see_error(f"{name}, {way}", error)
            else:
                self.see("objects", f"{name}, {way}", shown if isinstance(shown, bytes) else str(shown))
        self._log.info("handed out", what=name, found=found, several=[found, {"found": found}])
        return found

    async def refused(self, name: str, call: Awaitable[Any], *, plain: bool = False) -> None:
        """A call that has to fail."""
        try:
            await call
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            self.see_error(name, error, plain=plain)
        else:
            raise AssertionError(f"{name} was not refused")

    def findings(self, search: Search) -> Iterator[Finding]:
        """Each canary that is in a place."""
        for kind, name, content in self.all:
            for canary in search.found(content):
                yield Finding(kind, name, canary)


WAYS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "format": lambda found: f"{found}",
    "pprint": pprint.pformat,
    "vars": lambda found: repr(vars(found)),
    "deepcopy": lambda found: repr(copy.deepcopy(found)),
    "pickle": pickle.dumps,
    "json": lambda found: json.dumps(found, default=str),
    "msgspec": msgspec.json.encode,
    "msgpack": msgspec.msgpack.encode,
    "builtins": lambda found: repr(msgspec.to_builtins(found)),
    "members": lambda found: repr([getattr(found, name, None) for name in dir(found)]),
}


def behind(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that it came from, also what it hides."""
    waiting, known = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in known:
            known.add(id(one))
            yield one
            waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
            waiting += getattr(one, "exceptions", ())


def _with_locals(error: BaseException) -> list[str]:
    frames = traceback.walk_tb(error.__traceback__)
    return traceback.StackSummary.extract(frames, capture_locals=True).format()


# --- what is stored ----------------------------------------------------------------------------------------


async def see_tables(places: Places, url: str) -> None:
    """Every value of every table that there is, whoever made the table."""
    engine = writable_engine(url)
    async with engine.connect() as connection:
        for name in await connection.run_sync(lambda plain: sa.inspect(plain).get_table_names()):
            rows = (await connection.exec_driver_sql(f'SELECT * FROM "{name}"')).all()
            values = [value for row in rows for value in row]
            places.see("tables", name, b"\0".join(map(_as_bytes, values)))
    await engine.dispose()


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


async def see_events(places: Places, log: EventLog) -> None:
    """Each event as readers get it, and as it lies in the log."""
    seen = [one async for one in log.read(checked=True)]
    places.see("events", "payloads", b"\0".join(one.payload for one in seen))
    places.see("events", "as objects", "\n".join(map(repr, seen)))
    places.see("events", "as texts", "\n".join(f"{one.stream} {one.actor} {one.event}" for one in seen))


def see_files(places: Places, kind: str, folder: Path, *besides: Path) -> None:
    """Every file of a folder as raw bytes; what Parquet compresses also as values."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in besides:
            with contextlib.suppress(FileNotFoundError):  # SQLite removes its own
                places.see(kind, path.name, path.read_bytes())
        if path.suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
            texts = [column.name for column in table.schema if not pyarrow.types.is_temporal(column.type)]
            places.see(kind, f"{path.name}, values", f"{table.select(texts).to_pylist()} {table.schema.metadata}")

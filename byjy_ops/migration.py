"""Bringing a database to the newest schema, and saying from where to where."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events import migrating
from byjy_events.database import display, is_sqlite, open_engine, parse_url, sqlite_path
from byjy_events.errors import SchemaMismatch
from byjy_events.schema import SCHEMA_REVISION
from byjy_ops.listing import emit
from byjy_ops.reading import own_revision


async def migrate(database: str) -> None:
    """
    Raises:
        NotAByjyDatabase: it holds tables of something else; nothing was changed.
        SchemaMismatch: its schema is newer than this program.
    """
    url = parse_url(database)
    before = None
    if not is_sqlite(url) or sqlite_path(url).exists():
        engine = open_engine(url)
        try:
            before = await _revision(engine)
        finally:
            await engine.dispose()
    if before == SCHEMA_REVISION:
        emit(f"{display(url)}: schema {before} already, nothing to do\n")
        return
    await migrating.upgrade(url)
    emit(f"{display(url)}: schema {before or 'none'} -> {SCHEMA_REVISION}\n")


async def _revision(engine: AsyncEngine) -> str | None:
    found = await own_revision(engine)
    if found is not None and found > SCHEMA_REVISION:
        raise SchemaMismatch(display(engine.url), found, SCHEMA_REVISION, "upgrade byjy-events")
    return found

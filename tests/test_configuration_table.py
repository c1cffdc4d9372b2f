"""The table ``configurations``: what the log says, and every list of it, however far the table is behind."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events import EventLog
from byjy_events.sealing import Vault
from byjy_events.secret import Secret
from byjy_events.vocabulary.configuration import ValueType
from projections import CONFIGURATION, Configuration, ConfigurationRow, Projector, catch_up, rebuild, verify
from projections.checkpoints import projection_checkpoints
from projections.configuration.reading import snapshot
from projections.configuration.setting import setting_of_row
from projections.configuration.table import configurations, settings_page
from projections.past import projections_as_of
from tests.replay import assert_rows_are_the_log, stored
from tests.rows import writable_engine
from tests.sealing import local_key
from tests.story import place
from tests.test_query_plans import plan_of, sorts_or_scans

KEYS = ["risk", "risk.max", "risk.max.btc", "risk-free", "risk_x", "riska", "risk0", "venue.binance", "a"]


async def told(log: EventLog, changes: int, seed: int = 5) -> Configuration:
    """A story of all kinds of changes, among orders."""
    chance = random.Random(seed)
    config = Configuration(log, vault=Vault(log, local_key()))
    for number in range(changes):
        key = chance.choice(KEYS)
        setting = await config.setting(key)
        if setting is not None and chance.random() < 0.2:
            await config.remove(key)
        elif chance.random() < 0.3:
            await config.set(key, Secret(f"secret {number}"), secret=True, change_type=True)
        else:
            await config.set(key, {"n": number}, secret=False, change_type=True, actor=f"ops-{number % 3}")
        if number % 7 == 0:
            await place(log)
    return config


async def truth(config: Configuration) -> dict[str, Any]:
    """Each key for itself, from its stream."""
    found = {key: await config.setting(key) for key in sorted(KEYS)}
    return {key: setting for key, setting in found.items() if setting is not None}


@pytest.mark.parametrize("chunk", [1, 7, 2000])
async def test_rows_are_what_the_log_says(database: str, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """However many events are folded at a time; a removed key keeps its row, without value."""
    monkeypatch.setattr("projections.runner.CHUNK_EVENTS", chunk)
    async with EventLog.open(database) as log:
        config = await told(log, 40)
        await catch_up(log, CONFIGURATION)
        await assert_rows_are_the_log(log, CONFIGURATION)
        rows = (await stored(log, CONFIGURATION))["configurations"]
        live = {key: setting_of_row(row) for key, row in rows.items() if not row.is_removed}  # type: ignore[attr-defined, arg-type]
        assert live == await truth(config)
        removed = [row for row in rows.values() if row.is_removed]  # type: ignore[attr-defined]
        assert removed
        assert {(row.value, row.sealed_value, row.value_type) for row in removed} == {(None, None, None)}  # type: ignore[attr-defined]


async def test_a_table_that_was_tampered_with_is_found_out_and_mended(database: str) -> None:
    """As any table: the log is the proof. And the table has a past."""
    async with EventLog.open(database) as log:
        config = await told(log, 30)
        await catch_up(log, CONFIGURATION)
        assert (await verify(log, CONFIGURATION)).differences == 0
        engine = writable_engine(database)
        async with engine.begin() as vandal:
            live = sa.not_(configurations.c.is_removed)
            await vandal.execute(sa.update(configurations).where(live).values(updated_by="somebody else"))
        await engine.dispose()
        assert (await verify(log, CONFIGURATION)).differences == len(await truth(config))
        await rebuild(log, CONFIGURATION)
        assert (await verify(log, CONFIGURATION)).differences == 0
        position = (await config.history(KEYS[0]))[0].position
        async with projections_as_of(log, position, group=CONFIGURATION) as past:
            rows = await past.fetch(settings_page(KEYS[0]))
        assert KEYS[0] in [row.key for row in rows]


@pytest.mark.parametrize("projected", [0, 13, 40])
async def test_a_list_is_the_truth_however_far_the_table_is(database: str, projected: int) -> None:
    """Never projected, behind, or up to date: the log has the rest."""
    async with EventLog.open(database) as log:
        config = await told(log, projected)
        if projected:
            await catch_up(log, CONFIGURATION)
        await told(log, 40 - projected, seed=6)
        expected = await truth(config)
        assert {one.key: one for one in await config.all()} == expected
        assert [one.key for one in await config.all()] == sorted(expected)
        beneath = {key: one for key, one in expected.items() if key in ("risk", "risk.max", "risk.max.btc")}
        assert {one.key: one for one in await config.all("risk")} == beneath
        both = {key: one for key, one in expected.items() if key == "a" or key.startswith("risk.max")}
        assert {one.key: one for one in await config.all("risk.max", "a", "risk.max")} == both
        assert await config.all("ris") == []


@pytest.mark.parametrize("change", [{"status": "REBUILDING"}, {"version": "of another program"}], ids=str)
async def test_rows_that_cannot_be_relied_on_are_not_read(database: str, change: dict[str, str]) -> None:
    """While somebody mends them, or when another program made them."""
    async with EventLog.open(database) as log:
        config = await told(log, 20)
        await catch_up(log, CONFIGURATION)
        expected = await config.all()
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.execute(sa.update(configurations).values(updated_by="nobody"))
        assert {one.updated_by for one in await config.all()} == {"nobody"}
        async with engine.begin() as connection:
            await connection.execute(sa.update(projection_checkpoints).values(change))
        await engine.dispose()
        assert await config.all() == expected


async def test_a_projector_that_runs_meanwhile_changes_no_answer(database: str) -> None:
    """Rows newer than the checkpoint that was read, and events that the rows hold already, are the same to it."""
    async with EventLog.open(database) as log, Projector(log, CONFIGURATION):
        config = Configuration(log)
        for number in range(60):
            await config.set(f"k{number % 4}", number)
            now = await snapshot(log, ())
            assert {one.value for one in now.settings.values()} == set(range(max(0, number - 3), number + 1))


async def test_many_keys_come_in_pages(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a whole, whatever a page holds."""
    async with EventLog.open(database) as log:
        config = await told(log, 30)
        await catch_up(log, CONFIGURATION)
        expected = await config.all()
        monkeypatch.setattr("projections.configuration.reading.PAGE", 2)
        assert await config.all() == expected


# --- plans -------------------------------------------------------------------------------------------------


def row(number: int) -> ConfigurationRow:
    return ConfigurationRow(
        key=f"part{number % 50:02}.key{number:04}",
        value="1",
        sealed_value=None,
        value_type=ValueType.INTEGER,
        description="",
        is_secret=False,
        is_removed=False,
        version=1,
        updated_by="ops",
        created_at=1,
        updated_at=1,
        last_position=number,
    )


@pytest_asyncio.fixture
async def connection(database: str, backend: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a table that is full."""
    engine = writable_engine(database)
    async with engine.begin() as connection:
        await connection.execute(sa.insert(configurations), [asdict(row(number)) for number in range(2_000)])
        if backend == "postgresql":
            await connection.exec_driver_sql("ANALYZE configurations")
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        yield connection
    await engine.dispose()


@pytest.mark.parametrize("name", [None, "part07", "part07.key0007"])
@pytest.mark.parametrize("after", [None, "part07.key0107"])
async def test_every_list_is_a_range_of_the_primary_key(
    connection: AsyncConnection, name: str | None, after: str | None
) -> None:
    """Neither a scan nor a sort; what is beneath a key is sought, not filtered out of everything."""
    plan = re.sub(
        r"sqlite_autoindex_configurations_1", "pk_configurations", await plan_of(connection, settings_page(name, after))
    )
    assert set(re.findall(r"\b(?:pk|ix)_\w+", plan)) == {"pk_configurations"}, plan
    assert not sorts_or_scans(plan), plan
    if name is not None:
        assert re.search(r"key>\? AND key<\?|Index Cond: .*>=.*<", plan), plan

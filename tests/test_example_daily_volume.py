"""The example of a projection of one's own: it runs, it is exact, and ``byjy`` knows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from byjy_events import EventLog, order_stream
from byjy_events.numbers import CONTEXT, rounded
from byjy_events.vocabulary.orders import OrderFilled
from projections import catch_up, create_tables, group_named, runner
from projections.past import projections_as_of
from projections.rebuilding import rebuild
from projections.registry import OWN_GROUPS
from projections.verifying import verify
from tests.cli import ROOT, SECONDS, command, environment
from tests.lifecycles import SUBJECTS, lifecycles
from tests.plugins import EXAMPLE, announce
from tests.replay import assert_rows_are_the_log, events_of, stored
from tests.schema import execute

SAID = """\
2024-01-01 binance:BTCUSDT 0.75 31625.05 2 fills
2024-01-02 binance:BTCUSDT 1 43000.123456789 1 fills
2024-01-02 kucoin:ETH-USDT 10 23005 1 fills
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in which the example's entry point stands as an installer would have left it."""
    declared = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    entry_points = declared["entry-points"]["byjy_events.groups"]
    announce(
        tmp_path / "site", declared["name"], "\n".join(f"{name} = {value}" for name, value in entry_points.items())
    )
    return tmp_path / "site"


@pytest.fixture
def _importable(monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    for folder in (EXAMPLE, site):
        monkeypatch.syspath_prepend(str(folder))


def run(site: Path, database: str, *arguments: str) -> str:
    paths = {"PYTHONPATH": f"{ROOT}:{EXAMPLE}:{site}"}
    done = subprocess.run(
        arguments,
        env={**environment(database), **paths},
        cwd=site,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_example_prints_the_volumes_of_its_fills(database: str, site: Path) -> None:
    """Run again, it counts nothing twice; the operator's command finds its group and its checkpoint."""
    for _ in range(2):
        assert run(site, database, sys.executable, "-m", "daily_volume", database) == SAID
    assert run(site, database, *command("project", "daily_volume")) == "daily_volume: at 4 already, nothing to do\n"
    report = json.loads(run(site, database, *command("status", "--json")))
    found = {group["group"]: (group["position"], group["problem"]) for group in report["groups"]}
    assert found == {"daily_volume": (4, None), **{group.name: (0, None) for group in OWN_GROUPS}}


@pytest.mark.usefixtures("_importable")
@pytest.mark.parametrize("chunk", [1, 7, 2000])
async def test_its_rows_are_the_exact_sums_of_the_fills(
    database: str, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """By pair and day, without paper trades, however many events are folded at once."""
    from daily_volume import DAILY_VOLUME, volumes
    from daily_volume.volume import DAY

    monkeypatch.setattr(runner, "CHUNK_EVENTS", chunk)
    assert group_named("daily_volume") is DAILY_VOLUME
    async with EventLog.open(database) as log:
        await create_tables(log, DAILY_VOLUME)
        for stream, event in lifecycles(5, 20):
            await log.append(stream, [event])
        assert await assert_rows_are_the_log_after(log) == await log.head()
        expected: dict[tuple[str, str, int], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
        papers = 0
        for recorded in await events_of(log):
            fill = recorded.event
            if not isinstance(fill, OrderFilled):
                continue
            papers += fill.is_test
            if not fill.is_test:
                sums = expected[fill.pair.exchange, fill.pair.symbol, recorded.effective_at // DAY]
                added = fill.quantity, CONTEXT.multiply(fill.quantity, fill.price), Decimal(1)
                sums[:] = [rounded(CONTEXT.add(*pair)) for pair in zip(sums, added, strict=True)]
        async with log.engine.connect() as connection:
            found = await volumes(connection)
            assert await volumes(connection, last_day=0) == []
            assert await volumes(connection, first_day=found[0].day, last_day=found[-1].day) == found
    assert papers
    assert {(row.exchange, row.symbol, row.day): [row.quantity, row.notional, row.fills] for row in found} == expected


async def assert_rows_are_the_log_after(log: EventLog) -> int:
    from daily_volume import DAILY_VOLUME

    await catch_up(log, DAILY_VOLUME)
    return await assert_rows_are_the_log(log, DAILY_VOLUME)


@pytest.mark.usefixtures("_importable")
async def test_a_fill_out_of_all_proportion_does_not_stop_it(database: str) -> None:
    """The sum is not known any more, which is said by None; everything else goes on."""
    from daily_volume import DAILY_VOLUME

    order, huge = SUBJECTS[0], Decimal("9" * 20)
    async with EventLog.open(database) as log:
        await create_tables(log, DAILY_VOLUME)
        for name, quantity, price in (("1", huge, Decimal(1)), ("2", Decimal(1), Decimal(2)), ("3", Decimal(3), huge)):
            await log.append(order_stream(order.stream.id), [order.filled(name, quantity, price)])
        assert await assert_rows_are_the_log_after(log) == 3
        rows = (await stored(log, DAILY_VOLUME))["daily_volume"].values()
    assert [(row.quantity, row.notional, row.fills) for row in rows] == [(None, None, 3)]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_importable")
async def test_it_is_rebuilt_verified_and_asked_about_the_past_like_ours(database: str) -> None:
    """A digit that somebody changed is found and mended; the past is asked with the statement of the present."""
    from daily_volume import DAILY_VOLUME, volumes
    from daily_volume.__main__ import publish
    from daily_volume.queries import by_day, rows

    async with EventLog.open(database) as log:
        await create_tables(log, DAILY_VOLUME)
        assert await publish(log) == 4
        await catch_up(log, DAILY_VOLUME)
        async with log.engine.connect() as connection:
            right = await volumes(connection)
        assert (await verify(log, DAILY_VOLUME)).differences == 0
        await execute(database, "UPDATE daily_volume SET fills = 7 WHERE symbol = 'ETH-USDT'")
        assert (await verify(log, DAILY_VOLUME)).differences == 1
        assert (await rebuild(log, DAILY_VOLUME)).rows == 1
        async with log.engine.connect() as connection:
            assert await volumes(connection) == right
        async with projections_as_of(log, 1, group=DAILY_VOLUME) as past:
            [then] = rows(await past.fetch(by_day()))
    assert (then.symbol, then.quantity, then.fills) == ("BTCUSDT", Decimal("0.5"), 1)


def test_the_guide_shows_the_example_as_it_is() -> None:
    """Every line of its code stands in the example too."""
    sources = [*EXAMPLE.rglob("*.py"), EXAMPLE / "pyproject.toml"]
    lines = {line.strip() for source in sources for line in source.read_text().splitlines()}
    guide = (ROOT / "docs" / "guide" / "own-projections.md").read_text()
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) >= 4
    shown = {line.strip() for block in blocks for line in block.splitlines()}
    assert not shown - lines - {"..."}

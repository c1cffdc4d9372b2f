"""``byjy rebuild``, ``verify`` and ``as-of``, run as an operator runs them, on both databases."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from byjy_events.database import is_sqlite, parse_url
from byjy_events.log import EventLog
from byjy_events.schema import events
from byjy_ops.cli import answered
from projections import TRADING, catch_up
from projections.checkpoints import projection_checkpoints
from projections.registry import OWN_GROUPS
from projections.tables import trading_pairs
from tests.cli import ROOT, SECONDS, command, environment
from tests.lifecycles import lifecycles
from tests.plugins import install
from tests.rows import writable_engine
from tests.story import tell
from tests.tampering import KINDS, TABLES, tamper, wipe

STEPS = lifecycles(seed=7, orders=60)
HEAD = len(STEPS)
HALF = HEAD // 2
OWN = [group.name for group in OWN_GROUPS]

LISTINGS = [
    "orders",
    "orders --open",
    "orders --pair BTCUSDT",
    "orders --pair kucoin:ETH-BTC --status filled --status canceled",
    "orders --account second --limit 2",
    "orders --since 2100-01-01",
    "trades",
    "trades --pair BTCUSDT --account main",
    "positions",
    "positions --pair ETH-BTC",
    "positions --mark BTCUSDT=101.5",
    "anomalies --limit 0",
    "anomalies --kind late_fill",
    "pairs",
    "pairs --pair BTCUSDT --status trading",
]


class Cli:
    """``byjy`` in this process, which is faster."""

    def __init__(self, database: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.database = database
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = answered(["--database", self.database, *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def rows(self, *arguments: str, status: int = 0) -> list[Any]:
        found, out, complaint = self(*arguments, "--json")
        assert found == status, complaint
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def cli(database: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """``byjy`` on a database with a story that is projected to its end."""
    tell_until(database, HEAD)
    yield Cli(database, capsys)
    structlog.reset_defaults()


def tell_until(database: str, position: int) -> None:
    """Bring log and tables to a position of the story."""

    async def work() -> None:
        async with EventLog.open(database) as log:
            told = await log.head()
            assert await tell(log, STEPS[told:position]) == position
            assert await catch_up(log, TRADING) == position

    asyncio.run(work())


def set_checkpoint(database: str, **values: Any) -> None:
    """Leave the checkpoint of the trading group as something else would have left it."""

    async def work() -> None:
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.execute(projection_checkpoints.update().values(values))
        await engine.dispose()

    asyncio.run(work())


def alter_event(database: str, position: int) -> None:
    """Forge an event, as whoever owns the database can."""

    async def work() -> None:
        engine = writable_engine(database)
        async with engine.begin() as connection:
            sqlite = engine.dialect.name == "sqlite"
            disarm = "DROP TRIGGER events_no_update" if sqlite else "ALTER TABLE events DISABLE TRIGGER ALL"
            await connection.exec_driver_sql(disarm)
            await connection.execute(events.update().where(events.c.position == position).values(actor="x"))
        await engine.dispose()

    asyncio.run(work())


# --- verify and rebuild -----------------------------------------------------------------------------------


def test_tables_that_equal_the_log_are_said_to(cli: Cli) -> None:
    """At which position; a rebuild then writes nothing."""
    status, out, complaint = cli("verify", "trading")
    assert (status, complaint) == (0, "")
    assert out.startswith(f"trading: tables equal the log at position {HEAD}\n{HEAD} events folded again in ")
    [summary] = cli.rows("verify")
    assert (summary["type"], summary["equal"], summary["errors"]) == ("summary", True, [])
    group, *others = summary["groups"]
    assert [(one["group"], one["equal"]) for one in others] == [(name, True) for name in OWN[1:]]
    assert (group["group"], group["position"], group["differences"], group["outdated"]) == ("trading", HEAD, 0, False)
    assert [table["table"] for table in group["tables"]] == TABLES
    status, out, _ = cli("rebuild")
    assert status == 0
    assert f"the tables equal the log at position {HEAD}; no row differed\n" in out
    assert "; 0 rows written\n" in out


@pytest.mark.parametrize("table", TABLES)
def test_a_wrong_row_of_every_kind_is_shown_then_mended(cli: Cli, table: str) -> None:
    """One missing, one flipped, one surplus row, in any table: verify says no and shows them, rebuild mends them."""
    for kind in ("MISSING", "DIFFERENT", "SURPLUS"):
        asyncio.run(tamper(cli.database, table, kind))
    status, out, complaint = cli("verify")
    assert (status, complaint) == (1, "")
    assert f"trading: 3 rows differ from the log at position {HEAD}\n" in out
    for sentence in ("row is missing", "row differs", "row should not be there"):
        assert len(re.findall(f"^{table}, .*: {sentence}$", out, re.MULTILINE)) == 1
    assert re.search(rf"^  {table} +1 +1 +1$", out, re.MULTILINE)
    *differences, summary = cli.rows("verify", status=1)
    assert {row["kind"] for row in differences} == set(KINDS)
    assert {(row["type"], row["group"], row["table"]) for row in differences} == {("difference", "trading", table)}
    assert (summary["equal"], summary["groups"][0]["differences"]) == (False, 3)
    [flipped] = [row for row in differences if row["kind"] == "DIFFERENT"]
    [values] = flipped["columns"].values()
    assert values.keys() == {"stored", "should_be"}
    assert values["stored"] != values["should_be"]
    [done] = cli.rows("rebuild", "trading")
    [found] = [one for one in done["tables"] if one["table"] == table]
    assert (found["missing"], found["surplus"], found["different"]) == (1, 1, 1)
    assert flipped["columns"] in [example["columns"] for example in found["examples"]]
    assert (done["differences"], done["rows_written"], done["position"]) == (3, 3, HEAD)
    assert done["appends_wait"] is is_sqlite(parse_url(cli.database))
    assert all(done[name] > 0 for name in ("replay_seconds", "longest_write_seconds", "projectors_held_seconds"))
    assert cli("verify")[0] == 0


def test_differences_stand_column_by_column(cli: Cli) -> None:
    """The wrong digit beside the right one, as verify and rebuild show it."""
    before = cli.rows("positions")[0]
    asyncio.run(tamper(cli.database, "positions", "DIFFERENT"))
    [wrong] = [one for one in cli.rows("positions") if one["realized_pnl"] == "0.000000000000000001"]
    [right] = [
        one["realized_pnl"]
        for one in (cli.rows("as-of", str(HEAD), "positions"))
        if all(one[name] == wrong[name] for name in ("trading_pair_id", "account", "is_test"))
    ]
    assert before.keys() == wrong.keys()
    pattern = (
        rf"^positions, .*: row differs\n  column +stored +should be\n  realized_pnl  0\.0{{17}}1 +{re.escape(right)}$"
    )
    for name, status in (("verify", 1), ("rebuild", 0)):
        found, out, _ = cli(name)
        assert found == status
        assert re.search(pattern, out, re.MULTILINE), out


def test_as_many_differences_as_asked_for_are_shown(cli: Cli) -> None:
    """Of each table and kind, and standard error says how many more there are; without a limit all of them."""
    asyncio.run(wipe(cli.database))
    status, out, complaint = cli("verify", "--limit", "2")
    assert (status, out.count("\ntrades, ")) == (1, 2)
    *every, summary = cli.rows("verify", status=1)
    assert len(every) == summary["groups"][0]["differences"]
    missing = {table["table"]: table["missing"] for table in summary["groups"][0]["tables"]}
    assert f"byjy: trades: {missing['trades'] - 2} more of the kind MISSING; --limit N, or 0 for all\n" in complaint
    assert "trading_pairs: " not in complaint  # has two
    assert len(cli.rows("verify", "--limit", "1", status=1)) == len(TABLES) + 1


def test_rows_of_another_version_are_called_so(cli: Cli) -> None:
    """By verify, which compares them all the same, and by status, which names what mends them."""
    set_checkpoint(cli.database, version="orders=0")
    status, out, _ = cli("verify")
    assert status == 0
    assert "the rows are of version [orders=0], this program makes [" in out
    assert "]: byjy rebuild trading\n" in out
    assert cli.rows("verify")[-1]["groups"][0]["outdated"] is True
    status, out, _ = cli("status")
    assert status == 1
    assert "by another version of the projections: byjy rebuild trading\n" in out
    assert cli("project")[0] == 1
    assert cli("rebuild")[0] == 0
    assert cli("status")[0] == cli("project")[0] == 0


def test_rows_that_are_being_mended_are_not_verified(cli: Cli) -> None:
    """One line says why; status names what finishes it."""
    set_checkpoint(cli.database, status="REBUILDING")
    assert cli("verify", "trading") == (2, "", "byjy: group trading: its rows are being rebuilt\n")
    assert cli.rows("verify", status=2)[-1]["equal"] is False
    status, out, _ = cli("status")
    assert status == 1
    assert "to finish it: byjy rebuild trading\n" in out
    assert cli("rebuild")[0] == 0
    assert cli("verify")[0] == cli("status")[0] == 0


def test_a_forged_event_ends_verify_and_rebuild(cli: Cli) -> None:
    """One line that names its position; the tables are as they were."""
    orders = cli.rows("orders")
    alter_event(cli.database, 5)
    for name in ("verify", "rebuild"):
        status, out, complaint = cli(name, "trading")
        assert (status, out, complaint.count("\n")) == (2, "", 1)
        assert "5" in complaint
        assert "altered" in complaint
    assert cli.rows("orders") == orders


@pytest.mark.parametrize("name", ["rebuild", "verify"])
def test_an_unknown_group_is_refused(cli: Cli, name: str) -> None:
    """With the names of those that are installed."""
    assert cli(name, "nope") == (2, "", f"byjy: there is no group 'nope'; installed are {', '.join(OWN)}\n")


# --- as-of ------------------------------------------------------------------------------------------------


def test_as_of_says_what_the_live_listings_said_then(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the filter, row for row, for programs and for people, who are told what moment it is."""
    cli = Cli(database, capsys)
    tell_until(database, HALF)
    then = {listing: cli.rows(*listing.split()) for listing in LISTINGS}
    shown = {listing: cli(*listing.split()) for listing in LISTINGS}
    order = then["trades"][0]["order_id"]
    then |= {(one := f"{table} --order {order}"): cli.rows(*one.split()) for table in ("orders", "trades", "anomalies")}
    assert sum(map(bool, then.values())) > len(LISTINGS) // 2
    tell_until(database, HEAD)
    assert cli.rows("orders") != then["orders"]
    for listing, listed in then.items():
        assert cli.rows("as-of", str(HALF), *listing.split()) == listed, listing
    for listing, (status, said, complaint) in shown.items():
        found, out, complaint_now = cli("as-of", str(HALF), *listing.split())
        first, _, rest = out.partition("\n")
        assert first.startswith(f"as of position {HALF}, recorded 2")
        assert (found, rest, complaint_now) == (status, said, complaint)
    structlog.reset_defaults()


def test_an_instant_means_what_was_recorded_by_then(cli: Cli) -> None:
    """To the nanosecond, in any offset; the present, if it lies ahead; nothing, before the first event."""
    recorded = {row["position"]: row["recorded_at"] for row in cli.rows("events", "--limit", "0")}
    last = next(at for at in range(HALF, HEAD) if recorded[at + 1] > recorded[at])
    expected = cli.rows("as-of", str(last), "orders")
    seconds, fraction = divmod(recorded[last], 10**9)
    for text in (_iso(seconds, fraction), _iso(seconds, fraction, hours=2), _iso(seconds, fraction).replace("T", " ")):
        assert cli.rows("as-of", text, "orders") == expected
        assert cli("as-of", text, "orders")[1].startswith(f"as of position {last}, recorded ")
    before = recorded[last] - 1
    assert f"position {last}," not in cli("as-of", _iso(*divmod(before, 10**9)), "orders")[1]
    assert cli.rows("as-of", "2200-01-01T00:00:00Z", "orders") == cli.rows("orders")
    assert cli("as-of", "1999-01-01T00:00:00Z", "orders") == (
        0,
        "as of position 0, before the first event\n",
        "byjy: nothing found\n",
    )


def _iso(seconds: int, fraction: int, hours: int = 0) -> str:
    moment = time.gmtime(seconds + hours * 3600)
    offset = f"+{hours:02}:00" if hours else "Z"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{fraction:09}{offset}"


def test_the_venues_clock_is_said_to_be_the_venues(cli: Cli) -> None:
    """These events have none but the engine's, so long ago nothing had happened, and by now everything has."""
    status, out, _ = cli("as-of", "2200-01-01T00:00:00Z", "orders", "--clock", "venue", "--limit", "1")
    assert status == 0
    says = "as of 2200-01-01 00:00:00.000000000 UTC by the venue's clock: what had happened by then, as told up to"
    assert out.startswith(f"{says} position {HEAD}, recorded ")
    assert cli.rows("as-of", "2200-01-01T00:00:00Z", "orders", "--clock", "venue") == cli.rows("orders")
    assert cli.rows("as-of", "1999-01-01T00:00:00Z", "orders", "--clock", "venue") == []


def test_what_one_order_or_pair_was_is_read_from_its_own_events(cli: Cli) -> None:
    """An event of others may be forged, and the answer is the same; who asks for everything is told."""
    order, other = cli.rows("orders", "--pair", "BTCUSDT")[0], cli.rows("orders", "--pair", "ETH-BTC")[0]
    questions = [
        ["orders", "--order", order["id"]],
        ["trades", "--order", order["id"]],
        ["orders", "--pair", "BTCUSDT"],
    ]
    expected = [cli.rows(*question) for question in questions]
    alter_event(cli.database, cli.rows("history", other["id"])[0]["position"])
    assert [cli.rows("as-of", str(HEAD), *question) for question in questions] == expected
    status, out, complaint = cli("as-of", str(HEAD), "orders")
    assert (status, out) == (2, "")
    assert "altered" in complaint


def test_any_table_can_be_listed_as_it_was(cli: Cli) -> None:
    """By its key, with every column; the tables themselves are not touched."""
    fees = cli.rows("as-of", str(HEAD), "order_fees", "--limit", "0")
    assert {"order_id", "asset", "amount"} <= fees[0].keys()
    assert [row["order_id"] for row in fees] == sorted(row["order_id"] for row in fees)
    status, out, complaint = cli("as-of", str(HEAD), "order_fees", "--limit", "3")
    assert (status, len(out.splitlines())) == (0, 5)
    assert "there are more" in complaint
    assert cli.rows("as-of", str(HEAD), "trading_pairs") == cli.rows("pairs")
    assert cli("verify")[0] == 0


REFUSED = [
    (["2012-06-21T10:00:00", "orders"], "says no time zone; write 2012-06-21T10:00:00Z, or an offset"),
    (["2012-06-21", "orders"], "write 2012-06-21T00:00:00Z"),
    (["2012-06-21T10:00:00.25", "orders"], "write 2012-06-21T10:00:00.25Z"),
    (["yesterday", "orders"], "'yesterday' is no instant; try a position"),
    (["2012-06-21T10:00:00.0000000001Z", "orders"], "finer than a nanosecond"),
    (["1500-01-01T00:00:00Z", "orders"], "out of range"),
    ([f"{HEAD + 1}", "orders"], f"as of {HEAD + 1}: the log goes from 0 to {HEAD}"),
    (["9" * 30, "orders"], "no position in a log"),
    (["3", "orders", "--clock", "venue"], "takes an instant"),
    (["3", "orders", "--clock", "sundial"], "--clock"),
    (
        ["3", "nope"],
        "no table 'nope'; expected one of orders, trades, positions, cycles, anomalies, pairs, api_keys, ",
    ),
    (["3", "events"], "no table 'events'"),
    (["3", "orders", "--kind", "late_fill"], "--kind: orders has nothing"),
    (["3", "pairs", "--open"], "--open: pairs has nothing"),
    (["3", "order_fees", "--since", "2h"], "--since: order_fees has nothing"),
    (["3", "orders", "--status", "odd"], "--status: 'odd' is unknown"),
    (["3", "orders", "--pair", "QQQ"], "--pair: no pair is called 'QQQ'"),
    (["0", "orders", "--pair", "BTCUSDT"], "--pair: no pair is called 'BTCUSDT'"),
    (["3"], "TABLE"),
]


def test_what_cannot_be_answered_is_one_line(cli: Cli) -> None:
    """That says what is wrong, and how to write it."""
    for arguments, reason in REFUSED:
        status, out, complaint = cli("as-of", *arguments)
        assert (status, out, complaint.count("\n")) == (2, "", 1), arguments
        assert reason in complaint


# --- groups of other packages, and Ctrl-C -----------------------------------------------------------------

SLOW = """
            import pathlib, time
            pathlib.Path({marker!r}).touch()
            time.sleep(0.03)
            return {{row}}(id=key)"""

MAKE = """
import asyncio, sys
from byjy_events import EventLog
from projections import create_tables, group_named

async def main():
    async with EventLog.open(sys.argv[1]) as log:
        await create_tables(log, group_named(sys.argv[2]))

asyncio.run(main())
"""


class Site:
    """A folder with a package that announces a group ``mine``, and commands that see it."""

    def __init__(self, folder: Path, database: str, body: str) -> None:
        install(folder, "acme", "mine = acme:MINE", "MINE = group('mine', 'mine_orders')", body=body)
        self._environment = {**environment(database), "PYTHONPATH": f"{ROOT}:{folder}"}
        self.run(sys.executable, "-c", MAKE, database, "mine")

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            arguments, env=self._environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == status, done.stderr
        return done

    def byjy(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(*command(*arguments), status=status)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(arguments, env=self._environment, stdout=-1, stderr=-1, text=True)


def test_groups_of_other_packages_are_replayed_too(cli: Cli, tmp_path: Path) -> None:
    """All of them unless one is named; their tables have a past by key."""
    site = Site(tmp_path / "site", cli.database, "return {row}(id=key)")
    rebuilt = [line.partition(":")[0] for line in site.byjy("rebuild").stdout.splitlines() if "rebuilt" in line]
    assert rebuilt == [*OWN, "mine"]
    summary = json.loads(site.byjy("verify", "--json").stdout)
    assert [group["group"] for group in summary["groups"]] == [*OWN, "mine"]
    assert site.byjy("verify", "mine").stdout.startswith(f"mine: tables equal the log at position {HEAD}\n")
    then = [
        json.loads(line)["id"] for line in site.byjy("as-of", str(HALF), "mine_orders", "--json").stdout.splitlines()
    ]
    orders = cli.rows("as-of", str(HALF), "orders", "--limit", "0")
    assert then == sorted(row["id"] for row in orders)
    assert 0 < len(then) < len(cli.rows("orders", "--limit", "0"))


def test_ctrl_c_before_anything_is_written_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    """And the operator is told so."""
    marker = tmp_path / "begun"
    site = Site(tmp_path / "site", cli.database, SLOW.format(marker=str(marker)).strip())
    with site.start(*command("rebuild", "mine")) as process:
        _wait_until(marker.exists)
        process.send_signal(signal.SIGINT)
        out, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, complaint) == (130, "", "byjy: interrupted; nothing of group mine was changed\n")
    assert site.byjy("as-of", "0", "mine_orders").returncode == 0


SLOWLY = """
import projections.rebuilding as rebuilding
rebuilding.AT_ONCE_ROWS, rebuilding.PAUSE_SECONDS = 0, 0.3
from byjy_ops.cli import main
main()
"""


def test_ctrl_c_while_rows_are_written_leaves_a_mark_and_the_next_rebuild_finishes(cli: Cli) -> None:
    """The operator is told what to run."""
    asyncio.run(wipe(cli.database))
    arguments = (sys.executable, "-c", SLOWLY.replace("main()", "import sys; sys.argv[1:] = ['rebuild']; main()"))
    with subprocess.Popen(arguments, env=environment(cli.database), stdout=-1, stderr=-1, text=True) as process:
        _wait_until(lambda: asyncio.run(_pairs_are_back(cli.database)))
        process.send_signal(signal.SIGINT)
        out, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (130, "")
    assert complaint == (
        "byjy: interrupted; group trading is marked REBUILDING: byjy rebuild trading, or its next projector,"
        " finishes it\n"
    )
    assert cli("verify")[0] == 2
    assert cli("status")[0] == 1
    assert cli("rebuild", "trading")[0] == 0
    assert cli("verify")[0] == cli("status")[0] == 0


async def _pairs_are_back(database: str) -> bool:
    async with EventLog.open(database) as log, log.engine.connect() as connection:
        return bool(await connection.scalar(sa.select(sa.func.count()).select_from(trading_pairs)))


def _wait_until(condition: Any) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
